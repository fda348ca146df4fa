"""Roles, the kernel's tables in each service's schema, the ledger's book, the vault, the on-call's views."""

from services.kernel.migrations.run import (
    ONCALL,
    OWNER,
    SCHEMAS,
    file,
    in_schema,
    role,
    role_setting,
    script,
    service_schema,
)

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BOOK = """
GRANT SELECT, INSERT ON account, entry, posting TO {role};
GRANT SELECT, INSERT, UPDATE ON balance TO {role};
"""
VIEWS = """
CREATE VIEW app.idempotency_keys AS {keys};
GRANT USAGE ON SCHEMA app TO {oncall};
GRANT SELECT ON ALL TABLES IN SCHEMA app TO {oncall};
"""
KEYS = """
SELECT '{schema}' AS service, tenant, principal, key, fingerprint, status,
       convert_from(answer, 'UTF8') AS answer, created_at, expires_at
FROM {schema}.request_key"""


def upgrade() -> None:
    role(OWNER, "NOLOGIN")
    role(ONCALL, "LOGIN")
    role_setting(ONCALL, "default_transaction_read_only", "on")
    role_setting(ONCALL, "statement_timeout", "60s")
    for schema in SCHEMAS.values():
        service_schema(schema)
    in_schema("deposit", file("deposit_watcher/sql/waiting.sql"))
    in_schema("ledger", file("kernel/sql/book.sql"), BOOK.format(role="corridor_ledger"), _oncall("ledger"))
    script(f"CREATE SCHEMA vault AUTHORIZATION {OWNER}; CREATE SCHEMA app AUTHORIZATION {OWNER};")
    in_schema("vault", file("kernel/sql/vault.sql"), _vault_grants())
    keys = " UNION ALL ".join(KEYS.format(schema=schema) for schema in SCHEMAS.values())
    in_schema("app", VIEWS.format(keys=keys, oncall=ONCALL))
    everybody = ", ".join([ONCALL, *(f"corridor_{schema}" for schema in SCHEMAS.values())])
    script(f"GRANT SELECT ON public.alembic_version TO {everybody};")  # readiness compares it with the code's head


def _oncall(schema: str) -> str:
    return f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {ONCALL};"


def _vault_grants() -> str:
    return """GRANT USAGE ON SCHEMA vault TO corridor_core, corridor_payout;
        GRANT SELECT ON vault.data_key TO corridor_core, corridor_payout;
        GRANT INSERT, UPDATE ON vault.data_key TO corridor_core;"""
