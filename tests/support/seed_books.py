"""`python -m tests.support.seed_books POSTINGS` makes books of that size in a database of its own, and says where.

For measurements of what goes through all of them. The server is the one of DATABASE_URL (a superuser's).
"""

from __future__ import annotations

import asyncio
import os
import sys

import asyncpg

from scripts import migrate
from tests.support.bookings import books
from tests.support.stack import on_database

POSTINGS_OF_A_STORY = 12
STORIES = 1_000  # that are made at once
NAME = "seeded_books"


async def seed(dsn: str, postings: int) -> None:
    """Stories until there are as many postings."""
    stories = -(-postings // POSTINGS_OF_A_STORY)
    async with books(dsn) as place:
        while place.told < stories:
            await place.grow(min(STORIES, stories - place.told))
            place.facts.clear()
            sys.stderr.write(f"{place.told:,} of {stories:,} transfers\n")
        async with place.session() as session:
            await session.execute("VACUUM ANALYZE")
        sys.stdout.write(f"OPS_BASE_URL=http://127.0.0.1:1 OPS_DATABASE_URL='{place.oncall}'\n")


async def fresh(dsn: str) -> None:
    """An empty database."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
    await connection.execute(f"CREATE DATABASE {NAME}")
    await connection.close()


def main() -> None:
    """Drops what an earlier run made."""
    server = os.environ["DATABASE_URL"]
    asyncio.run(fresh(server))
    migrate.upgrade(on_database(server, NAME))
    asyncio.run(seed(on_database(server, NAME), int(sys.argv[1])))


if __name__ == "__main__":
    main()
