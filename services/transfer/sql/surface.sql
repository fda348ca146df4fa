-- What the list of transfers is read by (decision 0018). All of it is of events, which never change: nothing here is paid for
-- when a transfer moves.

-- Newest first: first events alone, only ever appended to.
CREATE INDEX event_opened ON event (occurred_at, global_seq) WHERE version = 1;
-- By customer: the 36 characters behind the member's name, cut out of the bytes, since parsing them costs as much as the
-- whole insert. It raises nothing for other bytes: they are just nobody's.
CREATE INDEX event_opened_by ON event
    (substring(data FROM position('"customer_id":"'::bytea IN data) + 15 FOR 36), occurred_at, global_seq)
    WHERE version = 1;
ALTER INDEX event_opened_by ALTER COLUMN 1 SET STATISTICS 0;  -- else an analysis reads ten times as many rows for it
-- Those that were ever in review, of which few are: an index of the stage would make every move of every stream rewrite
-- all indexes of its table.
CREATE INDEX event_reviewed ON event (stream_id) WHERE event_type = 'corridor.transfer.payout_review_required.v1';
