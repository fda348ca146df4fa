-- What `ops-cli` may do past HTTP: read the kernel's tables, and make a read table anew beside the live one. The role owns
-- nothing: each step that does is a function with its owner's rights, bound to this schema, that touches the tables of the
-- registry and no other. Events, states and the live read table are out of its reach.

-- For the functions below: this schema, and last of all what a caller might have made under the same names.
SELECT set_config('search_path', current_schema() || ', pg_temp', true);

-- The table of a version.
CREATE FUNCTION projection_table(projection text, number integer) RETURNS text LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT projection || '_v' || number;
END;

-- The version behind the view, its row locked: who changes versions comes one after the other.
CREATE FUNCTION projection_live(projection text) RETURNS integer LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE found integer;
BEGIN
    SELECT version INTO found FROM projection_registry WHERE name = projection AND status = 'live' FOR UPDATE;
    IF found IS NULL THEN
        RAISE EXCEPTION 'no projection % here', projection USING ERRCODE = 'CR006';
    END IF;
    RETURN found;
END $$;

-- Delete the versions that nobody reads: retired for as long as a process needs to notice it. Their numbers are not used again.
CREATE FUNCTION projection_clear(service text, projection text) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE old record;
BEGIN
    FOR old IN
        SELECT version
        FROM projection_registry
        WHERE name = projection AND status = 'retired' AND changed_at < now() - interval '60 seconds'
            AND to_regclass(quote_ident(projection_table(projection, version))) IS NOT NULL
    LOOP
        EXECUTE format('DROP TABLE %I', projection_table(projection, old.version));
        DELETE FROM stream_cursor WHERE consumer = service || '.' || projection || '.v' || old.version;
        UPDATE parked_event SET resolved_at = now()
            WHERE consumer = service || '.' || projection || '.v' || old.version AND resolved_at IS NULL;
    END LOOP;
END $$;

-- The next version: an empty table like the live one, with its indexes, its storage and its grants.
CREATE FUNCTION projection_begin(service text, projection text) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    live integer := projection_live(projection);
    number integer;
    made text;
    options text;
    found record;
BEGIN
    UPDATE projection_registry SET status = 'retired', changed_at = now()
        WHERE name = projection AND status IN ('building', 'catching_up', 'ready');
    PERFORM projection_clear(service, projection);
    SELECT max(version) + 1 INTO number FROM projection_registry WHERE name = projection;
    made := projection_table(projection, number);
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', made, projection_table(projection, live));
    SELECT array_to_string(reloptions, ', ') INTO options
        FROM pg_class WHERE oid = quote_ident(projection_table(projection, live))::regclass;
    IF options IS NOT NULL THEN
        EXECUTE format('ALTER TABLE %I SET (%s)', made, options);
    END IF;
    FOR found IN
        SELECT attname, attstattarget
        FROM pg_attribute
        WHERE attrelid = quote_ident(projection_table(projection, live))::regclass
            AND attnum > 0 AND NOT attisdropped AND coalesce(attstattarget, -1) >= 0
    LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET STATISTICS %s', made, found.attname, found.attstattarget);
    END LOOP;
    FOR found IN
        SELECT privilege_type, grantee::regrole AS who
        FROM pg_class, aclexplode(relacl)
        WHERE oid = quote_ident(projection_table(projection, live))::regclass AND grantee NOT IN (0, relowner)
    LOOP
        EXECUTE format('GRANT %s ON %I TO %s', found.privilege_type, made, found.who);
    END LOOP;
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO corridor_operations', made);
    INSERT INTO projection_registry (name, version, status) VALUES (projection, number, 'building');
    RETURN number;
END $$;

-- Note how far it has come, or what becomes of it. The live version is none of this function's business.
CREATE FUNCTION projection_mark(projection text, number integer, became text, progress jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM projection_live(projection);
    IF became NOT IN ('building', 'catching_up', 'retired')
        OR (became = 'catching_up' AND to_regclass(quote_ident(projection_table(projection, number))) IS NULL) THEN
        RAISE EXCEPTION 'version % of % cannot become %', number, projection, became USING ERRCODE = 'CR006';
    END IF;
    IF became = 'catching_up' THEN  -- nobody writes to it any more but services
        EXECUTE format('ANALYZE %I', projection_table(projection, number));  -- first: autovacuum may be at it
        EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON %I FROM corridor_operations', projection_table(projection, number));
    END IF;
    UPDATE projection_registry SET status = became, target = progress, changed_at = now()
        WHERE name = projection AND version = number AND status <> 'live';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'version % of % is live, or does not exist', number, projection USING ERRCODE = 'CR006';
    END IF;
END $$;

-- Let the view show this version, unless it is behind the one that is shown now: who has seen a row goes on seeing it.
-- The positions of both stand still meanwhile.
CREATE FUNCTION projection_swap(service text, projection text, number integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '1s' AS $$
DECLARE
    live integer := projection_live(projection);
    old_consumer text := service || '.' || projection || '.v' || live;
    new_consumer text := service || '.' || projection || '.v' || number;
BEGIN
    PERFORM 1 FROM projection_registry WHERE name = projection AND version = number AND status = 'catching_up' FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'version % of % is not ready', number, projection USING ERRCODE = 'CR006';
    END IF;
    PERFORM 1 FROM consumer_offset WHERE consumer IN (old_consumer, new_consumer)
        ORDER BY consumer, topic, epoch, partition FOR UPDATE;
    IF NOT EXISTS (SELECT FROM consumer_offset WHERE consumer = new_consumer) OR EXISTS (
        SELECT FROM consumer_offset o
        WHERE o.consumer = old_consumer
            -- of topics that were made anew: the one that is now
            AND o.epoch = (SELECT max(epoch) FROM consumer_offset WHERE consumer = old_consumer AND topic = o.topic)
            AND o.next_offset > coalesce((
            SELECT n.next_offset FROM consumer_offset n
            WHERE n.consumer = new_consumer AND (n.topic, n.epoch, n.partition) = (o.topic, o.epoch, o.partition)), 0)
    ) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE OR REPLACE VIEW %I AS SELECT * FROM %I', projection, projection_table(projection, number));
    UPDATE projection_registry SET status = 'retired', changed_at = now() WHERE name = projection AND version = live;
    UPDATE projection_registry SET status = 'live', changed_at = now() WHERE name = projection AND version = number;
    RETURN true;
END $$;

-- What is beside the rows of a version: cursors, positions, records that could not be applied. A service would take a cursor
-- that it finds for its own and pass over what it says was taken: so these are of a version that is being built, or nobody's.
CREATE FUNCTION projection_consumer(service text, projection text, number integer) RETURNS text
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM 1 FROM projection_registry WHERE name = projection AND version = number AND status = 'building';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'version % of % is not being built', number, projection USING ERRCODE = 'CR006';
    END IF;
    RETURN service || '.' || projection || '.v' || number;
END $$;

CREATE FUNCTION projection_cursors(
    service text, projection text, number integer, of_topic text, streams uuid[], versions integer[], hashes bytea[],
    are_parked boolean[]
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE built text := projection_consumer(service, projection, number);
BEGIN
    INSERT INTO stream_cursor (stream_id, consumer, source, last_version, last_hash, parked)
        SELECT r.stream_id, built, of_topic, r.last_version, r.last_hash, r.parked
        FROM unnest(streams, versions, hashes, are_parked) AS r(stream_id, last_version, last_hash, parked)
        ON CONFLICT (stream_id, consumer, source) DO UPDATE
            SET last_version = excluded.last_version, last_hash = excluded.last_hash, parked = excluded.parked;
END $$;

CREATE FUNCTION projection_positions(
    service text, projection text, number integer, of_topic text, of_epoch integer, partitions integer[], ends bigint[]
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE built text := projection_consumer(service, projection, number);
BEGIN
    INSERT INTO consumer_offset (consumer, topic, epoch, partition, next_offset, checkpoint, taken)
        SELECT built, of_topic, of_epoch, r.at, r.behind, r.behind, r.behind FROM unnest(partitions, ends) AS r(at, behind);
END $$;

CREATE FUNCTION projection_parked(service text, projection text, number integer, records jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE built text := projection_consumer(service, projection, number);
BEGIN
    INSERT INTO parked_event (consumer, topic, partition, "offset", stream_id, version, event_type, error, fingerprint, key,
                              headers, value)
        SELECT built, r.topic, r.partition, r."offset", r.stream_id, r.version, r.event_type, r.error, r.fingerprint,
               decode(r.key, 'base64'), decode(r.headers, 'base64'), decode(r.value, 'base64')
        FROM jsonb_to_recordset(records) AS r(
            topic text, partition integer, "offset" bigint, stream_id uuid, version integer, event_type text, error text,
            fingerprint text, key text, headers text, value text);
END $$;

REVOKE EXECUTE ON FUNCTION projection_table, projection_live, projection_clear, projection_begin, projection_mark,
    projection_swap, projection_consumer, projection_cursors, projection_positions, projection_parked FROM PUBLIC;
GRANT EXECUTE ON FUNCTION projection_table, projection_begin, projection_mark, projection_swap, projection_cursors,
    projection_positions, projection_parked TO corridor_operations;
GRANT SELECT ON event, stream_state, outbox, outbox_stuck, consumer_offset, stream_cursor, parked_event, projection_registry
    TO corridor_operations;

-- The read tables that there are, and those to come.
DO $$
DECLARE found record;
BEGIN
    FOR found IN SELECT projection_table(name, version) AS made, name FROM projection_registry LOOP
        EXECUTE format('GRANT SELECT ON %I, %I TO corridor_operations', found.made, found.name);
    END LOOP;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO corridor_operations', current_schema());
END $$;
