-- As storage.sql, for the books.
ALTER TABLE entry SET (autovacuum_analyze_scale_factor = 1, autovacuum_analyze_threshold = 5000);
ALTER TABLE posting SET (autovacuum_analyze_scale_factor = 1, autovacuum_analyze_threshold = 5000);
