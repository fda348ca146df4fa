-- What services are asked for past their lists: what became of a request key, what is parked (services/kernel/internal.py).

-- The last other request under an Idempotency-Key: one row a key. It goes when the key can no longer be asked for.
CREATE TABLE request_conflict (
    tenant text NOT NULL,
    principal text NOT NULL,
    key text NOT NULL,
    fingerprint text NOT NULL,
    times integer NOT NULL DEFAULT 1,
    last_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (key, principal, tenant)
);
CREATE INDEX request_conflict_last_at ON request_conflict (last_at);

CREATE OR REPLACE FUNCTION delete_expired_request_keys() RETURNS bigint LANGUAGE sql SECURITY DEFINER
BEGIN ATOMIC
    DELETE FROM request_conflict
    WHERE ctid = ANY (ARRAY(
        SELECT ctid
        FROM request_conflict
        WHERE last_at <= now() - interval '7 days'
        ORDER BY last_at
        LIMIT 1000
        FOR UPDATE SKIP LOCKED
    ));
    WITH gone AS (
        DELETE FROM request_key
        WHERE ctid = ANY (ARRAY(
            SELECT ctid
            FROM request_key
            WHERE expires_at <= now()
            ORDER BY expires_at
            LIMIT 1000
            FOR UPDATE SKIP LOCKED
        ))
        RETURNING 1
    )
    SELECT count(*) FROM gone;
END;

CREATE INDEX parked_event_open ON parked_event (consumer, topic, stream_id) WHERE resolved_at IS NULL;
