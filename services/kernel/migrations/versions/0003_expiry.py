"""Request keys past their time are found by an index, and deleted by a function that deletes nothing else."""

from services.kernel.migrations.run import SCHEMAS, file, in_schema

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

GRANTS = "GRANT EXECUTE ON FUNCTION delete_expired_request_keys() TO {role};"


def upgrade() -> None:
    for schema in SCHEMAS.values():
        in_schema(schema, file("kernel/sql/expiry.sql"), GRANTS.format(role=f"corridor_{schema}"))
