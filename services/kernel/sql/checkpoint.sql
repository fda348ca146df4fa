-- Cursors are saved at checkpoints (services/kernel/poll.py): below the checkpoint of a partition, every record's is here.

ALTER TABLE consumer_offset ADD COLUMN checkpoint bigint NOT NULL DEFAULT 0;
UPDATE consumer_offset SET checkpoint = next_offset;  -- until now each was saved with its record
ALTER TABLE stream_cursor SET (fillfactor = 80);      -- most are written once
