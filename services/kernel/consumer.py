"""The consumer: Kafka records -> asks -> engine, with the offset in the same write (poll.py).

Positions are ours, stored with what was written for them and at least every second; Kafka's are a hint. One recovery
for everything (fence lost, commit lost, restart, rebalance): back to what the store says. What cannot be handled is
parked with its stream; nothing else stops.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Protocol

from services.kernel import semconv, tracing
from services.kernel.codec import EventCodec
from services.kernel.decider import Cause, Consumes, Meta, Outcome, Unit
from services.kernel.engine import Intake
from services.kernel.envelope import Envelope, Unreadable, envelope_of, type_of
from services.kernel.poll import (
    UNSAVED_BY_READERS_MAX,
    UNSAVED_MAX,
    Cursors,
    Places,
    Poll,
    Received,
    Record,
)
from services.kernel.store import ContentRefused, Fenced, Partition, Position, Unavailable

ALONE_AFTER_STARTS = 2  # died this often without progress: the next poll goes record by record
SUSPECT_TRIES_MAX = 3  # a record that was in hand at this many deaths is parked untried
PARKED_MIN, PARKED_SHARE, PARKED_SECONDS = 20, 0.05, 60.0  # beyond both, the deploy is bad and not the data
CHECKPOINT_SECONDS = 5.0  # what a start has to learn again, in a time in which a stream has moved a few times
SAVE_SECONDS = 2.0  # for the last checkpoint of a member that leaves: the others wait for it
_NO_STEP = nullcontext()
AWAY_MAX = 60  # batches in a row that found the store away; then the process starts again


class ParkingRate(Exception):
    """Too much of the input is parked: stop and page."""


class Suspect(Exception):
    """The process died each time that this record was in hand."""


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
    """What a service listens to: its handlers by event class, a codec per topic, and topics of strangers by reader.

    `passes` names event types whose streams it has nothing to do with: not even a cursor is kept of them.
    """

    name: str
    consumes: Consumes
    codecs: Mapping[str, EventCodec]
    outside: Mapping[str, Callable[[Record], Unit]] = field(default_factory=dict)
    passes: frozenset[str] = frozenset()

    @property
    def topics(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.codecs, *self.outside)


class Consumer:
    """Feeds an engine's lane from the bus. `handle` lets nothing out but what must end the process.

    With `all_later` all cursors wait for checkpoints: for read tables, which can be made anew.
    """

    def __init__(
        self,
        inbox: Inbox,
        engine: Runs,
        positions: Positions,
        actor: str,
        *,
        epoch: int = 1,
        counted: Callable[[str, int], None] = lambda result, count: None,
        all_later: bool = False,
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
        self._all_later = all_later
        self._places = Places(all_later=all_later)
        self._cursors = Cursors(unsaved_most=UNSAVED_BY_READERS_MAX if all_later else UNSAVED_MAX)
        self._saved_at = clock()
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
        self._places = Places(all_later=self._all_later)
        self._cursors.forget()

    @property
    def positions(self) -> dict[Partition, int]:
        """The next offset of each partition that is ours."""
        return dict(self._places.reading)

    async def unreadable(self, at: Partition, offset: int, error: Exception) -> None:
        """Park the record there, without its bytes: the bus itself could not read it."""
        async with self.lock:
            if self._places.reading.get(at) == offset:
                broken = Unreadable(f"{type(error).__name__}: {error}"[:200])
                taken = self._places.was_taken(at, offset)
                await self._commit([Received(Record(*at, offset, None, None, ()), broken=broken, taken=taken)])

    async def handle(self, records: Sequence[Record]) -> None:
        """Take a poll. Returns when it is committed or given back to the store's positions."""
        async with self.lock:
            ours = self._in_place(records)
            if not ours:
                return
            alone = self._alone and self._alone & {
                at
                for record in ours
                if not self._places.was_taken(at := (record.topic, record.partition), record.offset)
            }
            if alone:
                await self._one_by_one(ours)
                self._alone -= alone
            else:
                received = [self._read(record) for record in ours]
                with self._step(received):
                    await self._commit(received)

    def _step(self, received: Sequence[Received]) -> AbstractContextManager[object]:
        """The span of a poll, linked to each of its records. Nothing is looked at unless spans are exported."""
        if tracing.exporter is None:
            return _NO_STEP
        said: dict[str, str | int] = {
            semconv.MESSAGING_SYSTEM: semconv.KAFKA, semconv.MESSAGING_OPERATION: "process",
            semconv.MESSAGING_GROUP: self.inbox.name, semconv.MESSAGING_COUNT: len(received),
        }  # fmt: skip
        return tracing.joined(f"process {self.inbox.name}", map(_traceparent, received), "consumer", said)

    async def settle(self) -> None:
        """Store how far we have come, where nothing else had to be written. To be called about every second."""
        async with self.lock:
            places = self._places
            behind = any(end > places.stored[at] for at, end in places.reading.items())
            if behind or (places.reading != places.saved and self._is_time()):
                await self._commit([], settle=True)

    async def save(self) -> None:
        """A last checkpoint, so that whoever comes next has nothing to learn. Correctness does not need it."""
        with suppress(Fenced, Unavailable, ContentRefused, TimeoutError):
            async with asyncio.timeout(SAVE_SECONDS):
                await self._engine.run(self._poll([], settle=True, checkpoint=True))

    def _is_time(self) -> bool:
        return self._clock() - self._saved_at >= CHECKPOINT_SECONDS or self._cursors.full or self._places.jumped

    def _in_place(self, records: Sequence[Record]) -> list[Record]:
        """The records that continue our positions. A hole is seeked once and believed the second time."""
        ours: list[Record] = []
        following = dict(self._places.reading)
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
            ours.append(record)
        return ours

    def _seek(self, at: Partition, offset: int) -> None:
        if self.seeker is not None:
            self.seeker.seek(at, offset)

    def _read(self, record: Record) -> Received:
        """Decode and ask, before the store is looked at. Every exception is this record's."""
        if self.inbox.passes and type_of(record.headers) in self.inbox.passes:
            return Received(record, passed=True)
        if self._places.was_taken((record.topic, record.partition), record.offset):
            return self._read_again(record)
        stranger = self.inbox.outside.get(record.topic)
        try:
            if stranger is not None:
                return Received(record, unit=stranger(record))
            envelope = envelope_of(record.headers)
        except Exception as error:  # noqa: BLE001 - whatever a stranger wrote
            return Received(record, broken=error)
        try:
            return Received(record, envelope, self._unit(record, envelope))
        except Exception as error:  # noqa: BLE001 - decode or on_<event>: the stream is parked
            return Received(record, envelope, broken=error)

    def _read_again(self, record: Record) -> Received:
        """One that was taken: who it is, and no more; not even that when a person has jumped over it."""
        jumped = record.offset >= self._places.taken[record.topic, record.partition]
        return Received(record, None if jumped else self._identity(record), taken=True)

    def _suspected(self, record: Record) -> Received:
        return Received(record, self._identity(record), broken=Suspect(f"in hand at {SUSPECT_TRIES_MAX} deaths"))

    def _identity(self, record: Record) -> Envelope | None:
        """None when it is a stranger's, or does not say."""
        try:
            return None if record.topic in self.inbox.outside else envelope_of(record.headers)
        except Unreadable:
            return None

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

    async def _commit(self, received: Sequence[Received], *, settle: bool = False) -> bool:
        """Whether it is committed. If not, we are back at the store's positions: what follows must be read again."""
        poll = self._poll(received, settle=settle, checkpoint=self._is_time())
        if poll.only_passes():
            self._advance(received, poll)
            return True
        try:
            await self._engine.run(poll)
        except Fenced:
            await self._recover(list(self._places.reading))
            return False
        except ContentRefused as refused:
            return await self._halve(received, refused, settle=settle)
        except Unavailable as away:
            await self._wait(away)
            return False
        self._away = 0
        self._advance(received, poll)
        return True

    def _poll(self, received: Sequence[Received], *, settle: bool, checkpoint: bool) -> Poll:
        name, cursors, places = self.inbox.name, self._cursors, self._places
        return Poll(name, self._epoch, received, cursors, places, settle=settle, checkpoint=checkpoint)

    async def _halve(self, received: Sequence[Received], refused: ContentRefused, *, settle: bool) -> bool:
        """The database refuses something in here: down to the culprit, which is parked."""
        if not received:
            raise refused
        if len(received) == 1:
            only = received[0]
            if only.broken is not None:
                raise refused
            return await self._commit([Received(only.record, only.envelope, broken=refused)], settle=settle)
        middle = len(received) // 2
        first, second = received[:middle], received[middle:]
        return await self._commit(first, settle=settle) and await self._commit(second, settle=settle)

    async def _wait(self, away: Unavailable) -> None:
        self._away += 1
        if self._away > AWAY_MAX:
            raise away
        await self._pause(min(0.1 * self._away, 2.0))
        await self._recover(list(self._places.reading))

    async def _one_by_one(self, records: Sequence[Record]) -> None:
        """Each with its own write, also of one that only passes: a death must find the position at its culprit."""
        for record in records:
            at = (record.topic, record.partition)
            taken = self._places.was_taken(at, record.offset)
            tries = 0 if taken else await self._tries(at, record.offset)
            received = self._read(record) if tries <= SUSPECT_TRIES_MAX else self._suspected(record)
            if not await self._commit([received], settle=True):
                return

    async def _tries(self, at: Partition, offset: int) -> int:
        """At how many deaths it was in hand, and now. A failure that we lived through is not held against it."""
        noted = self._in_hand.get(at)
        if noted is None or noted[0] != offset:
            noted = (offset, await self._store.suspect(self.inbox.name, self._epoch, at, offset))
            self._in_hand[at] = noted
        return noted[1]

    async def _recover(self, partitions: Sequence[Partition]) -> None:
        """Back to what the store says. Waits for the store: nothing may be polled past it meanwhile."""
        self._cursors.forget()
        found = await self._stored(partitions)
        for at, position in found.items():
            self._places.stored[at], self._places.taken[at] = position.next_offset, position.taken
            self._places.saved[at] = position.checkpoint
            self._places.reading[at] = min(position.next_offset, position.checkpoint)
            if position.starts >= ALONE_AFTER_STARTS:
                self._alone.add(at)
            self._seek(at, self._places.reading[at])

    async def _stored(self, partitions: Sequence[Partition]) -> dict[Partition, Position]:
        for number in range(AWAY_MAX):
            try:
                return await self._store.assign(self.inbox.name, self._epoch, partitions)
            except Unavailable:
                await self._pause(min(0.1 * (number + 1), 2.0))
        raise Unavailable("the stored positions cannot be read")

    def _advance(self, received: Sequence[Received], poll: Poll) -> None:
        self._cursors.moved(poll.moved)
        self._cursors.saved(poll.saved)
        self._places.stored.update(poll.stored)
        self._places.taken.update(poll.taken)
        self._places.saved.update(poll.checkpoints)
        self._places.reading.update(poll.ends)
        self.hints.update(poll.ends)
        for at in poll.ends:
            self._holes.pop(at, None)
        if poll.checkpoints:
            self._saved_at = self._clock()
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


def _traceparent(received: Received) -> str | None:
    if received.unit is not None:
        return received.unit.meta.traceparent
    return received.envelope.traceparent if received.envelope is not None else None


def _meta(cause: Cause, actor: str, traceparent: str | None) -> Meta:
    return Meta(
        tenant=cause.tenant,
        actor=actor,
        correlation_id=cause.correlation_id,
        causation_id=cause.event_id,
        traceparent=traceparent,
    )
