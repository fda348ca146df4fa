"""${message}"""

from services.kernel.migrations.run import script

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    """Forward only: a stored event is never rewritten, and a schema only grows."""
