-- What the list of payouts is read by (decision 0018): first events, which never change, and a summary of the stages that
-- few payouts ever have.

CREATE INDEX event_requested ON event (occurred_at, global_seq) WHERE version = 1;
CREATE INDEX stream_state_waiting ON stream_state USING brin (stage text_bloom_ops (n_distinct_per_range = 32))
    WITH (pages_per_range = 32, autosummarize = on);
