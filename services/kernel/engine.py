"""The engine: a batch of asks in, one read, pure decisions, one write, answers out. The only way an event is written.

HTTP, Kafka, workers and the command line differ only in their intake: how they name what must be read, how they make
units of it, and what else (positions, parked records) belongs into the same write.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from services.kernel.batch import Batch, Unfoldable, request_id
from services.kernel.codec import EventCodec, StateCodec, schema_version
from services.kernel.decider import Decider, Outcome, Unit
from services.kernel.store import (
    Conflict,
    InDoubt,
    Known,
    Store,
    StoredHead,
    StoredRow,
    Transaction,
    Unavailable,
    Wanted,
    Write,
)

RETRY_SECONDS = 20  # a conflict runs again within this time; no count, since each attempt sees somebody else's progress
PAUSE_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)  # between attempts when the store is away

Decide = Callable[[Unit], Outcome]
Beside = Callable[[Any, Write, Any], None]  # an event, the write that it goes into, the state before it
Moved = Callable[[Any, Callable[[str], Any]], Mapping[str, Any]]  # an event, what an account is -> what it is then


class Intake(Protocol):
    """One way in. It may look at what was found before it asks, and adds rows of its own (fences, cursors)."""

    def wanted(self) -> Wanted:
        """What must be locked and read, for every attempt anew."""

    def decide(self, known: Known, decide: Decide, write: Write) -> list[Outcome]:
        """The outcomes of its units, in order, each got from `decide`."""


class Units:
    """The intake of HTTP, workers and the command line: units as they come."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self._units = units

    def wanted(self) -> Wanted:
        """What their asks and keys name."""
        return wanted_by(self._units)

    def decide(self, known: Known, decide: Decide, write: Write) -> list[Outcome]:
        """One after the other, nothing beside."""
        return [decide(unit) for unit in self._units]


def wanted_by(units: Iterable[Unit]) -> Wanted:
    """What these units must see."""
    wanted = Wanted()
    for unit in units:
        tenant = unit.meta.tenant
        for ask in unit.asks:
            wanted.streams.add(ask.stream_id)
            for claim in ask.claims:
                wanted.claims.add((tenant, claim.namespace, claim.value))
            wanted.accounts.update(ask.reads)
        if unit.request_key:
            wanted.requests.add(request_id(unit.request_key))
        if unit.effect:
            wanted.effects.add(unit.effect.effect_id)
    return wanted


class Engine:
    """Runs batches of one service against a store. Deciders and ids come in; no decision reads a clock."""

    def __init__(
        self,
        store: Store,
        deciders: Sequence[Decider[Any, Any, Any]],
        topic: str,
        new_id: Callable[[], UUID],
        *,
        also_of: Mapping[type, Beside] | None = None,
        moved: Moved = lambda event, look: {},
        committed: Callable[[Write], None] = lambda write: None,
        pause: Callable[[float], Any] = asyncio.sleep,
        measured: Callable[[int, float], None] = lambda asks, seconds: None,
        retried: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self.store = store
        self._deciders = {decider.category: decider for decider in deciders}
        self._by_command = {command: decider for decider in deciders for command in decider.commands}
        self._states = {decider.category: StateCodec(decider.stages) for decider in deciders}
        self._events = {decider.category: EventCodec(decider.events, decider.upcasts) for decider in deciders}
        self.schema_versions = {cls: schema_version(cls.type) for decider in deciders for cls in decider.events}  # type: ignore[attr-defined]
        self.topic = topic
        self.over = [(each.category, stage.__name__, each.fold_version) for each in deciders for stage in each.over]
        self.new_id = new_id
        self.also_of = also_of or {}  # rows of registered parts that follow from an event (the ledger's postings)
        self.moved = moved  # so that the next ask of a batch sees what the one before it did
        self._committed = committed
        self._pause = pause
        self._measured = measured
        self._retried = retried

    async def run(self, intake: Intake) -> list[Outcome]:
        """Decide and write all of it. Raises Fenced and ContentRefused for the intake, Unavailable for whoever asked.

        Answers are given only for the attempt that was committed. When the answer of a commit was lost, the next
        attempt looks, under the same locks, for an event of the earlier one.
        """
        started = time.monotonic()
        attempts: dict[UUID, tuple[list[Outcome], Write]] = {}  # those whose commit may have happened
        for number in range(1_000_000):
            doubtful = len(attempts)
            try:
                outcomes, write = await self._attempt(intake, attempts, again=number > 0)
            except (Conflict, Unavailable) as trouble:
                self._retried(type(trouble).__name__)
                if isinstance(trouble, Conflict) and len(attempts) > doubtful:
                    attempts.popitem()  # it was rolled back: nothing of it will be found
                if time.monotonic() - started > RETRY_SECONDS:
                    given_up = InDoubt if attempts else Unavailable
                    raise given_up(f"gave up after {RETRY_SECONDS} s: {trouble}") from trouble
                if isinstance(trouble, Unavailable):
                    await self._pause(PAUSE_SECONDS[min(number, len(PAUSE_SECONDS) - 1)])
                continue
            self._measured(len(outcomes), time.monotonic() - started)
            self._committed(write)
            return outcomes
        raise AssertionError("unreachable")

    async def _attempt(
        self, intake: Intake, attempts: dict[UUID, tuple[list[Outcome], Write]], *, again: bool
    ) -> tuple[list[Outcome], Write]:
        """The first attempt locks nothing unless it must: its write finds out. Whoever comes again has met somebody."""
        wanted = intake.wanted()
        wanted.events = tuple(attempts)
        async with self.store.transaction(locking=again or wanted.needs_locks) as transaction:
            known = await transaction.read(wanted)
            if known.committed:
                return attempts[known.committed]
            batch = Batch(self, known, await self._fold_anew(transaction, known))
            outcomes = intake.decide(known, batch.decide, batch.write)
            write = batch.finished()
            if batch.first_event:
                attempts[batch.first_event] = (outcomes, write)  # from here on its commit may happen, heard of or not
            await transaction.write(write)
        return outcomes, write

    async def _fold_anew(self, transaction: Transaction, known: Known) -> dict[UUID, Any]:
        """States whose stored fold is of an older `evolve`, folded from their events."""
        anew = {}
        for head in known.streams.values():
            decider = self._deciders.get(head.category)
            if decider is not None and decider.fold_version != head.fold:
                events = await transaction.events(head.stream_id)
                try:  # without locks there may be more by now than the head that was read
                    anew[head.stream_id] = self._fold(decider, events[: head.version])
                except Exception as error:  # noqa: BLE001 - a stream that cannot be folded is refused alone
                    anew[head.stream_id] = Unfoldable(error)
        return anew

    def _fold(self, decider: Decider[Any, Any, Any], events: Sequence[tuple[str, bytes]]) -> Any:
        state, codec = decider.initial, self._events[decider.category]
        for event_type, data in events:
            state = decider.evolve(state, codec.decode(event_type, data))
        return state

    def decider_of(self, command: Any) -> Decider[Any, Any, Any]:
        """The decider of this command; KeyError is a wiring bug."""
        return self._by_command[type(command)]

    def decider(self, category: str) -> Decider[Any, Any, Any]:
        """The decider of a category."""
        return self._deciders[category]

    def state_of(self, head: StoredHead) -> Any:
        """The folded state of a stored head."""
        return self._states[head.category].decode(head.stage, head.state)

    def stage_of(self, category: str, state: Any) -> tuple[str, bytes]:
        """(stage, bytes) as stored."""
        return self._states[category].encode(state)

    async def heads(self, streams: Sequence[UUID]) -> dict[UUID, tuple[StoredHead, Any]]:
        """Committed heads with their states, for answers to reads; streams that do not exist are left out."""
        found = await self.store.heads(streams)
        return {stream_id: (head, await self.folded(head)) for stream_id, head in found.items()}

    async def folded(self, head: StoredHead) -> Any:
        """The state of a committed head, folded anew when `evolve` has changed its mind since."""
        decider = self._deciders[head.category]
        if decider.fold_version == head.fold:
            return self.state_of(head)
        rows = await self.store.history(head.stream_id)
        return self._fold(decider, [(row.event_type, row.data) for row in rows if row.version <= head.version])

    async def rows(self, sql: str, *values: Any) -> Sequence[Any]:
        """A read of the service's own tables, for answers to reads."""
        return await self.store.fetch(sql, *values)

    async def history(self, stream_id: UUID, limit: int | None = None) -> AsyncIterator[tuple[StoredRow, Any, Any]]:
        """Each event of a stream, or the first `limit`, with the state before and after it."""
        rows = await self.store.history(stream_id, limit)
        if rows:
            category = (await self.store.heads([stream_id]))[stream_id].category
            decider, codec = self._deciders[category], self._events[category]
            state = decider.initial
            for row in rows:
                before, state = state, decider.evolve(state, codec.decode(row.event_type, row.data))
                yield row, before, state
