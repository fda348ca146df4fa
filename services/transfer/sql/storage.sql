-- As services/kernel/sql/storage.sql, for the read tables.
ALTER TABLE quote_terms_v1
    ALTER COLUMN terms SET STATISTICS 0,
    SET (autovacuum_analyze_scale_factor = 1, autovacuum_analyze_threshold = 5000);
ALTER TABLE profiles_v1
    ALTER COLUMN name SET STATISTICS 0, ALTER COLUMN account SET STATISTICS 0,
    SET (autovacuum_analyze_scale_factor = 1, autovacuum_analyze_threshold = 5000);
