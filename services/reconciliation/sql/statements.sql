-- What partners' statements say; services/kernel/migrations/versions/0009_books.py applies it.
-- Written in the transactions of their events and never changed: docs/reconciliation-statements.md has every column.

CREATE TABLE statement (
    statement_id uuid NOT NULL,              -- of tenant, partner, kind, account and reference
    head smallint NOT NULL,                  -- 1, and one more for each other head under this id: the last one counts
    seq bigint GENERATED ALWAYS AS IDENTITY,
    partner text NOT NULL,
    account text NOT NULL,                   -- as the partner names it
    ledger_account text,                     -- its path in our chart
    reference text NOT NULL,                 -- the partner's own id of the statement
    kind text NOT NULL CHECK (kind IN ('statement', 'notification')),
    source text NOT NULL,
    message text,
    file_sha256 text NOT NULL,
    currency text NOT NULL,
    sequence bigint,
    period_from date NOT NULL,
    period_to date NOT NULL,
    opening_minor bigint,                    -- negative when overdrawn
    closing_minor bigint,
    lines int NOT NULL,                      -- of the file: read, bad, and left out because they are not booked
    bad_lines int NOT NULL,
    not_booked int NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (statement_id, head)
);
CREATE INDEX statement_by_time ON statement (received_at, seq);
CREATE INDEX statement_of_account ON statement (partner, account, period_to) WHERE kind = 'statement';

-- A file of it that is in to its last line. A statement without one is still being taken, or its intake has died.
CREATE TABLE statement_delivery (
    statement_id uuid NOT NULL,
    delivery int NOT NULL,
    file_sha256 text NOT NULL,
    lines int NOT NULL,                      -- of this statement in statement_line
    repeated int NOT NULL,                   -- recorded under an earlier statement of the account
    parked int NOT NULL,
    not_booked int NOT NULL,
    credit_minor bigint NOT NULL,            -- of lines and repeated ones
    debit_minor bigint NOT NULL,
    difference_minor bigint,                 -- opening + credits - debits - closing; null without both balances
    completed_at timestamptz NOT NULL,
    PRIMARY KEY (statement_id, delivery)
);

CREATE TABLE statement_line (
    line_id uuid PRIMARY KEY,                -- of the statement's id and the entry's reference
    seq bigint GENERATED ALWAYS AS IDENTITY,
    statement_id uuid NOT NULL,
    partner text NOT NULL,
    account text NOT NULL,
    entry_reference text NOT NULL,
    reference_by text NOT NULL CHECK (reference_by IN ('servicer', 'statement', 'content')),
    position text NOT NULL,
    booking_date date,
    value_date date,
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    currency text NOT NULL,
    side text NOT NULL CHECK (side IN ('credit', 'debit')),
    reversal boolean NOT NULL,
    bank_transaction_code text,
    end_to_end_id text,
    our_reference text,
    reference_ids text[] NOT NULL,           -- other ids of the payment
    charges_minor bigint,
    details jsonb NOT NULL,                  -- [{"end_to_end_id", "our_reference", "amount": {"minor", "currency"}}]
    details_left_out int NOT NULL,
    recorded_at timestamptz NOT NULL
);
CREATE INDEX statement_line_of_statement ON statement_line (statement_id, seq);
CREATE INDEX statement_line_by_time ON statement_line (recorded_at, seq);
CREATE INDEX statement_line_of_account ON statement_line (partner, account, booking_date);
CREATE INDEX statement_line_by_end_to_end_id ON statement_line (end_to_end_id) WHERE end_to_end_id IS NOT NULL;
CREATE INDEX statement_line_by_our_reference ON statement_line (our_reference) WHERE our_reference IS NOT NULL;
CREATE INDEX statement_line_by_entry_reference ON statement_line (partner, entry_reference);

CREATE TABLE statement_line_parked (
    parked_id uuid PRIMARY KEY,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    line_id uuid NOT NULL,                   -- the line that it contradicts; its own where it could not be read
    statement_id uuid NOT NULL,
    position text NOT NULL,
    entry_reference text,
    code text NOT NULL,
    reason text NOT NULL,
    raw text NOT NULL CHECK (length(raw) <= 600),
    parked_at timestamptz NOT NULL
);
CREATE INDEX statement_line_parked_of_statement ON statement_line_parked (statement_id, seq);

CREATE FUNCTION refuse_statement_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: it is append-only', TG_OP, TG_TABLE_NAME USING ERRCODE = 'CR003';
END $$;
CREATE TRIGGER statement_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON statement
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_statement_change();
CREATE TRIGGER statement_delivery_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON statement_delivery
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_statement_change();
CREATE TRIGGER statement_line_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON statement_line
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_statement_change();
CREATE TRIGGER statement_line_parked_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON statement_line_parked
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_statement_change();

-- Also under session_replication_role = replica, which skips ordinary triggers.
ALTER TABLE statement ENABLE ALWAYS TRIGGER statement_append_only;
ALTER TABLE statement_delivery ENABLE ALWAYS TRIGGER statement_delivery_append_only;
ALTER TABLE statement_line ENABLE ALWAYS TRIGGER statement_line_append_only;
ALTER TABLE statement_line_parked ENABLE ALWAYS TRIGGER statement_line_parked_append_only;

-- The head that counts of each statement, with its last delivery.
CREATE VIEW statements AS
SELECT DISTINCT ON (s.statement_id) s.*, d.delivery, d.repeated, d.parked, d.credit_minor, d.debit_minor,
       d.difference_minor, d.completed_at,
       CASE WHEN d.completed_at >= s.received_at THEN 'complete' ELSE 'receiving' END AS state
FROM statement s
LEFT JOIN LATERAL (SELECT * FROM statement_delivery e WHERE e.statement_id = s.statement_id
                   ORDER BY e.delivery DESC LIMIT 1) d ON true
ORDER BY s.statement_id, s.head DESC;

GRANT SELECT, INSERT ON statement, statement_delivery, statement_line, statement_line_parked TO corridor_recon;
GRANT SELECT ON statements TO corridor_recon;
GRANT SELECT ON statement, statement_delivery, statement_line, statement_line_parked, statements TO corridor_oncall;
