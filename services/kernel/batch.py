"""The decisions of one batch, in memory: what the store had, what each unit made of it, and the write that follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from services.kernel.codec import GENESIS, chain_hash, encode, encode_event, instant
from services.kernel.decider import (
    NOTHING_SEEN,
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
from services.kernel.fingerprint import differing, same_request
from services.kernel.ids import derive
from services.kernel.rejected import Rejected
from services.kernel.store import Known, RequestId, StoredAnswer, Write

if TYPE_CHECKING:
    from services.kernel.engine import Engine


_BY_ID = attrgetter("stream_id.int")


class IdempotencyConflict(Rejected):
    """This Idempotency-Key was used for another request."""

    code = "IDEMPOTENCY_CONFLICT"

    @property
    def detail(self) -> str:
        """With the names, and only the names, of what differs."""
        sentence = "This Idempotency-Key was used for another request."
        return f"{sentence} They differ in: {', '.join(self.args)}." if self.args else sentence


def request_id(key: RequestKey) -> RequestId:
    """What it is found by."""
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

    @property
    def moved(self) -> bool:
        """It has events that the store does not have."""
        return self.version > self.stored


@dataclass(slots=True)
class Overlay:
    """What one unit did, kept apart until all of it has succeeded."""

    streams: dict[UUID, Stream]
    claims: dict[tuple[str, str, str], Owner]
    events: list[Recorded]
    write: Write
    seen: list[Seen] = field(default_factory=list)  # by each ask, in order
    metas: dict[UUID, tuple[Meta, bytes]] = field(default_factory=dict)  # by what the event belongs to; few per unit
    accounts: dict[str, Any] = field(default_factory=dict)  # those that the batch reads, as the unit left them


@dataclass(frozen=True, slots=True)
class Unfoldable:
    """A state that could not be folded anew: whoever asks this stream fails, and nobody else."""

    error: Exception


class Batch:
    """The decisions of one attempt, in memory. Nothing in it survives a rollback."""

    def __init__(self, engine: Engine, known: Known, folded: Mapping[UUID, Any]) -> None:
        self._engine = engine
        self._known = known
        self._folded = folded
        self._streams: dict[UUID, Stream] = {}
        self._claims = dict(known.claims)
        self._accounts = dict(known.accounts)
        self._answers: dict[tuple[str, str, str], StoredAnswer] = dict(known.requests)
        self._instant = instant(known.at)
        self.write = Write(engine.topic)
        self.first_event: UUID | None = None

    def finished(self) -> Write:
        """The write, with the heads of all streams that moved, sorted by stream."""
        for stream in sorted((each for each in self._streams.values() if each.moved), key=_BY_ID):
            assert stream.decider is not None
            tail = (stream.hash, stream.stage, stream.encoded, stream.decider.fold_version)
            if stream.stored:
                self.write.add("moved_streams", (stream.stream_id, stream.stored, stream.version, *tail))
            else:
                key = (stream.stream_id, stream.tenant, stream.decider.category, stream.record_key)
                self.write.add("new_streams", (*key, stream.version, *tail))
        return self.write

    def decide(self, unit: Unit) -> Outcome:
        """What becomes of the next unit. A refusal or an exception is its own alone."""
        key = unit.request_key
        if key is not None and (stored := self._answers.get(request_id(key))) is not None:
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
        return self._settled(unit, Outcome(tuple(overlay.events), heads, seen=tuple(overlay.seen)), overlay)

    def _encode(self, overlay: Overlay) -> None:
        """The stored form of each stream that moved: an exception here is still the unit's own."""
        for stream in overlay.streams.values():
            if stream.moved:
                assert stream.decider is not None
                stream.stage, stream.encoded = self._engine.stage_of(stream.decider.category, stream.state)

    def _repeated(self, key: RequestKey, stored: StoredAnswer) -> Outcome:
        if not same_request(stored.fingerprint, key.fingerprint):
            self.write.add("conflicts", (key.tenant, key.principal, key.key, key.fingerprint))
            return Outcome(refusal=IdempotencyConflict(*differing(stored.fingerprint, key.fingerprint)))
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
        if overlay.events and self.first_event is None:
            self.first_event = overlay.events[0].event_id
        for (tenant, namespace, value), owner in overlay.claims.items():
            self.write.add("claims", (namespace, value, tenant, owner.stream_id, owner.content))
        self._claims.update(overlay.claims)
        self._accounts.update(overlay.accounts)
        self.write.take(overlay.write)

    def _beside(self, unit: Unit, answer: tuple[int, bytes] | None, verdict: str | None) -> None:
        if unit.request_key and answer:
            key = unit.request_key
            self._answers[request_id(key)] = StoredAnswer(key.fingerprint, answer[0], answer[1])
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
        seen = self._seen(ask, unit.meta.tenant, overlay) if ask.claims or ask.reads else None
        command = replace(ask.command, seen=seen) if seen else ask.command
        overlay.seen.append(seen or NOTHING_SEEN)
        events = decider.decide(stream.state, command, self._known.at)
        for event in events:
            self._append(stream, decider, event, unit.meta, overlay)
        if events:
            self._claim(ask, overlay.seen[-1], unit.meta.tenant, overlay)
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

    def _seen(self, ask: Ask, tenant: str, overlay: Overlay) -> Seen:
        owners = {}
        for claim in ask.claims:
            key = (tenant, claim.namespace, claim.value)
            owner = overlay.claims.get(key) or self._claims.get(key)
            if owner is not None:
                owners[claim.namespace] = owner
        look = self._look(overlay)
        rows = {name: row for name in ask.reads if (row := look(name)) is not None}
        return Seen(owners, rows)

    def _look(self, overlay: Overlay) -> Callable[[str], Any]:
        """An account as the batch and this unit have left it; None for one that no ask reads."""
        return lambda name: overlay.accounts.get(name) or self._accounts.get(name)

    def _claim(self, ask: Ask, seen: Seen, tenant: str, overlay: Overlay) -> None:
        """A claim is taken with the events that need it; one that is already owned stays with its owner."""
        for claim in ask.claims:
            if claim.behind is not None and claim.behind not in seen.owners:
                continue
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
        engine, stream_id, at, prev = self._engine, stream.stream_id, self._known.at, stream.hash
        data, event_id, kind = encode_event(event), engine.new_id(), event.type
        stream.version = version = stream.version + 1
        before, stream.state = stream.state, decider.evolve(stream.state, event)
        stream.hash = chain_hash(prev, stream_id.bytes, version, event_id.bytes, kind, self._instant, meta_bytes, data)
        row = (stream_id, version, event_id, kind, engine.schema_versions[type(event)], stream.record_key)
        overlay.write.add("events", (*row, data, meta_bytes, at, prev, stream.hash))
        overlay.events.append(Recorded(stream_id, version, event_id, event, data))
        for effect in decider.plan(event):
            overlay.write.add("effects", _effect_row(effect, event_id, stream_id, decider.category, meta, at))
        if (beside := engine.also_of.get(type(event))) is not None:
            beside(event, overlay.write, before)
            if self._accounts:
                overlay.accounts.update(engine.moved(event, self._look(overlay)))


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
    return (
        derive(event_id, effect.name),
        stream_id,
        effect.kind,
        effect.name,
        effect.due_at or at,
        category,
        meta.tenant,
        meta.correlation_id,
        meta.traceparent,
    )
