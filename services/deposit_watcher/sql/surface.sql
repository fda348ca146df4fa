-- What the list of routes is read by (decision 0018): first events, which never change. Routes that wait for a person are
-- found by stream_state_waiting (waiting_hot.sql).
CREATE INDEX event_first ON event (occurred_at, global_seq) WHERE version = 1;

-- Arrivals that told us nothing new, for the timeline of what they repeat. Those that did are found by their ids, so that
-- what is accepted, nearly all, pays nothing here.
CREATE INDEX raw_arrival_repeated ON raw_arrival (reference, source, received_at)
    WHERE verdict <> 'accepted' AND reference IS NOT NULL;
