-- What the list of routes is read by (decision 0018). All of it is of events, which never change: nothing here is paid for
-- when a route moves.

-- Newest first: first events alone, only ever appended to.
CREATE INDEX event_first ON event (occurred_at, global_seq) WHERE version = 1;
-- Routes that ever had money without a transfer, or money that did not fit, of which few are.
CREATE INDEX event_unmatched ON event (stream_id)
    WHERE event_type = 'corridor.deposit.mismatched.v1' OR (version = 1 AND event_type = 'corridor.deposit.observed.v1');
DROP INDEX stream_state_waiting;  -- the same, by a summary of ranges that grows with the table

-- Arrivals that told us nothing new, for the timeline of what they repeat. Those that did are found by their ids, so that
-- what is accepted, nearly all, pays nothing here.
CREATE INDEX raw_arrival_repeated ON raw_arrival (reference, source, received_at)
    WHERE verdict <> 'accepted' AND reference IS NOT NULL;
