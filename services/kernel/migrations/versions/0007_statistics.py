"""Cheap analyses, and a list of waiting money that lets a stream move inside its page."""

from services.kernel.migrations.run import SCHEMAS, file, in_schema

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    in_schema("transfer", file("transfer/sql/storage.sql"))
    in_schema("deposit", file("deposit_watcher/sql/waiting_hot.sql"))
    for schema in SCHEMAS.values():
        in_schema(schema, file("kernel/sql/statistics.sql"))
