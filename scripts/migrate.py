"""Bring a database to the newest schema: python -m scripts.migrate [DSN], by default that of DATABASE_URL."""

import os
import sys
from pathlib import Path

from alembic import command
from alembic.config import Config

ROOT = Path(__file__).parents[1]


def upgrade(dsn: str) -> None:
    """`alembic upgrade head` on `dsn` (postgresql://...). Blocks, and runs an event loop of its own: from a coroutine
    use asyncio.to_thread. env.py finds the address in `config.attributes["dsn"]`."""
    config = Config(ROOT / "alembic.ini")
    config.attributes["dsn"] = dsn  # not an option of the file: its parser would read a "%" in a password
    command.upgrade(config, "head")


if __name__ == "__main__":
    upgrade(sys.argv[1] if len(sys.argv) > 1 else os.environ["DATABASE_URL"])
