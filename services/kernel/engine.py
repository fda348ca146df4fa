"""The engine: a batch of asks in, one read, pure decisions, one write, answers out. The only way an event is written.

HTTP, Kafka, workers and the command line differ only in their intake: how they name what must be read, how they make
units of it, and what else (positions, parked records) belongs into the same write.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from services.kernel.codec import GENESIS, EventCodec, StateCodec, chain_hash, encode, encode_event, schema_version
from services.kernel.decider import (
    Ask,
    Decider,
    Head,
    Meta,
    Outcome,
    Owner,
    Recorded,
    RequestKey,
    Seen,
    SideEffect,
    Unit,
)
from services.kernel.ids import derive
from services.kernel.rejected import Rejected
from services.kernel.store import (
    Conflict,
    Known,
    Store,
    StoredAnswer,
    StoredHead,
    StoredRow,
    Transaction,
    Unavailable,
    Wanted,
    Write,
)

RETRY_SECONDS = 20  # a conflict runs again within this time; no count, since each attempt sees somebody else's progress
PAUSE_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)  # between attempts when the store is away


class IdempotencyConflict(Rejected):
    """This Idempotency-Key was used for another request."""

    code = "IDEMPOTENCY_CONFLICT"


Decide = Callable[[Unit], Outcome]


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
            wanted.claims.update((tenant, claim.namespace, claim.value) for claim in ask.claims)
            wanted.accounts.update(ask.reads)
        if unit.request_key:
            wanted.requests.add(_request_id(unit.request_key))
        if unit.effect:
            wanted.effects.add(unit.effect.effect_id)
    return wanted


def _request_id(key: RequestKey) -> tuple[str, str, str]:
    return (key.tenant, key.principal, key.key)


@dataclass(slots=True)
class Stream:
    """A stream inside a batch: what the store had, and what the batch made of it so far."""

    stream_id: UUID
    decider: Decider[Any, Any, Any] | None
    tenant: str
    record_key: UUID
    state: Any
    version: int
    hash: bytes
    stored: int  # the version in the store, 0 when it is new
    stage: str = ""  # of `state`, as stored; filled at the end of a unit that moved it
    encoded: bytes = b""


@dataclass(slots=True)
class Overlay:
    """What one unit did, kept apart until all of it has succeeded."""

    streams: dict[UUID, Stream]
    claims: dict[tuple[str, str, str], Owner]
    events: list[Recorded]
    write: Write
    metas: dict[UUID, tuple[Meta, bytes]] = field(default_factory=dict)  # by what the event belongs to; few per unit


@dataclass(frozen=True, slots=True)
class Unfoldable:
    """A state that could not be folded anew: whoever asks this stream fails, and nobody else."""

    error: Exception


class Engine:
    """Runs batches of one service against a store. Deciders and ids come in; no decision reads a clock."""

    def __init__(
        self,
        store: Store,
        deciders: Sequence[Decider[Any, Any, Any]],
        topic: str,
        new_id: Callable[[], UUID],
        *,
        also_of: Mapping[type, Callable[[Any, Write], None]] | None = None,
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
        self._schema_versions = {cls: schema_version(cls.type) for decider in deciders for cls in decider.events}  # type: ignore[attr-defined]
        self._topic = topic
        self._new_id = new_id
        self._also_of = also_of or {}
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
            try:
                outcomes, write = await self._attempt(intake, attempts)
            except (Conflict, Unavailable) as trouble:
                self._retried(type(trouble).__name__)
                if time.monotonic() - started > RETRY_SECONDS:
                    raise Unavailable(f"gave up after {RETRY_SECONDS} s: {trouble}") from trouble
                if isinstance(trouble, Unavailable):
                    await self._pause(PAUSE_SECONDS[min(number, len(PAUSE_SECONDS) - 1)])
                continue
            self._measured(len(outcomes), time.monotonic() - started)
            self._committed(write)
            return outcomes
        raise AssertionError("unreachable")

    async def _attempt(
        self, intake: Intake, attempts: dict[UUID, tuple[list[Outcome], Write]]
    ) -> tuple[list[Outcome], Write]:
        wanted = intake.wanted()
        wanted.events = tuple(attempts)
        async with self.store.transaction() as transaction:
            known = await transaction.read(wanted)
            if known.committed:
                return attempts[known.committed]
            batch = Batch(self, known, await self._fold_anew(transaction, known))
            outcomes = intake.decide(known, batch.decide, batch.write)
            write = batch.finished()
            await transaction.write(write)
            if batch.first_event:
                attempts[batch.first_event] = (outcomes, write)  # from here on its commit may happen, heard of or not
        return outcomes, write

    async def _fold_anew(self, transaction: Transaction, known: Known) -> dict[UUID, Any]:
        """States whose stored fold is of an older `evolve`, folded from their events."""
        anew = {}
        for head in known.streams.values():
            decider = self._deciders.get(head.category)
            if decider is not None and decider.fold_version != head.fold:
                events = await transaction.events(head.stream_id)
                try:
                    anew[head.stream_id] = self._fold(decider, events)
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

    def schema_version(self, event: Any) -> int:
        """n of the event's type."""
        return self._schema_versions[type(event)]

    def new_id(self) -> UUID:
        """The id of the next event."""
        return self._new_id()

    def beside(self, event: Any, write: Write) -> None:
        """Rows of registered parts that follow from an event (the ledger's postings)."""
        rows = self._also_of.get(type(event))
        if rows is not None:
            rows(event, write)

    @property
    def topic(self) -> str:
        """Where this service publishes."""
        return self._topic

    async def heads(self, streams: Sequence[UUID]) -> dict[UUID, tuple[StoredHead, Any]]:
        """Committed heads with their states, for answers to reads; streams that do not exist are left out."""
        found = await self.store.heads(streams)
        return {stream_id: (head, self.state_of(head)) for stream_id, head in found.items()}

    async def rows(self, sql: str, *values: Any) -> Sequence[Any]:
        """A read of the service's own tables, for answers to reads."""
        return await self.store.fetch(sql, *values)

    async def history(self, stream_id: UUID) -> AsyncIterator[tuple[StoredRow, Any, Any]]:
        """Each event of a stream with the state before and after it."""
        rows = await self.store.history(stream_id)
        if rows:
            category = (await self.store.heads([stream_id]))[stream_id].category
            decider, codec = self._deciders[category], self._events[category]
            state = decider.initial
            for row in rows:
                before, state = state, decider.evolve(state, codec.decode(row.event_type, row.data))
                yield row, before, state


class Batch:
    """The decisions of one attempt, in memory. Nothing in it survives a rollback."""

    def __init__(self, engine: Engine, known: Known, folded: Mapping[UUID, Any]) -> None:
        self._engine = engine
        self._known = known
        self._folded = folded
        self._streams: dict[UUID, Stream] = {}
        self._touched: dict[UUID, Stream] = {}
        self._claims = dict(known.claims)
        self._answers: dict[tuple[str, str, str], StoredAnswer] = dict(known.requests)
        self.write = Write(engine.topic)
        self.first_event: UUID | None = None

    def finished(self) -> Write:
        """The write, with the heads of all streams that moved, sorted by stream."""
        for stream_id in sorted(self._touched):
            stream = self._touched[stream_id]
            assert stream.decider is not None
            tail = (stream.hash, stream.stage, stream.encoded, stream.decider.fold_version)
            if stream.stored:
                self.write.add("moved_streams", (stream_id, stream.stored, stream.version, *tail))
            else:
                head = (stream_id, stream.tenant, stream.decider.category, stream.record_key, stream.version)
                self.write.add("new_streams", (*head, *tail))
        return self.write

    def decide(self, unit: Unit) -> Outcome:
        """What becomes of the next unit. A refusal or an exception is its own alone."""
        key = unit.request_key
        if key is not None and (stored := self._answers.get(_request_id(key))) is not None:
            return self._repeated(key, stored)
        if unit.effect and self._known.effects.get(unit.effect.effect_id) != unit.effect.fence:
            return Outcome(stale=True)
        overlay = Overlay({}, {}, [], Write(self._engine.topic))
        try:
            heads = tuple([self._ask(ask, unit, overlay) for ask in unit.asks])
            self._encode(overlay)
        except Rejected as refusal:
            return self._settled(unit, Outcome(refusal=refusal), None)
        except Exception as error:  # noqa: BLE001 - the unit's own bug: its neighbours go on
            return Outcome(error=error)
        return self._settled(unit, Outcome(tuple(overlay.events), heads), overlay)

    def _encode(self, overlay: Overlay) -> None:
        """The stored form of each stream that moved: an exception here is still the unit's own."""
        for stream_id in {recorded.stream_id for recorded in overlay.events}:
            stream = overlay.streams[stream_id]
            assert stream.decider is not None
            stream.stage, stream.encoded = self._engine.stage_of(stream.decider.category, stream.state)

    def _repeated(self, key: RequestKey, stored: StoredAnswer) -> Outcome:
        if stored.fingerprint != key.fingerprint:
            return Outcome(refusal=IdempotencyConflict())
        return Outcome(answer=(stored.status, stored.body), replayed=True)

    def _settled(self, unit: Unit, outcome: Outcome, overlay: Overlay | None) -> Outcome:
        """Give the answer and the verdict, then take the unit over into the batch."""
        try:
            answer = unit.answer(outcome) if unit.answer else None
            verdict = unit.verdict(outcome) if unit.verdict else None
        except Exception as error:  # noqa: BLE001 - as above: nothing of the unit was taken yet
            return Outcome(error=error)
        if overlay is not None:
            self._take(overlay)
        self._beside(unit, answer, verdict)
        return replace(outcome, answer=answer) if answer else outcome

    def _take(self, overlay: Overlay) -> None:
        self._streams.update(overlay.streams)
        for recorded in overlay.events:
            self._touched[recorded.stream_id] = self._streams[recorded.stream_id]
        if overlay.events and self.first_event is None:
            self.first_event = overlay.events[0].event_id
        for (tenant, namespace, value), owner in overlay.claims.items():
            self.write.add("claims", (namespace, value, tenant, owner.stream_id, owner.content))
        self._claims.update(overlay.claims)
        self.write.take(overlay.write)

    def _beside(self, unit: Unit, answer: tuple[int, bytes] | None, verdict: str | None) -> None:
        if unit.request_key and answer:
            key = unit.request_key
            self._answers[_request_id(key)] = StoredAnswer(key.fingerprint, answer[0], answer[1])
            self.write.add("requests", (key.tenant, key.principal, key.key, key.fingerprint, answer[0], answer[1]))
        if unit.arrival:
            a = unit.arrival
            row = (a.arrival_id, unit.meta.tenant, a.source, a.transport, a.body, a.headers)
            self.write.add("arrivals", (*row, verdict or a.verdict, a.reference, a.content))
        if unit.effect and unit.effect.again_after is not None:
            self.write.add("effects_again", (unit.effect.effect_id, unit.effect.fence, unit.effect.again_after))
        elif unit.effect and not unit.effect.held:
            self.write.add("effects_done", (unit.effect.effect_id, unit.effect.fence))

    def _ask(self, ask: Ask, unit: Unit, overlay: Overlay) -> Head:
        decider = self._engine.decider_of(ask.command)
        stream = overlay.streams.get(ask.stream_id) or self._stream(ask.stream_id, decider, unit.meta.tenant)
        overlay.streams[ask.stream_id] = stream
        command = self._with_seen(ask, unit.meta.tenant, overlay) if ask.claims or ask.reads else ask.command
        events = decider.decide(stream.state, command, self._known.at)
        for event in events:
            self._append(stream, decider, event, unit.meta, overlay)
        if events:
            self._claim(ask, unit.meta.tenant, overlay)
        return Head(stream.state, stream.version)

    def _stream(self, stream_id: UUID, decider: Decider[Any, Any, Any], tenant: str) -> Stream:
        """A copy that the unit may change: what the batch made of it so far, or what the store has."""
        found = self._streams.get(stream_id)
        if found is not None:
            assert found.tenant == tenant, "a stream belongs to one tenant"
            return replace(found)
        head = self._known.streams.get(stream_id)
        if head is None:
            return Stream(stream_id, None, tenant, stream_id, decider.initial, 0, GENESIS, 0)
        assert head.tenant == tenant, "a stream belongs to one tenant"
        assert head.category == decider.category, "a stream has one decider"
        state = self._folded[stream_id] if stream_id in self._folded else self._engine.state_of(head)
        if isinstance(state, Unfoldable):
            raise state.error
        return Stream(stream_id, decider, tenant, head.record_key, state, head.version, head.hash, head.version)

    def _with_seen(self, ask: Ask, tenant: str, overlay: Overlay) -> Any:
        owners = {}
        for claim in ask.claims:
            key = (tenant, claim.namespace, claim.value)
            owner = overlay.claims.get(key) or self._claims.get(key)
            if owner is not None:
                owners[claim.namespace] = owner
        rows = {name: self._known.accounts[name] for name in ask.reads if name in self._known.accounts}
        return replace(ask.command, seen=Seen(owners, rows))

    def _claim(self, ask: Ask, tenant: str, overlay: Overlay) -> None:
        """A claim is taken with the events that need it; one that is already owned stays with its owner."""
        for claim in ask.claims:
            key = (tenant, claim.namespace, claim.value)
            if key not in self._claims and key not in overlay.claims:
                overlay.claims[key] = Owner(ask.stream_id, claim.content)

    def _append(
        self, stream: Stream, decider: Decider[Any, Any, Any], event: Any, meta: Meta, overlay: Overlay
    ) -> None:
        if stream.version == 0:
            stream.decider = decider
            stream.record_key = decider.key_of(event) if decider.key_of else stream.stream_id
        meta, meta_bytes = _belonging(decider, event, meta, overlay)
        engine, at = self._engine, self._known.at
        data, event_id = encode_event(event), engine.new_id()
        kind, prev = event.type, stream.hash
        stream.version += 1
        stream.state = decider.evolve(stream.state, event)
        stream.hash = chain_hash(
            prev, stream.stream_id.bytes, stream.version, event_id.bytes, kind, at, meta_bytes, data
        )
        row = (stream.stream_id, stream.version, event_id, kind, engine.schema_version(event), stream.record_key)
        overlay.write.add("events", (*row, data, meta_bytes, at, prev, stream.hash))
        overlay.events.append(Recorded(stream.stream_id, stream.version, event_id, event, data))
        for effect in decider.plan(event):
            overlay.write.add("effects", _effect_row(effect, event_id, stream.stream_id, decider.category, meta, at))
        engine.beside(event, overlay.write)


def _belonging(decider: Decider[Any, Any, Any], event: Any, meta: Meta, overlay: Overlay) -> tuple[Meta, bytes]:
    """The meta of an event and its bytes: correlated to what the decider says that the event belongs to."""
    belongs = (decider.correlate(event) if decider.correlate else None) or meta.correlation_id
    found = overlay.metas.get(belongs)
    if found is None:
        if belongs != meta.correlation_id:
            meta = replace(meta, correlation_id=belongs)
        found = overlay.metas[belongs] = (meta, encode(meta))
    return found


def _effect_row(
    effect: SideEffect, event_id: UUID, stream_id: UUID, category: str, meta: Meta, at: datetime
) -> tuple[Any, ...]:
    effect_id = derive(event_id, effect.name)
    due = effect.due_at or at
    return (
        effect_id,
        stream_id,
        effect.kind,
        effect.name,
        due,
        category,
        meta.tenant,
        meta.correlation_id,
        meta.traceparent,
    )
