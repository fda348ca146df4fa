-- Read tables of this service; services/kernel/migrations/versions/0008_surface.py applies it. A test holds the tables to
-- their definitions in code.

CREATE TABLE deposit_items_v1 (
    item_id uuid,
    reason text,                             -- services/review/domain/reasons.py
    subject_id uuid,                         -- the stream
    transfer_id uuid,
    amount_minor bigint,                     -- null: no money is in question, or an older release did not say
    currency text,
    opened_at timestamptz,
    closed_at timestamptz,                   -- null while it waits for a person
    opened_by text,                          -- event type
    closed_by text,
    detail text,
    facts bytea,                             -- JSON of the last event that kept it open
    PRIMARY KEY (item_id)
) WITH (fillfactor = 85);
CREATE INDEX deposit_items_open ON deposit_items_v1 (opened_at, item_id) WHERE closed_at IS NULL;
CREATE INDEX deposit_items_closed ON deposit_items_v1 (opened_at, item_id) WHERE closed_at IS NOT NULL;

CREATE TABLE payout_items_v1 (LIKE deposit_items_v1 INCLUDING ALL) WITH (fillfactor = 85);
CREATE TABLE transfer_items_v1 (LIKE deposit_items_v1 INCLUDING ALL) WITH (fillfactor = 85);
CREATE TABLE issue_items_v1 (LIKE deposit_items_v1 INCLUDING ALL) WITH (fillfactor = 85);

CREATE VIEW deposit_items AS SELECT * FROM deposit_items_v1;
CREATE VIEW payout_items AS SELECT * FROM payout_items_v1;
CREATE VIEW transfer_items AS SELECT * FROM transfer_items_v1;
CREATE VIEW issue_items AS SELECT * FROM issue_items_v1;

-- Everything that waits for a person, or did, but parked streams: no event says those (GET /v1/reviews has them).
CREATE VIEW review_item AS
SELECT 'deposit_watcher'::text AS service, d.* FROM deposit_items d
UNION ALL SELECT 'payout_orchestrator', p.* FROM payout_items p
UNION ALL SELECT 'transfer', t.* FROM transfer_items t
UNION ALL SELECT 'reconciliation', i.* FROM issue_items i;

INSERT INTO projection_registry (name, version, status) VALUES
    ('deposit_items', 1, 'live'), ('payout_items', 1, 'live'), ('transfer_items', 1, 'live'),
    ('issue_items', 1, 'live');

GRANT SELECT, INSERT, UPDATE, DELETE ON deposit_items_v1, payout_items_v1, transfer_items_v1, issue_items_v1
    TO corridor_review;
GRANT SELECT ON deposit_items, payout_items, transfer_items, issue_items, review_item TO corridor_review, corridor_oncall;
GRANT SELECT ON deposit_items_v1, payout_items_v1, transfer_items_v1, issue_items_v1 TO corridor_oncall;
