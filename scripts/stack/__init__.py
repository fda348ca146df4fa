"""PostgreSQL and a Kafka broker as real local processes, for tests, demo, `make up`, bench and chaos."""
