"""Two tables of a projection at the same position: what only one has, what differs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from asyncpg.transaction import Transaction

from services.kernel.operations import Operations
from services.kernel.projector import Projection, digest_of, hash_of
from services.kernel.store import Partition

SHOWN = "shown_before"
EXAMPLES = 5
HASHED = "SELECT {key}, {hash} AS hash FROM {table}"
COMPARED = """
    SELECT count(*) FILTER (WHERE b.{key} IS NULL), count(*) FILTER (WHERE a.{key} IS NULL),
           count(*) FILTER (WHERE a.{key} = b.{key}),
           (array_agg(coalesce(a.{key}, b.{key}) ORDER BY coalesce(a.{key}, b.{key})))[1:{examples}]
    FROM {before} a FULL JOIN ({after}) b ON a.{key} = b.{key}
    WHERE a.hash IS DISTINCT FROM b.hash"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two tables at the same position: rows that only one has, rows that differ, and some of their keys."""

    missing: int  # only in the first
    added: int  # only in the second
    changed: int
    examples: tuple[str, ...]
    digests: tuple[str, str]

    @property
    def is_none(self) -> bool:
        """They are the same."""
        return not (self.missing or self.added or self.changed)


@dataclass(slots=True, kw_only=True)
class Shown:
    """What the rows of a live version hash to at one position, in the table SHOWN of this session."""

    stands: dict[Partition, int]
    digest: str = ""


@asynccontextmanager
async def showing(
    operations: Operations, projection: Projection, table: str, consumer: str, epoch: int
) -> AsyncIterator[Shown]:
    """Of one moment, while everything runs: `stands` at once, SHOWN and its digest at the end."""
    transaction = operations.connection.transaction(isolation="repeatable_read")
    await transaction.start()
    shown = Shown(stands=await operations.positions(consumer, epoch))
    copying = asyncio.create_task(_copy(operations, projection, table, transaction))
    try:
        yield shown
        shown.digest = await copying
    finally:
        copying.cancel()
        await asyncio.gather(copying, return_exceptions=True)
        with suppress(Exception):  # whoever gives up has something to note in this session
            if operations.connection.is_in_transaction():
                await transaction.rollback()


async def _copy(operations: Operations, projection: Projection, table: str, transaction: Transaction) -> str:
    connection = operations.connection
    await connection.execute(f"CREATE TEMP TABLE {SHOWN} AS {_hashed(projection, table)}")
    await transaction.commit()
    await connection.execute(f"ANALYZE {SHOWN}")
    return str(await connection.fetchval(digest_of(SHOWN)))


def _hashed(projection: Projection, table: str) -> str:
    return HASHED.format(key=projection.key_column, hash=hash_of(projection), table=table)


async def compared(operations: Operations, projection: Projection, shown: Shown, table: str) -> Difference:
    """SHOWN with a table, row by row. The digests are for a person: they follow from what was found."""
    after = _hashed(projection, table)
    row = await operations.connection.fetchrow(
        COMPARED.format(key=projection.key_column, before=SHOWN, after=after, examples=EXAMPLES)
    )
    assert row is not None
    missing, added, changed, examples = row
    digest = shown.digest
    if missing or added or changed:
        digest = str(await operations.connection.fetchval(digest_of(f"({after}) r")))
    return Difference(
        missing=missing, added=added, changed=changed, examples=tuple(str(each) for each in examples or ()),
        digests=(shown.digest, digest),
    )  # fmt: skip
