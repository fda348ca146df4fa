"""The whole system on one machine: PostgreSQL, broker, sandbox and the services, each a process that is kept alive."""
