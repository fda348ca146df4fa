"""Cursors are saved at checkpoints."""

from services.kernel.migrations.run import SCHEMAS, file, in_schema

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for schema in SCHEMAS.values():
        in_schema(schema, file("kernel/sql/checkpoint.sql"))
