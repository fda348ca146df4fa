-- Read tables of this service; services/kernel/migrations/versions/0008_surface.py applies it.
-- What each topic says of each transfer, each behind a view of its name; a test holds them to their definitions in code.

CREATE TABLE transfers_v1 (
    transfer_id uuid,
    state text,
    route_id uuid,
    customer_id uuid,
    send_minor bigint,
    send_currency text,
    fee_minor bigint,
    spread_minor bigint,
    converted_minor bigint,
    receive_minor bigint,
    receive_currency text,
    received_minor bigint,
    received_currency text,
    funded boolean,
    payout_id uuid,
    moved_at timestamptz,
    PRIMARY KEY (transfer_id)
) WITH (fillfactor = 85);

CREATE TABLE deposits_v1 (
    route_id uuid,
    transfer_id uuid,
    attributed bytea,                        -- JSON: minor units by <partner>:<currency>
    unattributed bytea,
    unattributed_at timestamptz,
    confirmed_minor bigint,
    confirmed_currency text,
    moved_at timestamptz,
    PRIMARY KEY (route_id)
) WITH (fillfactor = 85);
CREATE INDEX deposits_v1_by_transfer ON deposits_v1 (transfer_id) WHERE transfer_id IS NOT NULL;
CREATE INDEX deposits_v1_unattributed ON deposits_v1 (route_id) WHERE unattributed_at IS NOT NULL;

CREATE TABLE payouts_v1 (
    payout_id uuid,
    transfer_id uuid,
    state text,
    amount_minor bigint,
    currency text,
    partner text,
    submitted boolean,
    sent boolean,
    confirmed_minor bigint,
    confirmed_currency text,
    moved_at timestamptz,
    PRIMARY KEY (payout_id)
) WITH (fillfactor = 85);
CREATE INDEX payouts_v1_by_transfer ON payouts_v1 (transfer_id);

CREATE TABLE bookings_v1 (
    booking_id uuid,                         -- the transfer's, or the entry's where there is none
    transfer_id uuid,
    booked bytea,                            -- JSON: debits less credits in minor units, by kind of entry and account
    moved_at timestamptz,
    PRIMARY KEY (booking_id)
) WITH (fillfactor = 85);
CREATE INDEX bookings_v1_of_none ON bookings_v1 (booking_id) WHERE transfer_id IS NULL;

CREATE VIEW transfers AS SELECT * FROM transfers_v1;
CREATE VIEW deposits AS SELECT * FROM deposits_v1;
CREATE VIEW payouts AS SELECT * FROM payouts_v1;
CREATE VIEW bookings AS SELECT * FROM bookings_v1;
INSERT INTO projection_registry (name, version, status)
VALUES ('transfers', 1, 'live'), ('deposits', 1, 'live'), ('payouts', 1, 'live'), ('bookings', 1, 'live');

-- The partners' book as it was read last: theirs, copied so that it can be joined. A run makes it equal again.
CREATE TABLE provider_payment (
    seq bigint PRIMARY KEY,                  -- theirs: what is booked twice under one id is there twice
    payment_id text NOT NULL,                -- our payout's id, if it is ours
    transfer_id uuid,                        -- as its remittance information says
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    status text NOT NULL,
    accepted_at timestamptz NOT NULL,
    settled_at timestamptz
) WITH (fillfactor = 85);
CREATE INDEX provider_payment_by_transfer ON provider_payment (transfer_id, payment_id);

CREATE TABLE provider_deposit (
    seq bigint PRIMARY KEY,
    partner text NOT NULL,
    reference text NOT NULL,
    route_id uuid NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    booked_at timestamptz NOT NULL
);
CREATE INDEX provider_deposit_by_route ON provider_deposit (route_id);

-- What the runs have found: written in the transactions of their events.
CREATE TABLE reconciliation_run (
    run_id uuid PRIMARY KEY,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    status text NOT NULL CHECK (status IN ('running', 'completed', 'failed')),
    trigger text NOT NULL,
    requested_by text NOT NULL,
    reason text NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    watermark timestamptz,
    transfers bigint,
    not_judged bigint,
    issues_opened bigint,
    issues_cleared bigint,
    issues_open bigint,
    issues_by_code jsonb,
    totals jsonb,
    failure text
);
CREATE INDEX reconciliation_run_by_start ON reconciliation_run (started_at, seq);
CREATE INDEX reconciliation_run_under_way ON reconciliation_run (run_id) WHERE status = 'running';

CREATE TABLE reconciliation_issue (
    issue_id uuid PRIMARY KEY,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    run_id uuid NOT NULL,                    -- that saw it first
    code text NOT NULL,
    subject text NOT NULL,
    transfer_id uuid,
    currency text,
    expected_minor bigint,
    actual_minor bigint,
    details text NOT NULL,
    opened_at timestamptz NOT NULL,
    cleared_at timestamptz,                  -- null: the books still differ
    cleared_run_id uuid
);
CREATE INDEX reconciliation_issue_by_time ON reconciliation_issue (opened_at, seq);
CREATE INDEX reconciliation_issue_open ON reconciliation_issue (subject) WHERE cleared_at IS NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON transfers_v1, deposits_v1, payouts_v1, bookings_v1, provider_payment,
    provider_deposit TO corridor_recon;
GRANT SELECT ON transfers, deposits, payouts, bookings TO corridor_recon;
GRANT SELECT, INSERT, UPDATE ON reconciliation_run, reconciliation_issue TO corridor_recon;
GRANT SELECT ON transfers_v1, deposits_v1, payouts_v1, bookings_v1, transfers, deposits, payouts, bookings,
    provider_payment, provider_deposit, reconciliation_run, reconciliation_issue TO corridor_oncall;

-- For the on-call. `run_id` is the run that saw the issue first; every later run up to `cleared_run_id` saw it too.
CREATE VIEW app.reconciliation_issue AS
SELECT i.issue_id, i.run_id, i.transfer_id, i.code, i.details, i.subject, i.currency, i.expected_minor, i.actual_minor,
       CASE WHEN i.cleared_at IS NULL THEN 'open' ELSE 'cleared' END AS state, i.opened_at, i.cleared_at,
       i.cleared_run_id
FROM reconciliation_issue i;
CREATE VIEW app.reconciliation_run AS SELECT * FROM reconciliation_run;
GRANT SELECT ON app.reconciliation_issue, app.reconciliation_run TO corridor_oncall;
