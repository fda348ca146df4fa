"""Make a database and a broker ready for the services, once for a release: python -m scripts.setup

`alembic upgrade head` on DATABASE_URL (an owner of the database who may make roles), then the passwords of our roles,
then the topics on KAFKA_BOOTSTRAP_SERVERS. May be repeated; a lock lets one runner at a time migrate.

SERVICE_DB_PASSWORD     what every service's role logs in with; one for all, for a laptop
SERVICE_DB_PASSWORD_<ROLE>   of one role, e.g. SERVICE_DB_PASSWORD_CORRIDOR_LEDGER; wins over the one for all
ONCALL_DB_PASSWORD      of corridor_oncall, which only reads; without it that role cannot log in
KAFKA_PARTITIONS, KAFKA_REPLICATION   of new topics (4 and 1)
"""

import asyncio
import os
import sys
from collections.abc import Mapping

import asyncpg

from scripts import migrate, topics
from scripts.system.installation import ROLES

ALTER_ROLE = "SELECT format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text)"  # DDL takes no parameters
EXIT_USAGE = 2


class PasswordMissing(Exception):
    """A service's role would have no password; the text names the variable."""


def passwords(environment: Mapping[str, str]) -> dict[str, str]:
    """By role. Raises PasswordMissing."""
    found = {}
    for who, role in ROLES.items():
        default = "ONCALL_DB_PASSWORD" if who == "oncall" else "SERVICE_DB_PASSWORD"
        password = environment.get(f"SERVICE_DB_PASSWORD_{role.upper()}") or environment.get(default)
        if password:
            found[role] = password
        elif who != "oncall":
            raise PasswordMissing(f"{default} is not set: {role} could not log in")
    return found


async def set_passwords(dsn: str, by_role: Mapping[str, str]) -> None:
    """Raises asyncpg.PostgresError."""
    connection = await asyncpg.connect(dsn)
    try:
        for role, password in by_role.items():
            await connection.execute(await connection.fetchval(ALTER_ROLE, role, password))
    finally:
        await connection.close()


def main() -> int:
    """The exit code; what fails says why and opens no traffic."""
    try:
        dsn, by_role = os.environ["DATABASE_URL"], passwords(os.environ)
    except KeyError as missing:
        print(f"{missing.args[0]} is not set\n\n{__doc__}", file=sys.stderr)
        return EXIT_USAGE
    except PasswordMissing as missing:
        print(missing, file=sys.stderr)
        return EXIT_USAGE
    migrate.upgrade(dsn)
    asyncio.run(set_passwords(dsn, by_role))
    print(f"database at its newest schema; {len(by_role)} roles may log in", flush=True)
    return topics.main(["ensure"])


if __name__ == "__main__":
    sys.exit(main())
