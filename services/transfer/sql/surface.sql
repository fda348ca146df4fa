-- What the list of transfers is read by (decision 0018). Both indexes are of first events alone, which never change, so a
-- transfer pays for them once, when it is opened; the first is only ever appended to.

CREATE INDEX event_opened ON event (occurred_at, global_seq) WHERE version = 1;
-- by customer: the 36 characters behind the member's name, cut out of the bytes, since parsing them costs as much as the
-- whole insert. It raises nothing for other bytes: they are just nobody's.
CREATE INDEX event_opened_by ON event
    (substring(data FROM position('"customer_id":"'::bytea IN data) + 15 FOR 36), occurred_at, global_seq)
    WHERE version = 1;
-- Few transfers are ever in review, so nearly every range is passed over; and a summary of ranges lets a stream move inside
-- its page, where an index of the stage would make every move rewrite all indexes of the table.
CREATE INDEX stream_state_review ON stream_state USING brin (stage text_bloom_ops (n_distinct_per_range = 32))
    WITH (pages_per_range = 32, autosummarize = on);
