"""The books in depth: a sequence without gaps, a chart, statements of partners."""

from services.kernel.migrations.run import ONCALL, file, in_schema

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


LEDGER = """
GRANT SELECT, INSERT ON chart TO corridor_ledger;
GRANT SELECT, UPDATE ON book_head TO corridor_ledger;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ledger TO corridor_ledger;
GRANT SELECT ON chart, book_head TO {oncall};
"""


def upgrade() -> None:
    in_schema("ledger", file("kernel/sql/books.sql"), LEDGER.format(oncall=ONCALL))
    in_schema("recon", file("reconciliation/sql/statements.sql"))
    for schema in ("ledger", "recon"):
        in_schema(schema, file("kernel/sql/statistics.sql"))
