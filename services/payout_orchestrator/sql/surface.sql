-- What the list of payouts is read by (decision 0018). All of it is of events, which never change: nothing here is paid for
-- when a payout moves.

-- Newest first: first events alone, only ever appended to.
CREATE INDEX event_requested ON event (occurred_at, global_seq) WHERE version = 1;
-- Those that ever waited for a person or for an answer, of which few are: requested with somebody to ask, of unknown
-- outcome, refused, in review.
CREATE INDEX event_waited ON event (stream_id)
    WHERE event_type IN ('corridor.payout.unknown.v1', 'corridor.payout.refused.v1', 'corridor.payout.review_required.v1')
       OR (version = 1 AND position('"deadline":null'::bytea IN data) = 0);
