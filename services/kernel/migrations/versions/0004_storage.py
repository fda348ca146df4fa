"""How hot tables are kept: room for rows that move, and no analysis of bytes at each tenth that a table grows."""

from services.kernel.migrations.run import SCHEMAS, file, in_schema

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for schema in SCHEMAS.values():
        in_schema(schema, file("kernel/sql/storage.sql"))
    in_schema("ledger", file("kernel/sql/storage_book.sql"))
