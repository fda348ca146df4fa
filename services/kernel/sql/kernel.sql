-- The kernel's tables, once in each service's schema (search_path names it). Nothing here knows the business.

CREATE TABLE event (
    global_seq bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    stream_id uuid NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    event_id uuid NOT NULL UNIQUE,
    event_type text NOT NULL,
    schema_version smallint NOT NULL,
    record_key uuid NOT NULL,
    data bytea NOT NULL CHECK (octet_length(data) <= 262144),  -- the exact JSON; jsonb would reorder it and break the hash
    meta bytea NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    prev_hash bytea NOT NULL,
    hash bytea NOT NULL,
    UNIQUE (stream_id, version)
);

CREATE TABLE stream_state (
    stream_id uuid PRIMARY KEY,
    tenant text NOT NULL,
    category text NOT NULL,
    record_key uuid NOT NULL,
    version integer NOT NULL,
    hash bytea NOT NULL,
    stage text NOT NULL,
    state bytea NOT NULL,
    fold smallint NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 80);

-- One row for a batch: the global sequences of its events, in order (docs/decisions/0009).
CREATE TABLE outbox (
    first_seq bigint PRIMARY KEY,
    topic text NOT NULL,
    seqs bigint[] NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_insert_threshold = -1,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- Events that can never be sent, and those behind them in their streams. They wait for a person; the others go on.
CREATE TABLE outbox_stuck (
    global_seq bigint PRIMARY KEY,
    topic text NOT NULL,
    stuck_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE consumer_offset (
    consumer text NOT NULL,
    topic text NOT NULL,
    epoch integer NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    starts integer NOT NULL DEFAULT 0,        -- assignments since the last progress: a poison that kills shows here
    suspect_offset bigint,                    -- the record that was in hand, alone, when it was last tried
    suspect_tries integer NOT NULL DEFAULT 0,
    PRIMARY KEY (consumer, topic, epoch, partition)
) WITH (fillfactor = 50);

CREATE TABLE stream_cursor (
    stream_id uuid NOT NULL,
    consumer text NOT NULL,
    source text NOT NULL,
    last_version integer NOT NULL,
    last_hash bytea NOT NULL,
    parked boolean NOT NULL DEFAULT false,
    PRIMARY KEY (stream_id, consumer, source)
) WITH (fillfactor = 80);
CREATE INDEX stream_cursor_parked ON stream_cursor (consumer) WHERE parked;

CREATE TABLE claim (
    tenant text NOT NULL,
    namespace text NOT NULL,
    value text NOT NULL,
    stream_id uuid NOT NULL,
    content text NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (namespace, value, tenant)
);

CREATE TABLE request_key (
    tenant text NOT NULL,
    principal text NOT NULL,
    key text NOT NULL,
    fingerprint text NOT NULL,
    status smallint NOT NULL,
    answer bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL DEFAULT now() + interval '7 days',  -- longer than any client's retry horizon
    PRIMARY KEY (key, principal, tenant)
);

CREATE TABLE raw_arrival (
    arrival_id uuid PRIMARY KEY,
    tenant text NOT NULL,
    source text NOT NULL,
    transport text NOT NULL,
    body bytea NOT NULL,
    headers bytea NOT NULL,
    verdict text NOT NULL,
    reference text,
    content text,
    received_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE parked_event (
    parked_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    stream_id uuid,
    version integer,
    event_type text,
    error text NOT NULL,
    fingerprint text NOT NULL,
    key bytea,
    headers bytea NOT NULL,
    value bytea,
    parked_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    UNIQUE (consumer, topic, partition, "offset")
);

CREATE TABLE side_effect (
    effect_id uuid PRIMARY KEY,
    stream_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('call', 'wake')),
    name text NOT NULL,
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    lease_until timestamptz,
    fence bigint NOT NULL DEFAULT 0,
    category text NOT NULL,
    tenant text NOT NULL,
    correlation_id uuid NOT NULL,
    traceparent text
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX side_effect_due ON side_effect (kind, due_at);

CREATE TABLE projection_registry (
    name text NOT NULL,
    version integer NOT NULL,
    status text NOT NULL CHECK (status IN ('building', 'catching_up', 'ready', 'live', 'retired')),
    target jsonb NOT NULL DEFAULT '{}',
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, version)
);

-- CR001: somebody else made or moved a row meanwhile, the whole batch runs again. CR002: this consumer lost its fence.
CREATE FUNCTION corridor_raise(state text, part text) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'corridor: % did not touch all of its rows', part USING ERRCODE = state;
END $$;

CREATE FUNCTION corridor_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: it is append-only', TG_OP, TG_TABLE_NAME USING ERRCODE = 'CR003';
END $$;

CREATE TRIGGER event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event
    FOR EACH STATEMENT EXECUTE FUNCTION corridor_refuse_change();
CREATE TRIGGER claim_never_released BEFORE UPDATE OR DELETE OR TRUNCATE ON claim
    FOR EACH STATEMENT EXECUTE FUNCTION corridor_refuse_change();
CREATE TRIGGER raw_arrival_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON raw_arrival
    FOR EACH STATEMENT EXECUTE FUNCTION corridor_refuse_change();
