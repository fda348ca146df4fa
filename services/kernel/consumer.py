"""The consumer: Kafka records -> asks -> engine, with the offset in the same write. Positions are ours; Kafka's are a hint.

One recovery for everything (fence lost, commit lost, restart, rebalance): back to what the store says. Order of checks for a
record: duplicate, parked, gap or fork, decide. What cannot be handled is parked with its stream; nothing else stops.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from services.kernel.codec import GENESIS, EventCodec, encode
from services.kernel.decider import Cause, Consumes, Meta, Outcome, Unit
from services.kernel.engine import Decide, Intake, wanted_by
from services.kernel.envelope import Envelope, Headers, Unreadable, envelope_of
from services.kernel.store import (
    ContentRefused,
    Cursor,
    Fenced,
    Known,
    Partition,
    Position,
    Unavailable,
    Wanted,
    Write,
)
from services.kernel.value import value

ALONE_AFTER_STARTS = 2  # died this often without progress: the next poll goes record by record
SUSPECT_TRIES_MAX = 3  # a record that was in hand at this many deaths is parked untried
PARKED_MIN, PARKED_SHARE, PARKED_SECONDS = 20, 0.05, 60.0  # beyond both, the deploy is bad and not the data
AWAY_MAX = 60  # batches in a row that found the store away; then the process starts again


class ParkingRate(Exception):
    """Too much of the input is parked: stop and page."""


@value
class Record:
    """A record as it was polled."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int = 0


class Positions(Protocol):
    """What the consumer needs of the store beside the engine."""

    async def assign(self, consumer: str, epoch: int, partitions: Sequence[Partition]) -> dict[Partition, Position]:
        """The stored positions, made where they are missing; counts a start."""

    async def suspect(self, consumer: str, epoch: int, at: Partition, offset: int) -> int:
        """Note that this record is in hand, alone; how often it was."""


class Runs(Protocol):
    """An engine's lane, or a projector."""

    async def run(self, intake: Intake) -> list[Outcome]:
        """Take a batch; see engine.Engine.run."""


class Seeker(Protocol):
    """What the consumer needs of the bus beside the records."""

    def seek(self, at: Partition, offset: int) -> None:
        """The next poll begins there."""


@dataclass(frozen=True)
class Inbox:
    """What a service listens to: its handlers by event class, per topic a codec; and topics of strangers by their reader."""

    name: str
    consumes: Consumes
    codecs: Mapping[str, EventCodec]
    outside: Mapping[str, Callable[[Record], Unit]] = field(default_factory=dict)

    @property
    def topics(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.codecs, *self.outside)


@value
class Received:
    """A record after it was read, before anything was asked of the store. `after` is our position before it."""

    record: Record
    after: int
    envelope: Envelope | None = None
    unit: Unit | None = None
    broken: Exception | None = None  # why it must be parked


class Poll:
    """The intake of one batch of records."""

    def __init__(self, consumer: str, epoch: int, received: Sequence[Received]) -> None:
        self._consumer = consumer
        self._epoch = epoch
        self._received = received
        self.results: dict[str, int] = {}
        self.parked: Counter[str] = Counter()  # by topic

    def wanted(self) -> Wanted:
        """The streams of the asks, and a cursor for each source stream."""
        wanted = wanted_by(each.unit for each in self._received if each.unit)
        wanted.consumer = self._consumer
        wanted.cursors = {(each.record.topic, each.envelope.stream_id) for each in self._received if each.envelope}
        return wanted

    def decide(self, known: Known, decide: Decide, write: Write) -> list[Outcome]:
        """Each record in order: its cursor first, then its unit; the fence of each partition last."""
        self.results = {"applied": 0, "skipped": 0, "duplicate": 0, "parked": 0}
        self.parked.clear()
        cursors = dict(known.cursors)
        moved: dict[tuple[str, UUID], Cursor] = {}
        outcomes = [self._record(each, cursors, moved, decide, write) for each in self._received]
        for (source, stream_id), cursor in sorted(moved.items(), key=lambda item: (item[0][1].bytes, item[0][0])):
            write.add("cursors", (stream_id, self._consumer, source, cursor.version, cursor.hash, cursor.parked))
        self._fence(write)
        return outcomes

    def _record(
        self,
        each: Received,
        cursors: dict[tuple[str, UUID], Cursor],
        moved: dict[tuple[str, UUID], Cursor],
        decide: Decide,
        write: Write,
    ) -> Outcome:
        if each.envelope is None:
            return self._stranger(each, decide, write)
        at = (each.record.topic, each.envelope.stream_id)
        cursor = cursors.get(at)
        standing, seen = self._standing(each, cursor)
        if seen:
            return self._count("duplicate", Outcome(replayed=True))
        outcome = Outcome() if standing or each.unit is None else decide(each.unit)
        trouble = standing or outcome.error or outcome.refusal
        if trouble is None:
            cursors[at] = moved[at] = Cursor(each.envelope.version, each.envelope.hash, parked=False)
            return self._count("applied" if each.unit else "skipped", outcome)
        if cursor is None or not cursor.parked:
            cursors[at] = moved[at] = Cursor(
                cursor.version if cursor else 0, cursor.hash if cursor else GENESIS, parked=True
            )
        return self._park(each, trouble, write)

    def _standing(self, each: Received, cursor: Cursor | None) -> tuple[Exception | None, bool]:
        """(why it cannot be taken or None, whether it was taken before)."""
        envelope = each.envelope
        assert envelope is not None
        version, last = (cursor.version, cursor.hash) if cursor else (0, GENESIS)
        if envelope.version < version or (envelope.version == version and envelope.hash == last):
            return None, True
        if cursor and cursor.parked:
            return Behind("its stream is parked"), False
        if envelope.version == version:
            return Fork(f"another version {version} than the one taken"), False
        if envelope.version > version + 1:
            return Gap(f"version {envelope.version} after {version}"), False
        if envelope.prev_hash != last:
            return Fork(f"version {envelope.version} does not follow the one taken"), False
        return each.broken, False

    def _stranger(self, each: Received, decide: Decide, write: Write) -> Outcome:
        """A record without an identity of ours: from outside, or unreadable. It is parked alone."""
        outcome = Outcome() if each.unit is None else decide(each.unit)
        trouble = each.broken or outcome.error or outcome.refusal
        return self._park(each, trouble, write) if trouble else self._count("applied", outcome)

    def _park(self, each: Received, trouble: BaseException, write: Write) -> Outcome:
        record, envelope = each.record, each.envelope
        words = f"{type(trouble).__name__}: {trouble}".encode("utf-8", "backslashreplace").decode()
        error = words.replace("\x00", "\\x00")[:1000]  # whatever a stranger wrote, a text column must hold it
        self.parked[record.topic] += 1
        kind = envelope.event_type if envelope else None
        fingerprint = hashlib.sha256(f"{self._consumer}|{kind}|{type(trouble).__name__}".encode()).hexdigest()[:16]
        identity = (envelope.stream_id, envelope.version) if envelope else (None, None)
        position = (self._consumer, record.topic, record.partition, record.offset)
        headers = encode([[name, value.decode("latin-1")] for name, value in record.headers])
        write.add("parked", (*position, *identity, kind, error, fingerprint, record.key, headers, record.value))
        return self._count("parked", Outcome(error=trouble))

    def _count(self, result: str, outcome: Outcome) -> Outcome:
        self.results[result] += 1
        return outcome

    def _fence(self, write: Write) -> None:
        spans: dict[Partition, tuple[int, int]] = {}
        for each in self._received:
            at = (each.record.topic, each.record.partition)
            spans[at] = (spans[at][0] if at in spans else each.after, each.record.offset + 1)
        for (topic, partition), (expected, following) in sorted(spans.items()):
            write.add("fence", (self._consumer, topic, self._epoch, partition, expected, following))


class Gap(Exception):
    """A version is missing before this one."""


class Fork(Exception):
    """The record contradicts what was taken before it."""


class Behind(Exception):
    """Its stream is parked; it waits in order."""


class Suspect(Exception):
    """The process died each time that this record was in hand."""


class Consumer:
    """Feeds an engine's lane from the bus. `handle` lets nothing out but what must end the process."""

    def __init__(
        self,
        inbox: Inbox,
        engine: Runs,
        positions: Positions,
        actor: str,
        *,
        epoch: int = 1,
        counted: Callable[[str, int], None] = lambda result, count: None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.inbox = inbox
        self._engine = engine
        self._store = positions
        self._actor = actor
        self._epoch = epoch
        self._counted = counted
        self._pause = pause
        self._clock = clock
        self._positions: dict[Partition, int] = {}
        self._alone: set[Partition] = set()
        self._holes: dict[Partition, int] = {}
        self._in_hand: dict[Partition, tuple[int, int]] = {}  # the offset that was noted as suspect, and its tries
        self._parked: deque[tuple[float, int, int]] = deque()
        self._away = 0
        self.lock = asyncio.Lock()
        self.seeker: Seeker | None = None
        self.hints: dict[Partition, int] = {}  # committed positions that Kafka has not been told yet

    async def assigned(self, partitions: Iterable[Partition]) -> None:
        """Read the stored positions and seek there."""
        async with self.lock:
            await self._recover(sorted(partitions))

    def revoked(self) -> None:
        """Nothing of what is still in flight is ours any more."""
        self._positions.clear()

    async def handle(self, records: Sequence[Record]) -> None:
        """Take a poll. Returns when it is committed or given back to the store's positions."""
        async with self.lock:
            ours = self._in_place(records)
            if not ours:
                return
            alone = {(record.topic, record.partition) for record, _ in ours} & self._alone
            if alone:
                await self._one_by_one(ours)
                self._alone -= alone
            else:
                await self._commit([self._read(record, after) for record, after in ours])

    def _in_place(self, records: Sequence[Record]) -> list[tuple[Record, int]]:
        """The records that continue our positions, each with the position before it.

        A hole is seeked once and believed the second time.
        """
        ours: list[tuple[Record, int]] = []
        following = dict(self._positions)
        skipped: set[Partition] = set()
        for record in records:
            at = (record.topic, record.partition)
            expected = following.get(at)
            if expected is None or at in skipped or record.offset < expected:
                continue
            if record.offset > expected and self._holes.get(at) != expected:
                self._holes[at] = expected
                skipped.add(at)
                self._seek(at, expected)
                continue
            following[at] = record.offset + 1
            ours.append((record, expected))
        return ours

    def _seek(self, at: Partition, offset: int) -> None:
        if self.seeker is not None:
            self.seeker.seek(at, offset)

    def _read(self, record: Record, after: int) -> Received:
        """Decode and ask, before the store is looked at. Every exception is this record's."""
        stranger = self.inbox.outside.get(record.topic)
        try:
            if stranger is not None:
                return Received(record, after, unit=stranger(record))
            envelope = envelope_of(record.headers)
        except Exception as error:  # whatever a stranger wrote
            return Received(record, after, broken=error)
        try:
            return Received(record, after, envelope, self._unit(record, envelope))
        except Exception as error:  # decode or on_<event>: the stream is parked
            return Received(record, after, envelope, broken=error)

    def _unit(self, record: Record, envelope: Envelope) -> Unit | None:
        codec = self.inbox.codecs[record.topic]
        known = codec.classes.get(envelope.event_type)
        if known is not None and known not in self.inbox.consumes:
            return None
        if known is None and codec.is_foreign(envelope.event_type):
            return None  # a type that is newer than we are, and none of what we listen to
        data = record.value or b""
        event = codec.decode(envelope.event_type, data)
        handler = self.inbox.consumes.get(type(event))
        if handler is None:
            return None
        envelope.verify(data)
        cause = envelope.cause()
        asks = handler(event, cause)
        return Unit(asks, _meta(cause, self._actor, envelope.traceparent)) if asks else None

    async def _commit(self, received: Sequence[Received]) -> None:
        poll = Poll(self.inbox.name, self._epoch, received)
        try:
            await self._engine.run(poll)
        except Fenced:
            await self._recover(list(self._positions))
        except ContentRefused as refused:
            await self._halve(received, refused)
        except Unavailable as away:
            await self._wait(away)
        else:
            self._away = 0
            self._advance(received, poll)

    async def _halve(self, received: Sequence[Received], refused: ContentRefused) -> None:
        """The database refuses something in here: down to the culprit, which is parked."""
        if len(received) == 1:
            only = received[0]
            if only.broken is not None:
                raise refused
            await self._commit([Received(only.record, only.after, only.envelope, broken=refused)])
            return
        middle = len(received) // 2
        await self._commit(received[:middle])
        await self._commit(received[middle:])

    async def _wait(self, away: Unavailable) -> None:
        self._away += 1
        if self._away > AWAY_MAX:
            raise away
        await self._pause(min(0.1 * self._away, 2.0))
        await self._recover(list(self._positions))

    async def _one_by_one(self, records: Sequence[tuple[Record, int]]) -> None:
        for record, after in records:
            at = (record.topic, record.partition)
            if self._positions.get(at, -1) > record.offset:
                continue
            tries = await self._tries(at, record.offset)
            received = self._read(record, after) if tries <= SUSPECT_TRIES_MAX else self._suspected(record, after)
            await self._commit([received])

    async def _tries(self, at: Partition, offset: int) -> int:
        """At how many deaths it was in hand, and now. A failure that we lived through is not held against it."""
        noted = self._in_hand.get(at)
        if noted is None or noted[0] != offset:
            noted = (offset, await self._store.suspect(self.inbox.name, self._epoch, at, offset))
            self._in_hand[at] = noted
        return noted[1]

    def _suspected(self, record: Record, after: int) -> Received:
        try:
            envelope: Envelope | None = envelope_of(record.headers)
        except Unreadable:
            envelope = None
        return Received(record, after, envelope, broken=Suspect(f"in hand at {SUSPECT_TRIES_MAX} deaths"))

    async def _recover(self, partitions: Sequence[Partition]) -> None:
        """Back to what the store says. Waits for the store: nothing may be polled past it meanwhile."""
        found = await self._stored(partitions)
        for at, position in found.items():
            self._positions[at] = position.next_offset
            if position.starts >= ALONE_AFTER_STARTS:
                self._alone.add(at)
            self._seek(at, position.next_offset)

    async def _stored(self, partitions: Sequence[Partition]) -> dict[Partition, Position]:
        for number in range(AWAY_MAX):
            try:
                return await self._store.assign(self.inbox.name, self._epoch, partitions)
            except Unavailable:
                await self._pause(min(0.1 * (number + 1), 2.0))
        raise Unavailable("the stored positions cannot be read")

    def _advance(self, received: Sequence[Received], poll: Poll) -> None:
        for each in received:
            at = (each.record.topic, each.record.partition)
            self._positions[at] = self.hints[at] = each.record.offset + 1
            self._holes.pop(at, None)
        for result, count in poll.results.items():
            if count:
                self._counted(result, count)
        internal = sum(1 for each in received if each.record.topic in self.inbox.codecs)
        self._watch_parking(sum(poll.parked[topic] for topic in self.inbox.codecs), internal)

    def _watch_parking(self, parked: int, total: int) -> None:
        now = self._clock()
        self._parked.append((now, parked, total))
        while self._parked[0][0] < now - PARKED_SECONDS:
            self._parked.popleft()
        if not parked or not total:
            return
        parked_sum, total_sum = sum(row[1] for row in self._parked), sum(row[2] for row in self._parked)
        if parked_sum >= PARKED_MIN and parked_sum > total_sum * PARKED_SHARE:
            raise ParkingRate(f"{parked_sum} of {total_sum} records parked within {PARKED_SECONDS:.0f} s")


def _meta(cause: Cause, actor: str, traceparent: str | None) -> Meta:
    return Meta(
        tenant=cause.tenant,
        actor=actor,
        correlation_id=cause.correlation_id,
        causation_id=cause.event_id,
        traceparent=traceparent,
    )
