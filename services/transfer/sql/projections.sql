-- Read tables of the transfer service, each behind a view of its name; a test holds them to their definitions in code.

CREATE TABLE quote_terms_v1 (
    quote_id uuid,
    customer_id uuid,
    terms bytea,                             -- JSON of corridor.quote.created.v1
    PRIMARY KEY (quote_id)
) WITH (fillfactor = 85);

CREATE TABLE profiles_v1 (
    profile_id uuid,
    customer_id uuid,
    kind text,
    country text,
    kyc text,
    name bytea,                              -- JSON of Sealed
    account bytea,                           -- JSON of Sealed; null for a sender
    PRIMARY KEY (profile_id)
) WITH (fillfactor = 85);

CREATE VIEW quote_terms AS SELECT * FROM quote_terms_v1;
CREATE VIEW profiles AS SELECT * FROM profiles_v1;

INSERT INTO projection_registry (name, version, status) VALUES ('quote_terms', 1, 'live'), ('profiles', 1, 'live');
