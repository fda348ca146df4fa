-- The keys of persons, apart from every service's schema: not restored from events, and a destroyed key stays destroyed.
DO $$ BEGIN IF to_regnamespace('vault') IS NULL THEN CREATE SCHEMA vault; END IF; END $$;  -- the owner may not create schemas

CREATE TABLE data_key (
    tenant       text        NOT NULL,
    subject      uuid        NOT NULL,
    version      int         NOT NULL CHECK (version > 0),
    kek_id       text        NOT NULL,
    wrapped      bytea,                                     -- nonce and the key under the KEK; null once destroyed
    created_at   timestamptz NOT NULL DEFAULT now(),
    destroyed_at timestamptz,
    PRIMARY KEY (tenant, subject, version),
    CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL))
);

COMMENT ON TABLE data_key IS
    'AES-256 keys, one for each person and version, wrapped by the key that kek_id names. Destroying one erases a person.';
