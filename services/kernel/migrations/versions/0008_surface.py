"""What on-call, partners and reviewers look at: lists, look-ups, sessions; two services more that read all topics."""

from services.kernel.migrations.run import (
    LATER,
    ONCALL,
    OPERATIONS,
    SCHEMAS,
    file,
    in_schema,
    role,
    role_member,
    script,
    service_schema,
)

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SINCE = ("expiry", "storage", "checkpoint", "statistics")  # 0003 to 0007, of the tables of the kernel
KEYS = """
SELECT '{schema}' AS service, tenant, principal, key, fingerprint, status,
       convert_from(answer, 'UTF8') AS answer, created_at, expires_at
FROM {schema}.request_key"""
LOOKUPS = """
GRANT SELECT, INSERT, UPDATE ON request_conflict TO corridor_{schema};
GRANT SELECT ON request_conflict TO {oncall};
"""
# What people and partners did. What services made of it has a service as its actor, and is in the streams.
AUDIT = """
SELECT '{schema}' AS service, e.occurred_at AS at, said.meta ->> 'actor' AS actor, e.event_type AS action,
       split_part(e.event_type, '.', 2) AS entity_type, e.stream_id AS entity_id, said.meta ->> 'reason' AS reason,
       said.meta ->> 'tenant' AS tenant, (said.meta ->> 'correlation_id')::uuid AS correlation_id,
       e.event_id, e.version, e.recorded_at
FROM {schema}.event e
CROSS JOIN LATERAL (SELECT convert_from(e.meta, 'UTF8')::jsonb AS meta OFFSET 0) said
WHERE said.meta ->> 'actor' NOT LIKE 'service:%'"""
VIEWS = """
CREATE VIEW audit_log AS {audit};
GRANT SELECT ON audit_log, payout_instruction, transfer_transition TO {oncall};
"""
ROOMS = {"core": "core_api", "transfer": "transfer", "deposit": "deposit_watcher", "payout": "payout_orchestrator"}


def upgrade() -> None:
    for schema in LATER.values():
        service_schema(schema, *(file(f"kernel/sql/{name}.sql") for name in SINCE))
        script(f"GRANT SELECT ON public.alembic_version TO corridor_{schema};")
    keys = " UNION ALL ".join(KEYS.format(schema=schema) for schema in (*SCHEMAS.values(), *LATER.values()))
    in_schema("app", f"CREATE OR REPLACE VIEW app.idempotency_keys AS {keys};")
    for schema, service in (ROOMS | {schema: service for service, schema in LATER.items()}).items():
        in_schema(schema, file(f"{service}/sql/surface.sql"))
    for schema in (*SCHEMAS.values(), *LATER.values()):
        in_schema(schema, file("kernel/sql/lookups.sql"), LOOKUPS.format(schema=schema, oncall=ONCALL))
    in_schema("payout", file("payout_orchestrator/sql/reviews.sql"))
    audit = " UNION ALL ".join(AUDIT.format(schema=schema) for schema in (*SCHEMAS.values(), *LATER.values()))
    in_schema("app", file("kernel/sql/oncall_views.sql"), VIEWS.format(audit=audit, oncall=ONCALL))
    role_member(ONCALL, "pg_read_all_stats")  # what a session waits for, and since when: statements, no rows
    role(OPERATIONS, "LOGIN")
    script(f"GRANT SELECT ON public.alembic_version TO {OPERATIONS};")
    for schema in (*SCHEMAS.values(), *LATER.values()):  # last: they name the tables that there are
        in_schema(schema, file("kernel/sql/statistics.sql"), file("kernel/sql/operations.sql"))
