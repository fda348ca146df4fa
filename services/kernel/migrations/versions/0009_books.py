"""The books in depth: a sequence without gaps, a chart, statements of partners."""

from services.kernel.migrations.run import ONCALL, file, in_schema

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


def upgrade() -> None:
    books = (file("kernel/sql/books.sql"), file("ledger/sql/blocks.sql"), file("ledger/sql/reads.sql"))
    in_schema("ledger", *books, LEDGER.format(oncall=ONCALL))
    in_schema("recon", file("reconciliation/sql/statements.sql"))
    for schema in ("ledger", "recon"):
        in_schema(schema, file("kernel/sql/statistics.sql"))
