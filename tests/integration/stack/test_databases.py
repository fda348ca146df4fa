"""Fresh databases are migrated, and apart from each other."""

from collections.abc import Callable

import asyncpg


async def test_a_fresh_database_is_at_the_newest_schema(database: str) -> None:
    assert await _count(database, "SELECT count(*) FROM alembic_version") == 1


async def test_two_fresh_databases_share_nothing(new_database: Callable[[], str]) -> None:
    one, other = new_database(), new_database()
    connection = await asyncpg.connect(one)
    await connection.execute("CREATE TABLE only_here (id int)")
    await connection.close()
    assert await _count(other, "SELECT count(*) FROM pg_tables WHERE tablename = 'only_here'") == 0


async def _count(dsn: str, query: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval(query))
    finally:
        await connection.close()
