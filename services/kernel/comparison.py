"""Two tables of a projection at the same position: what only one has, what differs."""

from __future__ import annotations

from dataclasses import dataclass

from services.kernel.operations import Operations
from services.kernel.projector import Projection, digest_of
from services.kernel.store import Partition

SHOWN = "shown_before"
EXAMPLES = 5
COMPARED = """
    SELECT count(*) FILTER (WHERE b.{key} IS NULL), count(*) FILTER (WHERE a.{key} IS NULL),
           count(*) FILTER (WHERE a.{key} = b.{key}),
           (array_agg(coalesce(a.{key}, b.{key}) ORDER BY coalesce(a.{key}, b.{key})))[1:{examples}]
    FROM {before} a FULL JOIN {after} b ON a.{key} = b.{key}
    WHERE ({a_columns}) IS DISTINCT FROM ({b_columns})"""


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


class Shown:
    """The rows of a live version as they were at one position, copied into the table SHOWN of this session."""

    def __init__(self, operations: Operations, projection: Projection, stands: dict[Partition, int]) -> None:
        self.stands = stands
        self.digest = ""
        self._connection = operations.connection
        self._query = digest_of(projection, SHOWN)

    async def tell(self) -> None:
        """Have their digest."""
        self.digest = str(await self._connection.fetchval(self._query))


async def copy_shown(operations: Operations, projection: Projection, table: str, consumer: str, epoch: int) -> Shown:
    """Of one moment, while everything runs."""
    columns, connection = ", ".join(name for name, _ in projection.columns()), operations.connection
    async with connection.transaction(isolation="repeatable_read"):
        stands = await operations.positions(consumer, epoch)
        await connection.execute(f"CREATE TEMP TABLE {SHOWN} AS SELECT {columns} FROM {table}")  # noqa: S608 - ours
    return Shown(operations, projection, stands)


async def compared(operations: Operations, projection: Projection, shown: Shown, after: str) -> Difference:
    """SHOWN with another table, row by row. The digests are for a person: they follow from what was found."""
    key, names = projection.key_column, [name for name, _ in projection.columns()]
    columns = {f"{side}_columns": ", ".join(f"{side}.{name}" for name in names) for side in "ab"}
    row = await operations.connection.fetchrow(
        COMPARED.format(key=key, before=SHOWN, after=after, examples=EXAMPLES, **columns)
    )
    assert row is not None
    missing, added, changed, examples = row
    digest = shown.digest
    if missing or added or changed:
        digest = str(await operations.connection.fetchval(digest_of(projection, after)))
    return Difference(
        missing=missing, added=added, changed=changed, examples=tuple(str(each) for each in examples or ()),
        digests=(shown.digest, digest),
    )  # fmt: skip
