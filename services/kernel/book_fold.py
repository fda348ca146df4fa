"""Do the books follow from what happened? The ledger's own events again, and the facts of others behind them.

Events go range by range through a judge, who is pure, beside the rows that they ought to have become. Ranges are
independent of each other, so that several may be judged at once, all in one snapshot.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, NamedTuple, Protocol, cast
from uuid import UUID

import asyncpg

from services.kernel.book_check import SHOWN_MAX, Finding
from services.kernel.codec import chain_hash, instant
from services.kernel.envelope import StoredEvent
from services.kernel.operations import operating

CHUNK = 1_000  # events that are in memory at once
COLUMNS = """global_seq, ''::text, stream_id, version, event_id, event_type, schema_version, record_key, data, meta,
             occurred_at, recorded_at, prev_hash, hash"""
BOUNDS = "SELECT coalesce(min(global_seq), 0), coalesce(max(global_seq) + 1, 0) FROM event"
OWN = f"""
    SELECT {COLUMNS} FROM event WHERE global_seq >= $1 AND global_seq < $2 AND event_type = ANY($3)
    ORDER BY global_seq LIMIT $4"""  # noqa: S608 - columns and $n
BY_ID = "SELECT {columns} FROM {schema}.event WHERE event_id = ANY($1)"
FIRST = "SELECT {columns} FROM {schema}.event WHERE stream_id = ANY($1) AND version = 1"
ENTRIES = """
    SELECT entry_seq, entry_id, cause_id, kind, transfer_id, caused_at, posted_at FROM entry
    WHERE entry_id = ANY($1)"""
LINES = """
    SELECT entry_seq, line, account_id, currency, side, amount_minor FROM posting WHERE entry_seq = ANY($1)
    ORDER BY entry_seq, line"""
SETTLED = """
    SELECT entry_seq, entry_id, cause_id, kind, transfer_id, caused_at, posted_at FROM entry
    WHERE entry_seq >= $1 AND entry_seq <= $2 ORDER BY entry_seq LIMIT $3"""
THERE = "SELECT entry_id FROM entry WHERE entry_id = ANY($1)"


class Read(NamedTuple):
    """A range of events of the ledger, with everything that is to be compared with them."""

    own: Sequence[StoredEvent]
    entries: Mapping[UUID, tuple[Any, ...]]  # by entry id: the columns of ENTRIES
    lines: Mapping[int, tuple[tuple[Any, ...], ...]]  # by entry_seq: the columns of LINES behind it
    causes: Mapping[UUID, tuple[str, StoredEvent]]  # by event id: the schema of its service, and it
    firsts: Mapping[UUID, StoredEvent]  # by stream: what it began with


@dataclass
class Judged:
    """What came of a range of events."""

    events: int = 0
    causes: int = 0
    exchanges: int = 0
    blocks: int = 0
    findings: list[tuple[str, Finding]] = field(default_factory=list)  # with the check's name; some of each are kept
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # wrong, by check
    awaited: list[tuple[UUID, UUID]] = field(default_factory=list)  # entries that causes make too, with the cause

    def add(self, check: str, finding: Finding) -> None:
        """One more."""
        self.counts[check] += 1
        if self.counts[check] <= SHOWN_MAX:
            self.findings.append((check, finding))


class Settling(Protocol):
    """A block of entries that an event says are settled. Its entries come in order."""

    seq_from: int
    seq_to: int

    def add(self, entry: tuple[Any, ...], lines: tuple[tuple[Any, ...], ...]) -> None:
        """The next one: the columns of SETTLED, and of LINES."""

    def differences(self) -> Iterable[str]:
        """What the event says otherwise."""


class Judge(Protocol):
    """Knows the ledger: which of its events are entries, what they become, and which facts they come of. Pure."""

    own_types: Sequence[str]  # that are an entry; the first: those that are streams of their own
    block_type: str
    sources: Mapping[str, Sequence[str]]  # schema -> types of events that cause entries
    terms: str  # the schema of streams whose first event has the rate of a conversion

    def read(self, own: Sequence[StoredEvent]) -> tuple[list[UUID], list[UUID]]:
        """(entry ids, ids of causes) of the events that can be read."""

    def streams(self, causes: Iterable[tuple[str, StoredEvent]]) -> list[UUID]:
        """Of those whose first events are wanted."""

    def judge(self, read: Read, judged: Judged) -> None:
        """Compare."""

    def settling(self, event: StoredEvent) -> Settling:
        """The block that this event closes. Raises what reading it raises."""

    def makes(self, schema: str, event: StoredEvent) -> list[UUID]:
        """The entries that this fact ought to have made. Raises what reading it raises."""


class Fold:
    """Judges ranges over one session."""

    def __init__(self, connection: asyncpg.Connection[Any], judge: Judge) -> None:
        self._connection = connection
        self._judge = judge

    async def bounds(self) -> tuple[int, int]:
        """The first global sequence of an event of the ledger, and the one behind the last."""
        row = await self._connection.fetchrow(BOUNDS)
        assert row is not None  # an aggregate
        return row[0], row[1]

    async def range(self, low: int, high: int) -> Judged:
        """The events of the ledger from global sequence `low` up to but without `high`."""
        judged, block_type = Judged(), self._judge.block_type
        while True:
            rows = await self._connection.fetch(OWN, low, high, [*self._judge.own_types, block_type], CHUNK)
            events = [StoredEvent(*row) for row in rows]
            if booked := [event for event in events if event.event_type != block_type]:
                await self._chunk(booked, judged)
            for event in events:
                if event.event_type == block_type:
                    await self._block(event, judged)
            if len(rows) < CHUNK:
                return judged
            low = rows[-1][0] + 1

    async def _chunk(self, own: list[StoredEvent], judged: Judged) -> None:
        entry_ids, cause_ids = self._judge.read(own)
        entries = {row["entry_id"]: tuple(row) for row in await self._connection.fetch(ENTRIES, entry_ids)}
        causes = await self._causes(cause_ids)
        firsts = await self._events(FIRST, self._judge.terms, self._judge.streams(causes.values()))
        read = Read(
            own=own, entries=entries, lines=await self._lines([row[0] for row in entries.values()]), causes=causes,
            firsts={event.stream_id: event for event in firsts},
        )  # fmt: skip
        self._judge.judge(read, judged)
        judged.events += len(own)
        judged.causes += len(causes)
        await self._others(judged, entries)

    async def _block(self, event: StoredEvent, judged: Judged) -> None:
        judged.blocks += 1
        try:
            block = self._judge.settling(event)
        except Exception as error:  # noqa: BLE001 - whatever somebody wrote into the table
            judged.add("L6", Finding("event", str(event.event_id), f"cannot be read: {error}"[:200]))
            return
        low = block.seq_from
        while rows := await self._connection.fetch(SETTLED, low, block.seq_to, CHUNK):
            lines = await self._lines([row[0] for row in rows])
            for row in rows:
                block.add(tuple(row), lines[row[0]])
            low = rows[-1][0] + 1
        for what in block.differences():
            judged.add("L6", Finding("event", str(event.event_id), what))

    async def _lines(self, seqs: list[int]) -> dict[int, tuple[tuple[Any, ...], ...]]:
        found: dict[int, list[tuple[Any, ...]]] = {seq: [] for seq in seqs}
        for row in await self._connection.fetch(LINES, seqs):
            seq, *line = row
            found[seq].append(tuple(line))
        return {seq: tuple(lines) for seq, lines in found.items()}

    async def _causes(self, ids: list[UUID]) -> dict[UUID, tuple[str, StoredEvent]]:
        found: dict[UUID, tuple[str, StoredEvent]] = {}
        for schema in self._judge.sources:
            for event in await self._events(BY_ID, schema, ids):
                found[event.event_id] = (schema, event)
        return found

    async def _events(self, sql: str, schema: str, ids: list[UUID]) -> list[StoredEvent]:
        if not ids:
            return []
        return [
            StoredEvent(*row) for row in await self._connection.fetch(sql.format(columns=COLUMNS, schema=schema), ids)
        ]

    async def _others(self, judged: Judged, entries: Mapping[UUID, Any]) -> None:
        """A fact that makes several entries must have made all of them."""
        ids = [entry_id for entry_id, _ in judged.awaited if entry_id not in entries]
        there = {row[0] for row in await self._connection.fetch(THERE, ids)} if ids else set()
        for entry_id, cause_id in judged.awaited:
            if entry_id not in entries and entry_id not in there:
                judged.add("L10b", Finding("event", str(cause_id), f"makes entry {entry_id} too, which is missing"))
        judged.awaited.clear()


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where to read, in which snapshot, and who judges: `module:function` that makes a Judge."""

    dsn: str = field(repr=False)
    schema: str
    snapshot: str
    judge: str


def judge_of(name: str) -> Judge:
    """The judge that `module:function` makes."""
    module, _, function = name.partition(":")
    return cast("Judge", getattr(import_module(module), function)())


@asynccontextmanager
async def folding(place: Place) -> AsyncIterator[Fold]:
    """With a session of its own in the snapshot of another. Raises Unavailable."""
    async with (
        operating(place.dsn, place.schema) as session,
        session.connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await session.connection.execute(f"SET TRANSACTION SNAPSHOT '{place.snapshot}'")
        yield Fold(session.connection, judge_of(place.judge))


def hash_of(event: StoredEvent) -> bytes:
    """What the hash of an event ought to be. Raises UnknownEventType."""
    return chain_hash(
        event.prev_hash, event.stream_id.bytes, event.version, event.event_id.bytes, event.event_type,
        instant(event.occurred_at), event.meta, event.data,
    )  # fmt: skip
