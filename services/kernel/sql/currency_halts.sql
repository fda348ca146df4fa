-- Of a service that starts to move money: in which currencies it must not, as corridor.ledger.* says. A read table (kernel/halts.py).

CREATE TABLE currency_halts_v1 (
    halt_id uuid,
    currency text,
    halted boolean,
    changed_at timestamptz,
    PRIMARY KEY (halt_id)
) WITH (fillfactor = 85);
CREATE VIEW currency_halts AS SELECT * FROM currency_halts_v1;
INSERT INTO projection_registry (name, version, status) VALUES ('currency_halts', 1, 'live');
GRANT SELECT ON currency_halts_v1, currency_halts TO corridor_operations, corridor_oncall;
