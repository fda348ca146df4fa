"""The keys that seal what partners send, apart from the persons' keys."""

from services.kernel.migrations.run import file, in_schema

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

GRANTS = """
GRANT USAGE ON SCHEMA vault TO corridor_deposit;
GRANT SELECT, INSERT ON arrival_key TO corridor_deposit, corridor_payout;
"""


def upgrade() -> None:
    in_schema("vault", file("kernel/sql/arrival_keys.sql"), GRANTS)
