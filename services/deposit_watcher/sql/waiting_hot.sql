-- The list of waiting money (waiting.sql) by another index: one of changed_at, or with the stage in its condition, makes every
-- move of a stream rewrite all indexes of the table. A summary of a block range does not (PostgreSQL 16). Few streams ever
-- wait, so nearly every range is passed over.
DROP INDEX stream_state_waiting;
CREATE INDEX stream_state_waiting ON stream_state USING brin (stage text_bloom_ops (n_distinct_per_range = 32))
    WITH (pages_per_range = 32, autosummarize = on);
