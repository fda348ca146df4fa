"""A topic folded into a new version of a read table: what to fold, and the one who folds some of its partitions.

The events of a stream come from one partition, and so do those of a row: nobody needs what another has.
"""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from services.kernel.fold import Rows, TopicFold, VersionCursors
from services.kernel.operations import Site, Version, operating
from services.kernel.projector import Projection
from services.kernel.store import Partition, Row
from services.kernel.topic_reader import Positions, TopicReader, reading

Told = Callable[[int], None]  # how many records one has taken until now


@dataclass(frozen=True, kw_only=True)
class Target(Site):
    """Which read table, and where everything is."""

    projection: Projection
    writer_schema: str  # where the events of its topic are stored

    def number(self, version: int) -> Version:
        """As the registry knows it."""
        return (self.service, self.projection.name, version)

    def consumer(self, version: int) -> str:
        """Under which the positions of a version are kept."""
        return self.projection.consumer(self.service, version)


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one folds, and how many rows, and as many cursors, it may keep in memory."""

    target: Target
    version: int
    partitions: tuple[int, ...]
    kept_max: int


@dataclass(frozen=True, kw_only=True)
class Stand:
    """How far one is: everything before these offsets is in the tables."""

    at: Mapping[Partition, int]
    results: Mapping[str, int]
    parked: list[Row]


class Folder(Protocol):
    """Who folds a share."""

    async def to(self, ends: Positions, told: Told) -> Stand:
        """Fold up to `ends`. Raises TooManyParked, Unavailable, and what the database says."""


class OwnFolder:
    """In this process."""

    def __init__(self, reader: TopicReader, fold: TopicFold) -> None:
        self._reader = reader
        self._fold = fold

    async def to(self, ends: Positions, told: Told) -> Stand:
        """See Folder."""
        async for records in self._reader.to(ends):
            await self._fold.take(records)
            told(self._fold.records)
        await self._fold.flush()
        return Stand(at=dict(self._reader.at), results=dict(self._fold.results), parked=self._fold.parked)

    async def close(self) -> None:
        """Give up what is under way."""
        await self._fold.rows.close()


@asynccontextmanager
async def folding(share: Share) -> AsyncIterator[OwnFolder]:
    """With a session and a reader of its own. Raises Unavailable, TopicMissing."""
    target, projection = share.target, share.target.projection
    async with (
        operating(target.dsn, target.schema) as operations,
        reading(target.bootstrap, projection.topic, share.partitions) as reader,
    ):
        await operations.connection.execute("SET synchronous_commit = off")  # the hand-over is the first that counts
        consumer = target.consumer(share.version)
        cursors = VersionCursors(operations, target.number(share.version), consumer, projection.topic)
        rows = Rows(operations, projection, projection.table(share.version), share.kept_max)
        folder = OwnFolder(reader, TopicFold(rows, cursors, projection, consumer, share.kept_max))
        try:
            with uncollected():
                yield folder
        finally:
            await folder.close()


@contextmanager
def uncollected() -> Iterator[None]:
    """Events and rows have no cycles, and what is kept would be looked at again and again."""
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
