"""A process that takes a statement of 5,000 lines, and is killed in the middle of it."""

import asyncio
import sys

from tests.integration.reconciliation.books import World
from tests.integration.reconciliation.statements import META, intake, line, read, statement


async def main(dsn: str, account: str) -> None:
    said = statement(account, [line(f"E{n}") for n in range(5_000)])
    async with intake(World(dsn)) as process:
        await process.take(read(said), META)


asyncio.run(main(sys.argv[1], sys.argv[2]))
