-- How the hot tables are kept. Statements have generic plans over arrays and keys, so statistics change nothing but the
-- estimate of a table's size: an analysis at each doubling serves as well as one at each tenth, and none needs to read the
-- bytes. Every analysis also makes each session plan its statements anew. Measured: a tenth of PostgreSQL's time under load.

ALTER TABLE event
    ALTER COLUMN data SET STATISTICS 0, ALTER COLUMN meta SET STATISTICS 0, ALTER COLUMN hash SET STATISTICS 0,
    ALTER COLUMN prev_hash SET STATISTICS 0,
    SET (autovacuum_analyze_scale_factor = 1, autovacuum_analyze_threshold = 5000);
-- rows that move a few times while they are young: room in the page, so that a move does not touch the indexes
ALTER TABLE stream_state
    ALTER COLUMN state SET STATISTICS 0, ALTER COLUMN hash SET STATISTICS 0,
    SET (fillfactor = 60, autovacuum_analyze_scale_factor = 1, autovacuum_analyze_threshold = 5000);
ALTER TABLE stream_cursor
    ALTER COLUMN last_hash SET STATISTICS 0,
    SET (fillfactor = 50, autovacuum_analyze_scale_factor = 1, autovacuum_analyze_threshold = 5000);
ALTER TABLE side_effect SET (autovacuum_analyze_scale_factor = 1, autovacuum_analyze_threshold = 5000);
ALTER TABLE claim SET (autovacuum_analyze_scale_factor = 1, autovacuum_analyze_threshold = 5000);
ALTER TABLE request_key
    ALTER COLUMN answer SET STATISTICS 0,
    SET (autovacuum_analyze_scale_factor = 1, autovacuum_analyze_threshold = 5000);
ALTER TABLE raw_arrival
    ALTER COLUMN body SET STATISTICS 0, ALTER COLUMN headers SET STATISTICS 0,
    SET (autovacuum_analyze_scale_factor = 1, autovacuum_analyze_threshold = 5000);
