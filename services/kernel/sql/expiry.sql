-- Request keys past their time may go (services/kernel/expiry.py).

CREATE INDEX request_key_expires ON request_key (expires_at);

-- With its owner's rights, so that a service can delete no key that lives: the batch and the condition are not the caller's
-- to choose. SKIP LOCKED, because two processes of a service take different keys and neither waits for the other.
-- The body is bound to this schema's table when it is made: no search_path of a caller leads it elsewhere.
CREATE FUNCTION delete_expired_request_keys() RETURNS bigint LANGUAGE sql SECURITY DEFINER
BEGIN ATOMIC
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
REVOKE EXECUTE ON FUNCTION delete_expired_request_keys() FROM PUBLIC;
