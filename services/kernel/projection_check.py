"""Is a live read table what its topic folds to, and what the event store folds to, at the position where it stands?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.kernel.codec import EventCodec
from services.kernel.comparison import SHOWN, Difference, Shown, compared, showing
from services.kernel.fold import Rows, SessionCursors, TopicFold
from services.kernel.folding import Target
from services.kernel.operations import Operations, operating
from services.kernel.progress import Clock, Reports
from services.kernel.rebuild import from_the_first
from services.kernel.topic_reader import TopicReader, reading

TOPIC, STORE = "topic", "store"
FOLDED = {TOPIC: "folded_from_topic", STORE: "folded_from_store"}
CHUNK = 2_000
# of each stream as much as the topic had shown at that position
STORED = """
    SELECT e.event_type, e.data
    FROM {schema}.event e
    JOIN folded_cursor c ON c.stream_id = e.stream_id AND e.version <= c.version
    ORDER BY e.global_seq"""


class StoreUnreadable(Exception):
    """An event is not stored as it was published: nothing follows from the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was found. `differences` by what was folded; `records` lie behind the position of the live version."""

    projection: str
    version: int
    records: int
    rows: int
    results: Mapping[str, int]
    differences: Mapping[str, Difference]
    seconds: float

    @property
    def is_right(self) -> bool:
        """The table is what it should be, whatever it was folded from."""
        return all(each.is_none for each in self.differences.values())


async def verify(target: Target, sources: Sequence[str], reports: Reports) -> Verified:
    """Compare, while everything runs. Raises NoProjection, TopicShortened, TooManyParked, TopicMissing, Unavailable."""
    began, projection = time.monotonic(), target.projection
    async with (
        operating(target.dsn, target.schema) as operations,
        reading(target.bootstrap, projection.topic) as reader,
    ):
        from_the_first(reader)
        version = await operations.live(projection.name)
        table, consumer = projection.table(version), target.consumer(version)
        async with showing(operations, projection, table, consumer, target.epoch) as shown:
            pass
        await _make(operations, target, TOPIC)
        rows_of_topic = Rows(operations, projection, FOLDED[TOPIC])
        fold = TopicFold(rows_of_topic, SessionCursors(operations), projection, target.consumer(version))
        await _fold_topic(reader, fold, shown, reports)
        differences = {}
        if TOPIC in sources:
            differences[TOPIC] = await compared(operations, projection, shown, FOLDED[TOPIC])
        if STORE in sources:
            await _fold_store(target, operations, reports)
            differences[STORE] = await compared(operations, projection, shown, FOLDED[STORE])
        rows = await operations.connection.fetchval(f"SELECT count(*) FROM {SHOWN}")  # noqa: S608 - our own name
    return Verified(
        projection=projection.name, version=version, records=fold.records, rows=rows, results=fold.results,
        differences=differences, seconds=time.monotonic() - began,
    )  # fmt: skip


async def _make(operations: Operations, target: Target, source: str) -> None:
    await operations.connection.execute(f"CREATE TEMP TABLE {FOLDED[source]} ({target.projection.form()})")


async def _fold_topic(reader: TopicReader, fold: TopicFold, shown: Shown, reports: Reports) -> None:
    """As far as it was shown."""
    clock = Clock(reports, "fold", sum(shown.stands.values()))
    async for records in reader.to(shown.stands):
        await fold.take(records)
        clock.tell(fold.records)
    await fold.flush()
    clock.tell(fold.records, last=True)


async def _fold_store(target: Target, operations: Operations, reports: Reports) -> None:
    """The events as they were stored, by the service that decided them."""
    await _make(operations, target, STORE)
    rows = Rows(operations, target.projection, FOLDED[STORE])
    codec, count = EventCodec(target.projection.events, target.projection.upcasts), 0
    wanted = frozenset(target.projection.wanted)
    clock = Clock(reports, "fold the store", 0)
    async with operations.connection.transaction():
        cursor = await operations.connection.cursor(STORED.format(schema=target.writer_schema))
        while chunk := await cursor.fetch(CHUNK):
            events = [event for row in chunk if (event := _event(codec, *row)) is not None and type(event) in wanted]
            await _apply(rows, target, events)
            count += len(chunk)
            clock.tell(count)
    clock.tell(count, last=True)


def _event(codec: EventCodec, event_type: str, data: bytes) -> Any:
    try:
        return None if codec.is_foreign(event_type) else codec.decode(event_type, data)
    except Exception as error:  # whatever somebody wrote into the table
        raise StoreUnreadable(f"a stored {event_type} cannot be read: {error}") from error


async def _apply(rows: Rows, target: Target, events: Sequence[Any]) -> None:
    key = target.projection.key
    await rows.load([key(event) for event in events])
    for event in events:
        try:
            rows.apply(key(event), event)
        except Exception as error:  # a bug of evolve is on the topic, too: there it is parked
            raise StoreUnreadable(f"a stored {type(event).__name__} cannot be applied: {error}") from error
    await rows.step()
    await rows.flush()
