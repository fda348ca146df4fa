-- Cursors are saved at checkpoints (services/kernel/poll.py): below the checkpoint of a partition, every record's is here.
-- `taken` is how far the consumer came itself: next_offset is beyond it when a person moved that forward.

ALTER TABLE consumer_offset
    ADD COLUMN checkpoint bigint NOT NULL DEFAULT 0,
    ADD COLUMN taken bigint NOT NULL DEFAULT 0;
UPDATE consumer_offset SET checkpoint = next_offset, taken = next_offset;  -- until now each was saved with its record
ALTER TABLE stream_cursor SET (fillfactor = 80);                           -- most are written once
