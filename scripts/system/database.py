"""Our database on a PostgreSQL that runs: made, migrated, its roles with the passwords of this installation."""

import asyncio
import os
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from scripts import migrate
from scripts.system.installation import Installation

DATABASE = "corridor"


def prepare_database(administrator: str, installation: Installation) -> str:
    """The administrator's DSN of our database: made, migrated, its roles with the passwords of this installation."""
    dsn = administrator
    if "DATABASE_URL" not in os.environ:  # one that was given is used as it is
        asyncio.run(_make_database(administrator))
        dsn = urlunsplit(urlsplit(administrator)._replace(path=f"/{DATABASE}"))
    migrate.upgrade(dsn)
    asyncio.run(_set_passwords(dsn, installation))
    return dsn


async def _make_database(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close()


async def _set_passwords(dsn: str, installation: Installation) -> None:
    """token_urlsafe has no quote in it; DDL takes no parameters."""
    connection = await asyncpg.connect(dsn)
    try:
        for role, password in installation.passwords.items():
            await connection.execute(f"ALTER ROLE {role} PASSWORD '{password}'")
    finally:
        await connection.close()
