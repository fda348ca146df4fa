"""The books in depth: a sequence without gaps, a chart, statements of partners."""

from services.kernel.migrations.run import LATER, ONCALL, SCHEMAS, file, in_schema, role_setting

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


LEDGER = """
GRANT SELECT, INSERT ON chart, block, balance_at TO corridor_ledger;
GRANT SELECT, UPDATE ON book_head TO corridor_ledger;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ledger TO corridor_ledger;
GRANT SELECT ON chart, book_head, block, balance_at TO {oncall};
"""
HALTS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON currency_halts_v1 TO corridor_{schema};
GRANT SELECT ON currency_halts TO corridor_{schema};
"""
VIEWS = """
CREATE OR REPLACE VIEW audit_log AS {audit};
GRANT SELECT ON entries TO {oncall};
GRANT EXECUTE ON FUNCTION state_after(text) TO {oncall};
"""
# Of a transfer and a payout every change of state is a row too, whoever made it, with what was said of it. Digits in a
# row and IBANs are masked: a partner may write an account into its reason.
MOVING = {
    "why": """CASE WHEN app.state_after(e.event_type) IS NOT NULL THEN (
           SELECT left(regexp_replace(coalesce(said ->> 'reason', said ->> 'reason_code', said ->> 'said'),
                                      '[A-Z]{2}[0-9]{2}[A-Z0-9]{8,30}|[0-9]{7,}', '***', 'g'), 300)
           FROM (SELECT convert_from(e.data, 'UTF8')::jsonb AS said) content) END""",
    "from_state": """(SELECT app.state_after(b.event_type) FROM {schema}.event b
           WHERE b.stream_id = e.stream_id AND b.version < e.version AND app.state_after(b.event_type) IS NOT NULL
             AND app.state_after(e.event_type) IS NOT NULL
           ORDER BY b.version DESC LIMIT 1)""",
    "to_state": "app.state_after(e.event_type)",
}
STANDING = {"why": "NULL", "from_state": "NULL::text", "to_state": "NULL::text"}


def audit(schema: str) -> str:
    """What people and partners did in a service, and what changed a state of money."""
    words = MOVING if schema in {"transfer", "payout"} else STANDING
    filled = {name: text.replace("{schema}", schema) for name, text in words.items()}
    return file("kernel/sql/audit_log.sql").format(schema=schema, **filled)


def upgrade() -> None:
    books = (file("kernel/sql/books.sql"), file("ledger/sql/blocks.sql"), file("ledger/sql/reads.sql"))
    in_schema("ledger", *books, LEDGER.format(oncall=ONCALL))
    in_schema("recon", file("reconciliation/sql/statements.sql"))
    for schema in ("transfer", "payout"):
        in_schema(schema, file("kernel/sql/currency_halts.sql"), HALTS.format(schema=schema))
    for schema in ("ledger", "recon", "transfer", "payout"):
        in_schema(schema, file("kernel/sql/statistics.sql"))
    schemas = (*SCHEMAS.values(), *LATER.values())
    for schema in schemas:
        in_schema(schema, file("kernel/sql/projection_mark.sql"))
    views = VIEWS.format(audit=" UNION ALL ".join(map(audit, schemas)), oncall=ONCALL)
    in_schema("app", file("kernel/sql/books_views.sql"), views)
    role_setting(ONCALL, "search_path", "app, public")  # runbooks name entries, audit_log, reconciliation_issue alone
