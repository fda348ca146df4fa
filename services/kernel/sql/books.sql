-- The books in depth; services/kernel/migrations/versions/0009_books.py applies it behind book.sql.
-- An entry has a number without gaps in the order of commits: whoever has read up to one has missed nothing below it.

CREATE TABLE chart (
    kind text PRIMARY KEY,                   -- the beginning of an account's path
    class text NOT NULL CHECK (class IN ('asset', 'liability', 'position', 'revenue', 'expense')),
    normal_side text NOT NULL CHECK (normal_side IN ('debit', 'credit')),
    protected boolean NOT NULL,
    owner text NOT NULL CHECK (owner IN ('customer', 'partner', 'corridor'))
);
INSERT INTO chart VALUES
    ('safeguarding', 'asset', 'debit', false, 'partner'),
    ('partner_float', 'asset', 'debit', false, 'partner'),
    ('suspense:deposits', 'liability', 'credit', false, 'corridor'),
    ('suspense:payouts', 'liability', 'credit', false, 'corridor'),
    ('customer', 'liability', 'credit', true, 'customer'),
    ('payout_clearing', 'liability', 'credit', false, 'corridor'),
    ('fx_position', 'position', 'debit', false, 'corridor'),
    ('revenue', 'revenue', 'credit', false, 'corridor'),
    ('loss', 'expense', 'debit', false, 'corridor');

-- What stands is kept, and gets its number in the order of its events.
ALTER TABLE account DISABLE TRIGGER account_append_only;
ALTER TABLE entry DISABLE TRIGGER entry_append_only, DISABLE TRIGGER entry_has_lines;
ALTER TABLE posting DISABLE TRIGGER posting_append_only, DISABLE TRIGGER posting_balances;

ALTER TABLE account ADD COLUMN kind text;
UPDATE account SET kind = CASE
    WHEN split_part(account_id, ':', 1) IN (SELECT kind FROM chart) THEN split_part(account_id, ':', 1)
    ELSE split_part(account_id, ':', 1) || ':' || split_part(account_id, ':', 2) END;
ALTER TABLE account ALTER COLUMN kind SET NOT NULL, ADD FOREIGN KEY (kind) REFERENCES chart;

ALTER TABLE entry ADD COLUMN entry_seq bigint;
UPDATE entry e SET entry_seq = n.number
FROM (SELECT stream_id, row_number() OVER (ORDER BY global_seq) AS number
      FROM event WHERE stream_id IN (SELECT entry_id FROM entry) AND version = 1) n
WHERE n.stream_id = e.entry_id;
ALTER TABLE entry ALTER COLUMN entry_seq SET NOT NULL, ADD UNIQUE (entry_seq);

ALTER TABLE posting ADD COLUMN entry_seq bigint;
UPDATE posting p SET entry_seq = e.entry_seq FROM entry e WHERE e.entry_id = p.entry_id;
ALTER TABLE posting DROP CONSTRAINT posting_pkey, DROP COLUMN entry_id, ALTER COLUMN entry_seq SET NOT NULL,
    ADD PRIMARY KEY (entry_seq, line);
CREATE INDEX posting_by_account ON posting (account_id, entry_seq, line);

CREATE TABLE book_head (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    entry_seq bigint NOT NULL                -- the last one; every write of entries takes its row first
);
INSERT INTO book_head (entry_seq) SELECT count(*) FROM entry;

ALTER TABLE account ENABLE ALWAYS TRIGGER account_append_only;
ALTER TABLE entry ENABLE ALWAYS TRIGGER entry_append_only, ENABLE ALWAYS TRIGGER entry_has_lines;
ALTER TABLE posting ENABLE ALWAYS TRIGGER posting_append_only, ENABLE ALWAYS TRIGGER posting_balances;

-- The guards again, by number. Lines come with their entry, in its transaction and never later.
CREATE OR REPLACE FUNCTION guard_posting() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE culprit text;
BEGIN
    SELECT entry_seq::text INTO culprit FROM inserted
        GROUP BY entry_seq, currency
        HAVING sum(CASE side WHEN 'debit' THEN amount_minor ELSE -amount_minor END) <> 0 LIMIT 1;
    IF culprit IS NOT NULL THEN
        RAISE EXCEPTION 'entry % does not balance', culprit USING ERRCODE = 'CR004';
    END IF;
    SELECT p.account_id INTO culprit FROM (SELECT DISTINCT account_id, currency FROM inserted) p
        LEFT JOIN account a USING (account_id, currency) WHERE a.account_id IS NULL LIMIT 1;
    IF culprit IS NOT NULL THEN
        RAISE EXCEPTION 'posted to %, which is no account of that currency', culprit USING ERRCODE = 'CR004';
    END IF;
    SELECT p.entry_seq::text INTO culprit FROM (SELECT DISTINCT entry_seq FROM inserted) p
        LEFT JOIN entry e USING (entry_seq) WHERE e.xmin IS DISTINCT FROM pg_current_xact_id()::xid LIMIT 1;
    IF culprit IS NOT NULL THEN
        RAISE EXCEPTION 'lines of entry %, which is not of this transaction', culprit USING ERRCODE = 'CR004';
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION guard_entry() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE culprit text; entries bigint; first bigint; last bigint; head bigint;
BEGIN
    SELECT e.entry_seq::text INTO culprit FROM inserted e LEFT JOIN posting p USING (entry_seq)
        GROUP BY e.entry_seq HAVING count(p.line) < 2 LIMIT 1;
    IF culprit IS NOT NULL THEN
        RAISE EXCEPTION 'entry % has fewer than two lines', culprit USING ERRCODE = 'CR004';
    END IF;
    SELECT count(*), min(entry_seq), max(entry_seq) INTO entries, first, last FROM inserted;
    SELECT entry_seq INTO head FROM book_head;
    IF entries > 0 AND (last <> head OR first <> head - entries + 1) THEN
        RAISE EXCEPTION 'entries % to % are not the next ones before %', first, last, head USING ERRCODE = 'CR004';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION guard_account() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE culprit text;
BEGIN
    SELECT a.account_id INTO culprit FROM inserted a JOIN chart c USING (kind)
        WHERE (a.class, a.protected) <> (c.class, c.protected)
           OR a.currency <> substring(a.account_id FROM '[^:]+$') OR NOT starts_with(a.account_id, a.kind || ':')
        LIMIT 1;
    IF culprit IS NOT NULL THEN
        RAISE EXCEPTION 'account % is not as the chart has it', culprit USING ERRCODE = 'CR004';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER account_as_charted AFTER INSERT ON account REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION guard_account();
ALTER TABLE account ENABLE ALWAYS TRIGGER account_as_charted;

-- A balance is what its account is, and one number follows another.
CREATE FUNCTION guard_balance() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM account a
                   WHERE (a.account_id, a.currency, a.protected) = (NEW.account_id, NEW.currency, NEW.protected)) THEN
        RAISE EXCEPTION 'balance of %, which is no such account', NEW.account_id USING ERRCODE = 'CR004';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER balance_as_account AFTER INSERT ON balance FOR EACH ROW EXECUTE FUNCTION guard_balance();
CREATE TRIGGER balance_stays AFTER UPDATE ON balance FOR EACH ROW
    WHEN ((OLD.account_id, OLD.currency, OLD.protected) IS DISTINCT FROM (NEW.account_id, NEW.currency, NEW.protected)
          OR NEW.debit_minor < OLD.debit_minor OR NEW.credit_minor < OLD.credit_minor)
    EXECUTE FUNCTION refuse_book_change();
ALTER TABLE balance ENABLE ALWAYS TRIGGER balance_as_account, ENABLE ALWAYS TRIGGER balance_stays;
CREATE TRIGGER chart_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON chart
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_book_change();
CREATE TRIGGER book_head_kept BEFORE DELETE OR TRUNCATE ON book_head
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_book_change();
CREATE TRIGGER book_head_grows AFTER UPDATE ON book_head FOR EACH ROW
    WHEN (NEW.entry_seq <= OLD.entry_seq) EXECUTE FUNCTION refuse_book_change();
ALTER TABLE chart ENABLE ALWAYS TRIGGER chart_append_only;
ALTER TABLE book_head ENABLE ALWAYS TRIGGER book_head_kept, ENABLE ALWAYS TRIGGER book_head_grows;
