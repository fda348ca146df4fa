"""The read tables of the transfer service: what quotes promise, and who sends and receives."""

from services.kernel.migrations.run import ONCALL, file, in_schema

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

GRANTS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON quote_terms_v1, profiles_v1 TO corridor_transfer;
GRANT SELECT ON quote_terms, profiles TO corridor_transfer;
GRANT SELECT ON quote_terms_v1, profiles_v1, quote_terms, profiles TO {oncall};
"""


def upgrade() -> None:
    in_schema("transfer", file("transfer/sql/projections.sql"), GRANTS.format(oncall=ONCALL))
