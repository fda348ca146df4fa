-- Blocks of the book: what is settled for ever, each with a digest over all before it (services/ledger/domain/blocks.py says
-- over which bytes). services/kernel/migrations/versions/0009_books.py applies it behind kernel/sql/books.sql.

CREATE TABLE block (
    number bigint PRIMARY KEY CHECK (number > 0),    -- the version of its event in the stream of the blocks
    seq_from bigint NOT NULL,
    seq_to bigint NOT NULL,
    entries bigint NOT NULL CHECK (entries >= 0),
    postings bigint NOT NULL CHECK (postings >= 0),
    sums jsonb NOT NULL,                             -- {"GBP": [debit_minor, credit_minor], ...} of its postings alone
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    prev_digest bytea NOT NULL CHECK (octet_length(prev_digest) = 32),
    closed_at timestamptz NOT NULL,
    CHECK (seq_to >= seq_from)
);
CREATE UNIQUE INDEX block_by_entry ON block (seq_to);  -- the block of entry n is the first one with seq_to >= n

-- Both sides of an account as of the last entry of each block in which it moved: its sums over all postings up to there.
CREATE TABLE balance_at (
    account_id text NOT NULL,
    entry_seq bigint NOT NULL,                       -- the block's seq_to
    debit_minor bigint NOT NULL CHECK (debit_minor >= 0),
    credit_minor bigint NOT NULL CHECK (credit_minor >= 0),
    PRIMARY KEY (account_id, entry_seq)
);

CREATE FUNCTION guard_block() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT
    SET enable_seqscan = off AS $$
DECLARE before block;
BEGIN
    SELECT * INTO before FROM block WHERE number = NEW.number - 1;
    IF (NEW.number, NEW.seq_from, NEW.prev_digest) IS DISTINCT FROM
       (coalesce(before.number, 0) + 1, coalesce(before.seq_to, 0) + 1, coalesce(before.digest, decode(repeat('00', 32), 'hex')))
    THEN
        RAISE EXCEPTION 'block % does not follow the one before it', NEW.number USING ERRCODE = 'CR004';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER block_follows AFTER INSERT ON block FOR EACH ROW EXECUTE FUNCTION guard_block();
CREATE TRIGGER block_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON block
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_book_change();
CREATE TRIGGER balance_at_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON balance_at
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_book_change();
ALTER TABLE block ENABLE ALWAYS TRIGGER block_follows, ENABLE ALWAYS TRIGGER block_append_only;
ALTER TABLE balance_at ENABLE ALWAYS TRIGGER balance_at_append_only;
