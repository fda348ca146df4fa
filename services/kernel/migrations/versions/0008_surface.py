"""What on-call, partners and reviewers look at: the door's sessions, lists, request look-ups, rebuilds of read tables."""

from services.kernel.migrations.run import file, in_schema

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    in_schema("core", file("core_api/sql/surface.sql"))
    in_schema("transfer", file("transfer/sql/surface.sql"))
    in_schema("deposit", file("deposit_watcher/sql/surface.sql"))
    in_schema("payout", file("payout_orchestrator/sql/surface.sql"))
