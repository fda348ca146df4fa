-- projection_mark as in operations.sql, but a version that a rebuild gave up half way is never caught up, shown or swapped:
-- it has rows or cursors, and no position that says to what they belong.

CREATE OR REPLACE FUNCTION projection_mark(projection text, number integer, became text, progress jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE begun boolean;
BEGIN
    PERFORM projection_live(projection);
    IF became NOT IN ('building', 'catching_up', 'retired')
        OR (became = 'catching_up' AND to_regclass(quote_ident(projection_table(projection, number))) IS NULL) THEN
        RAISE EXCEPTION 'version % of % cannot become %', number, projection, became USING ERRCODE = 'CR006';
    END IF;
    IF became = 'catching_up' THEN  -- nobody writes to it any more but services
        IF NOT EXISTS (SELECT FROM consumer_offset WHERE consumer LIKE '%.' || projection || '.v' || number) THEN
            EXECUTE format('SELECT EXISTS (SELECT FROM %I)', projection_table(projection, number)) INTO begun;
            IF begun OR EXISTS (SELECT FROM stream_cursor WHERE consumer LIKE '%.' || projection || '.v' || number) THEN
                RAISE EXCEPTION 'version % of % was given up half way', number, projection USING ERRCODE = 'CR006';
            END IF;
        END IF;
        EXECUTE format('ANALYZE %I', projection_table(projection, number));  -- first: autovacuum may be at it
        EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON %I FROM corridor_operations', projection_table(projection, number));
    END IF;
    UPDATE projection_registry SET status = became, target = progress, changed_at = now()
        WHERE name = projection AND version = number AND status <> 'live';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'version % of % is live, or does not exist', number, projection USING ERRCODE = 'CR006';
    END IF;
END $$;
