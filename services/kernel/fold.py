"""A projection folded in bulk: key() and evolve() as in its projector, rows and cursors in memory, written by COPY.

Nobody else writes there meanwhile, so there is no fence, and no position is saved but at the end. What is in memory is
bounded: when it is full it is written and forgotten, and from then on looked up again where it is needed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any, Protocol
from uuid import UUID

from services.kernel.codec import EventCodec
from services.kernel.envelope import Envelope, envelope_of
from services.kernel.operations import Operations, Version
from services.kernel.parts import Statement
from services.kernel.poll import BEGINNING, TAKEN, Behind, Record, misfit, parked_row
from services.kernel.projector import Projection
from services.kernel.store import Cursor, Row, Write

KEPT_MAX = 200_000  # rows, and as many cursors: some 200 MiB
WRITE_ROWS = 10_000  # moved since the last write: the next one begins, and goes on beside the fold
PARKED_MAX = 1_000  # beyond it the topic or the code is bad, and going on shows nothing more
CURSORS = """
    CREATE TEMP TABLE IF NOT EXISTS folded_cursor (
        stream_id uuid PRIMARY KEY, version int NOT NULL, hash bytea NOT NULL, parked boolean NOT NULL)"""
SAVE_CURSORS = """
    INSERT INTO folded_cursor SELECT * FROM unnest($1::uuid[], $2::int[], $3::bytea[], $4::boolean[])
    ON CONFLICT (stream_id) DO UPDATE SET version = excluded.version, hash = excluded.hash, parked = excluded.parked"""
FIND_CURSORS = "SELECT stream_id, version, hash, parked FROM folded_cursor WHERE stream_id = ANY($1)"
FIND_VERSION_CURSORS = """
    SELECT stream_id, last_version, last_hash, parked
    FROM stream_cursor
    WHERE stream_id = ANY($1) AND consumer = $2 AND source = $3"""

_Read = tuple[Record, Envelope | None, UUID | None, Any, Exception | None]  # record, who, key, event, why not


class TooManyParked(Exception):
    """So much cannot be applied that the result would be worth nothing."""


class Rows:
    """The rows of one version, in memory and in its table, which is empty when this begins."""

    def __init__(self, operations: Operations, projection: Projection, table: str, kept_max: int = KEPT_MAX) -> None:
        self.table = table
        self._operations = operations
        self._evolve = projection.evolve
        self._opens = projection.opens
        self._row = projection.row
        self._kept_max = kept_max
        self._columns = [name for name, _ in projection.columns()]
        names = [each.name for each in fields(projection.row)]
        self._values = attrgetter(*names) if len(names) > 1 else lambda row: (getattr(row, names[0]),)
        columns, key = ", ".join(self._columns), projection.key_column
        self._find = f"SELECT {columns} FROM {table} WHERE {key} = ANY($1)"  # noqa: S608 - our own names
        self._parts = {part.name: Statement([part]) for part in projection.parts_of(table)}
        # by the key's number, which is hashed in a third of the time
        self._rows: dict[int, Any] = {}
        self._moved: dict[int, UUID] = {}
        self._stored: set[int] = set()  # of those in memory, the ones that the table has
        self._is_all = True  # what is not in memory is nowhere
        self._writing: asyncio.Task[None] | None = None

    async def load(self, keys: Iterable[UUID]) -> None:
        """Have the rows of these keys in memory."""
        if self._is_all:
            return
        missing = [key for key in set(keys) if key.int not in self._rows]
        await self.written()
        for row in await self._operations.connection.fetch(self._find, missing):
            self._rows[row[0].int] = self._row(*row[1:])
            self._stored.add(row[0].int)
        for key in missing:
            self._rows.setdefault(key.int, None)

    def apply(self, key: UUID, event: Any) -> None:
        """The row after the event; what evolve raises is the event's."""
        number = key.int
        before = self._rows.get(number)
        if before is None and self._opens and not isinstance(event, self._opens):
            return
        after = self._evolve(before, event)
        if after is not before:
            self._rows[number] = after
            self._moved[number] = key

    async def step(self) -> None:
        """Begin to write when enough has moved; forget everything when there is too much of it."""
        if len(self._rows) > self._kept_max:
            await self.flush()
            self._rows, self._stored, self._is_all = {}, set(), False
        elif len(self._moved) >= WRITE_ROWS:
            await self._begin()

    async def flush(self) -> None:
        """Everything is in the table when this returns."""
        await self._begin()
        await self.written()

    async def beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin other work of the same session, which goes on beside the fold as a write does."""
        await self.written()
        self._writing = asyncio.create_task(work)

    async def written(self) -> None:
        """What was begun is there, or raises why it is not."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    async def close(self) -> None:
        """Give up what is under way."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)

    async def _begin(self) -> None:
        fresh: list[Row] = []
        write = Write(topic="")
        rows, stored, values = self._rows, self._stored, self._values
        for number, key in self._moved.items():
            row = rows[number]
            if row is None:
                write.add("gone", (key,))  # where there is none, this deletes none
                stored.discard(number)
            elif number in stored:
                write.add("rows", (key, *values(row)))
            else:
                fresh.append((key, *values(row)))
                stored.add(number)
        self._moved = {}
        await self.beside(self._write(fresh, write))

    async def _write(self, fresh: list[Row], write: Write) -> None:
        if fresh:
            await self._operations.copy(self.table, self._columns, fresh)
        for name in write.rows:
            statement = self._parts[name]
            await self._operations.connection.fetch(statement.sql, *statement.arguments(write))


class CursorTable(Protocol):
    """Where cursors are that memory has no room for."""

    async def save(self, cursors: Mapping[UUID, Cursor]) -> None:
        """These are there, in place of older ones."""

    async def find(self, streams: Sequence[UUID]) -> Mapping[UUID, Cursor]:
        """Those that are there."""


class SessionCursors:
    """In the table `folded_cursor` of the session: nobody goes on from there."""

    def __init__(self, operations: Operations) -> None:
        self._connection = operations.connection

    async def save(self, cursors: Mapping[UUID, Cursor]) -> None:
        """See CursorTable."""
        await self._connection.execute(CURSORS)
        await self._connection.fetch(SAVE_CURSORS, *_columns(cursors))

    async def find(self, streams: Sequence[UUID]) -> Mapping[UUID, Cursor]:
        """See CursorTable."""
        return {row[0]: Cursor(*row[1:]) for row in await self._connection.fetch(FIND_CURSORS, streams)}


class VersionCursors:
    """Those of a version that is being built, where its projector will look for them."""

    def __init__(self, operations: Operations, version: Version, consumer: str, topic: str) -> None:
        self._operations = operations
        self._version = version
        self._consumer = consumer
        self._topic = topic

    async def save(self, cursors: Mapping[UUID, Cursor]) -> None:
        """See CursorTable."""
        await self._operations.save_cursors(self._version, self._topic, _columns(cursors))

    async def find(self, streams: Sequence[UUID]) -> Mapping[UUID, Cursor]:
        """See CursorTable."""
        rows = await self._operations.connection.fetch(FIND_VERSION_CURSORS, streams, self._consumer, self._topic)
        return {row[0]: Cursor(*row[1:]) for row in rows}


def _columns(cursors: Mapping[UUID, Cursor]) -> list[list[Any]]:
    """By stream, so that neighbours in the index are written together."""
    rows = sorted(cursors.items(), key=_by_stream)
    each = [cursor for _, cursor in rows]
    return [
        [stream for stream, _ in rows], [cursor.version for cursor in each], [cursor.hash for cursor in each],
        [cursor.parked for cursor in each],
    ]  # fmt: skip


def _by_stream(item: tuple[UUID, Cursor]) -> bytes:
    return item[0].bytes


class Cursors:
    """How far each stream was followed."""

    def __init__(self, table: CursorTable, kept_max: int = KEPT_MAX) -> None:
        self.kept: dict[UUID, Cursor] = {}
        self.is_all = True  # what is not in memory was never met
        self._moved: dict[UUID, Cursor] = {}  # not in the table yet
        self._table = table
        self._kept_max = kept_max

    def put(self, stream: UUID, cursor: Cursor) -> None:
        """It is there now."""
        self.kept[stream] = self._moved[stream] = cursor

    @property
    def is_due(self) -> bool:
        """So many have moved that they should be written."""
        return len(self._moved) >= WRITE_ROWS

    @property
    def is_full(self) -> bool:
        """There are so many that they must be forgotten."""
        return len(self.kept) > self._kept_max

    async def load(self, streams: Iterable[UUID]) -> None:
        """Have the cursors of these streams in memory, where there are any."""
        if missing := [stream for stream in set(streams) if stream not in self.kept]:
            self.kept.update(await self._table.find(missing))

    def save(self) -> Coroutine[Any, Any, None]:
        """All that have moved until now are in the table when what this gives has been awaited."""
        moved, self._moved = self._moved, {}
        return self._table.save(moved)

    def forget(self) -> None:
        """Make room. Everything has been saved."""
        assert not self._moved, "they would be lost"
        self.kept, self.is_all = {}, False


class TopicFold:
    """The records of a topic, in order, into rows: what a consumer does with the same records, and parks likewise."""

    def __init__(
        self, rows: Rows, cursors: CursorTable, projection: Projection, consumer: str, kept_max: int = KEPT_MAX
    ) -> None:
        self.rows = rows
        self.cursors = Cursors(cursors, kept_max)
        self.parked: list[Row] = []
        self.results = {"applied": 0, "skipped": 0, "duplicate": 0, "parked": 0}
        self._consumer = consumer
        self._codec = EventCodec(projection.events, projection.upcasts)
        self._wanted = frozenset(projection.wanted)
        self._key = projection.key

    @property
    def records(self) -> int:
        """How many were taken."""
        return sum(self.results.values())

    async def take(self, records: Sequence[Record]) -> None:
        """The next of them. Raises TooManyParked, and what the database says."""
        read = [self._read(record) for record in records]
        await self.rows.load(each[2] for each in read if each[2] is not None)
        if not self.cursors.is_all:
            await self.rows.written()
            await self.cursors.load(each[1].stream_id for each in read if each[1] is not None)
        counts = Counter([self._apply(*each) for each in read])
        for result, count in counts.items():
            self.results[result] += count
        await self.rows.step()
        if self.cursors.is_due:
            await self.rows.beside(self.cursors.save())
        if self.cursors.is_full:
            await self.rows.beside(self.cursors.save())
            await self.rows.written()
            self.cursors.forget()

    async def flush(self) -> None:
        """Everything is in its tables when this returns."""
        await self.rows.beside(self.cursors.save())
        await self.rows.flush()

    def _read(self, record: Record) -> _Read:
        """Who it is and what it says; every exception is this record's. See consumer.Consumer."""
        try:
            envelope = envelope_of(record.headers)
        except Exception as error:  # noqa: BLE001 - whatever a stranger wrote
            return record, None, None, None, error
        try:
            event = self._event(record, envelope)
            return record, envelope, None if event is None else self._key(event), event, None
        except Exception as error:  # noqa: BLE001 - decode or key
            return record, envelope, None, None, error

    def _event(self, record: Record, envelope: Envelope) -> Any:
        """None when it is none of ours."""
        kind = self._codec.classes.get(envelope.event_type)
        if kind is None and self._codec.is_foreign(envelope.event_type):
            return None
        if kind is not None and kind not in self._wanted:
            return None
        data = record.value or b""
        event = self._codec.decode(envelope.event_type, data)
        if type(event) not in self._wanted:
            return None
        envelope.verify(data)
        return event

    def _apply(
        self, record: Record, envelope: Envelope | None, key: UUID | None, event: Any, broken: Exception | None
    ) -> str:
        if envelope is None:
            return self._park(record, None, broken or Behind("it does not say who it is"))
        stream = envelope.stream_id
        cursor = self.cursors.kept.get(stream, BEGINNING)
        trouble = misfit(envelope, cursor)
        if trouble is TAKEN:
            return "duplicate"
        trouble = trouble or broken
        if trouble is None and key is not None:
            try:
                self.rows.apply(key, event)
            except Exception as error:  # noqa: BLE001 - a bug of evolve is its stream's alone
                trouble = error
        if trouble is not None:
            self.cursors.put(stream, Cursor(cursor.version, cursor.hash, parked=True))
            return self._park(record, envelope, trouble)
        self.cursors.put(stream, Cursor(envelope.version, envelope.hash, parked=False))
        return "skipped" if key is None else "applied"

    def _park(self, record: Record, envelope: Envelope | None, trouble: BaseException) -> str:
        if len(self.parked) >= PARKED_MAX:
            raise TooManyParked(f"more than {PARKED_MAX} records cannot be applied; the last: {trouble}")
        self.parked.append(parked_row(self._consumer, record, envelope, trouble))
        return "parked"
