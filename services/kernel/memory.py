"""The store in memory: the same rules as PostgreSQL, no randomness, and a hook at every step. What a relay sees
of it: memory_outbox.py. The bus: memory_bus.py.

Locks serialise transactions as rows do in PostgreSQL: a read locks the streams and effects that exist, a write locks
out other writers until its commit, and whoever comes second finds a conflict. A seeded scheduler hands in `step`: there
it may wait, raise (the process died) or answer with a Fault.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from itertools import islice
from typing import Any
from uuid import UUID

from services.kernel.codec import EVENT_BYTES_MAX, decode_meta
from services.kernel.decider import Due, Owner
from services.kernel.envelope import StoredEvent
from services.kernel.store import (
    ClaimKey,
    Conflict,
    ContentRefused,
    Cursor,
    Fenced,
    Known,
    Partition,
    Position,
    RequestId,
    Row,
    Stage,
    StoredAnswer,
    StoredHead,
    StoredRow,
    Taken,
    Unavailable,
    Wanted,
    Write,
)

TEXT_BYTES_MAX = 2_600  # about what an index entry of PostgreSQL may hold, for the texts that are keys


class Fault(Enum):
    """What may go wrong at a step."""

    CONFLICT = auto()  # commit: as if somebody else had moved a row
    UNAVAILABLE = auto()  # any step: nothing was done
    LOSE_ANSWER = auto()  # commit, publish: it was done, and nobody hears of it
    DUPLICATE = auto()  # publish: every record twice


Step = Callable[[str], Awaitable[Fault | None]]


async def no_fault(point: str) -> Fault | None:
    """Let the others run, then go on."""
    await asyncio.sleep(0)
    return None


@dataclass(slots=True)
class Effect:
    """A row of side_effect."""

    due: Due
    kind: str
    lease_until: datetime | None = None


@dataclass(slots=True)
class Tables:
    """What has been committed."""

    heads: dict[UUID, StoredHead] = field(default_factory=dict)
    events: list[StoredEvent] = field(default_factory=list)  # in global order; nothing ever leaves it
    event_ids: set[UUID] = field(default_factory=set)
    claims: dict[ClaimKey, Owner] = field(default_factory=dict)
    requests: dict[RequestId, StoredAnswer] = field(default_factory=dict)
    conflicts: dict[RequestId, str] = field(default_factory=dict)  # the last other fingerprint under a key
    arrivals: dict[UUID, Row] = field(default_factory=dict)
    cursors: dict[tuple[str, str, UUID], Cursor] = field(default_factory=dict)  # consumer, source, stream
    positions: dict[tuple[str, int, Partition], Position] = field(default_factory=dict)  # consumer, epoch, partition
    parked: dict[tuple[str, str, int, int], Row] = field(default_factory=dict)  # consumer, topic, partition, offset
    effects: dict[UUID, Effect] = field(default_factory=dict)
    outbox: dict[int, str | None] = field(default_factory=dict)  # global_seq -> why it is stuck
    others: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))  # a service's own parts


class MemoryStore:
    """A service's schema. One instance serves all lanes and processes of a simulation; see store.Store."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        step: Step = no_fault,
        read_accounts: Callable[[Tables, Sequence[str]], dict[str, Any]] | None = None,
    ) -> None:
        self.clock = clock
        self.step = step
        self.tables = Tables()
        self.leader: object | None = None  # the relay's connection that holds the lock
        self.read_accounts = read_accounts
        self.locks: dict[object, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.writing = asyncio.Lock()
        self.sequence = 0
        self.queries: dict[str, Callable[..., Sequence[Any]]] = {}

    @asynccontextmanager
    async def transaction(self, *, locking: bool = True) -> AsyncIterator[MemoryTransaction]:
        """Commits at the end of the block."""
        transaction = MemoryTransaction(self, locking=locking)
        try:
            yield transaction
            await transaction.commit()
        finally:
            transaction.release()

    async def reached(self, point: str) -> Fault | None:
        """A step that is not a commit: it is done or it is not."""
        fault = await self.step(point)
        if fault is Fault.UNAVAILABLE:
            raise Unavailable(f"fault at {point}")
        return fault

    async def heads(self, streams: Sequence[UUID]) -> dict[UUID, StoredHead]:
        """Committed heads of the streams that exist."""
        await self.reached("heads")
        return {each: self.tables.heads[each] for each in streams if each in self.tables.heads}

    async def history(self, stream_id: UUID, limit: int | None = None) -> list[StoredRow]:
        """The committed events of a stream in order, or the first `limit` of them."""
        await self.reached("history")
        found = (each for each in self.tables.events if each.stream_id == stream_id)
        return [
            StoredRow(each.version, each.event_id, each.event_type, each.data, decode_meta(each.meta), each.occurred_at)
            for each in islice(found, limit)
        ]

    async def fetch(self, sql: str, *values: Any) -> Sequence[Any]:
        """A read for which a test gave the meaning of its SQL."""
        await self.reached("fetch")
        return self.queries[sql](self.tables, *values)

    async def take_due(self, kind: str, limit: int, lease_seconds: int, over: Sequence[Stage] = ()) -> Taken:
        """Lease or drop up to `limit` due side effects, the oldest first, without those that somebody has locked."""
        await self.reached("take_due")
        now = self.clock()
        free = [each for each in self.tables.effects.values() if each.kind == kind and self._is_free(each, now)]
        found = sorted(free, key=lambda each: each.due.due_at)[:limit]
        gone = [each for each in found if self._stage_of(each.due.stream_id) in over]
        for each in gone:
            del self.tables.effects[each.due.effect_id]
        taken = [each for each in found if each not in gone]
        for each in taken:
            each.due = replace(each.due, fence=each.due.fence + 1, attempts=each.due.attempts + 1)
            each.lease_until = now + timedelta(seconds=lease_seconds)
        return Taken([each.due for each in taken], len(gone))

    def _stage_of(self, stream_id: UUID) -> Stage | None:
        head = self.tables.heads.get(stream_id)
        return (head.category, head.stage, head.fold) if head else None

    def _is_free(self, effect: Effect, now: datetime) -> bool:
        leased = effect.lease_until is not None and effect.lease_until >= now
        locked = effect.due.effect_id in self.locks and self.locks[effect.due.effect_id].locked()
        return effect.due.due_at <= now and not leased and not locked

    async def assign(self, consumer: str, epoch: int, partitions: Sequence[Partition]) -> dict[Partition, Position]:
        """The stored positions, made at 0 where they are missing; each counts a start until there is progress."""
        await self.reached("assign")
        stored = self.tables.positions
        for at in partitions:
            old = stored.get((consumer, epoch, at))
            stored[consumer, epoch, at] = replace(old, starts=old.starts + 1) if old else Position(0, 0, 0)
        return {at: stored[consumer, epoch, at] for at in partitions}

    async def suspect(self, consumer: str, epoch: int, at: Partition, offset: int) -> int:
        """How often this record was in hand, alone."""
        await self.reached("suspect")
        old = self.tables.positions[consumer, epoch, at]
        tries = old.suspect_tries + 1 if old.suspect_offset == offset else 1
        self.tables.positions[consumer, epoch, at] = replace(old, suspect_offset=offset, suspect_tries=tries)
        return tries


class MemoryTransaction:
    """See store.Transaction."""

    def __init__(self, store: MemoryStore, *, locking: bool) -> None:
        self._store = store
        self._locking = locking
        self._held: list[asyncio.Lock] = []
        self._write: Write | None = None

    async def read(self, wanted: Wanted) -> Known:
        """Lock what exists in id order, then look."""
        await self._store.reached("read")
        if self._locking:
            await self._lock_all(wanted)
        return self._known(wanted)

    async def _lock_all(self, wanted: Wanted) -> None:
        tables = self._store.tables
        for stream_id in sorted(wanted.streams & tables.heads.keys()):
            await self._lock(stream_id)
        for effect_id in sorted(wanted.effects & tables.effects.keys()):
            await self._lock(effect_id)
        for account in sorted(wanted.accounts):
            await self._lock(account)

    def _known(self, wanted: Wanted) -> Known:
        tables = self._store.tables
        known = Known(at=self._store.clock())
        known.streams = _those(tables.heads, wanted.streams)
        known.claims = _those(tables.claims, wanted.claims)
        known.requests = _those(tables.requests, wanted.requests)
        known.effects = {each: effect.due.fence for each, effect in _those(tables.effects, wanted.effects).items()}
        for source, stream_id in wanted.cursors:
            cursor = tables.cursors.get((wanted.consumer or "", source, stream_id))
            if cursor is not None:
                known.cursors[source, stream_id] = cursor
        known.committed = next((each for each in wanted.events if each in tables.event_ids), None)
        if wanted.accounts and self._store.read_accounts:
            known.accounts = self._store.read_accounts(tables, sorted(wanted.accounts))
        return known

    async def events(self, stream_id: UUID) -> Sequence[tuple[str, bytes]]:
        """(event type, data) of a stream in order."""
        await self._store.reached("events")
        return [(each.event_type, each.data) for each in self._store.tables.events if each.stream_id == stream_id]

    async def write(self, write: Write) -> None:
        """Check every part against what is committed; whoever writes now is waited for."""
        await self._store.reached("write")
        assert self._write is None, "one write in a transaction"
        await self._hold(self._store.writing)
        for part, rows in write.rows.items():
            _refuse_content(part, rows)
        for part in sorted(write.rows, key=lambda name: name != "fence"):
            if not all(_CHECKS[part](self._store, row) for row in write.rows[part] if part in _CHECKS):
                raise Fenced(part) if part == "fence" else Conflict(part)
            _distinct(part, write.rows[part])
        self._write = write

    async def commit(self) -> None:
        """What was written is there for everybody."""
        if self._write is None:
            return
        fault = await self._store.reached("commit")
        if fault is Fault.CONFLICT:
            raise Conflict("fault at commit")
        for part, rows in self._write.rows.items():
            for row in rows:
                _apply(self._store, part, row, self._write.topic)
        if fault is Fault.LOSE_ANSWER:
            raise Unavailable("the answer of the commit was lost")

    async def _lock(self, row: object) -> None:
        await self._hold(self._store.locks[row])

    async def _hold(self, lock: asyncio.Lock) -> None:
        await lock.acquire()
        self._held.append(lock)

    def release(self) -> None:
        """The transaction is over, one way or the other."""
        for lock in self._held:
            lock.release()
        self._held.clear()


def _those(table: Mapping[Any, Any], keys: set[Any]) -> dict[Any, Any]:
    return {key: table[key] for key in keys if key in table}


def _fence_is_ours(store: MemoryStore, row: Row) -> bool:
    consumer, topic, epoch, partition, expected, _, checkpoint, saved, taken = row
    position = store.tables.positions.get((consumer, epoch, (topic, partition)))
    if position is None or (position.next_offset, position.taken) != (expected, taken):
        return False
    return checkpoint is None or position.checkpoint == saved


def _stands_at(store: MemoryStore, row: Row) -> bool:
    head = store.tables.heads.get(row[0])
    return head is not None and head.version == row[1]


def _is_new_event(store: MemoryStore, row: Row) -> bool:
    head = store.tables.heads.get(row[0])
    return row[2] not in store.tables.event_ids and row[1] > (head.version if head else 0)


def _is_leased(store: MemoryStore, row: Row) -> bool:
    effect = store.tables.effects.get(row[0])
    return effect is not None and effect.due.fence == row[1]


_CHECKS: Mapping[str, Callable[[MemoryStore, Row], bool]] = {
    "fence": _fence_is_ours,
    "new_streams": lambda store, row: row[0] not in store.tables.heads,
    "moved_streams": _stands_at,
    "moved_cursors": lambda store, row: (row[1], row[2], row[0]) in store.tables.cursors,
    "claims": lambda store, row: (row[2], row[0], row[1]) not in store.tables.claims,
    "requests": lambda store, row: row[:3] not in store.tables.requests,
    "events": _is_new_event,
    "effects": lambda store, row: row[0] not in store.tables.effects,
    "effects_done": _is_leased,
    "effects_again": _is_leased,
}
_KEYS: Mapping[str, Callable[[Row], object]] = {  # two rows of one batch on one key are a conflict, as in PostgreSQL
    "new_streams": lambda row: row[0],
    "claims": lambda row: row[:3],
    "requests": lambda row: row[:3],
    "events": lambda row: row[:2],
    "effects": lambda row: row[0],
}
_KEY_TEXTS = {"claims": slice(0, 3), "requests": slice(0, 3)}


def _distinct(part: str, rows: Sequence[Row]) -> None:
    if part in _KEYS and len({_KEYS[part](row) for row in rows}) < len(rows):
        raise Conflict(part)


def _refuse_content(part: str, rows: Sequence[Row]) -> None:
    """What PostgreSQL would refuse: a zero in a text, a number out of range, an event or a key that is too long."""
    for row in rows:
        for value in row:
            if isinstance(value, str) and ("\x00" in value or not _is_text(value)):
                raise ContentRefused(f"{part}: not a text")
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise ContentRefused(f"{part}: out of range")
        if part == "events" and len(row[6]) > EVENT_BYTES_MAX:
            raise ContentRefused("events: too large")
        if part in _KEY_TEXTS and sum(len(text.encode()) for text in row[_KEY_TEXTS[part]]) > TEXT_BYTES_MAX:
            raise ContentRefused(f"{part}: a key too long")


def _is_text(value: str) -> bool:
    try:
        return bool(value.encode()) or not value
    except UnicodeEncodeError:
        return False


def _apply(store: MemoryStore, part: str, row: Row, topic: str) -> None:  # noqa: C901, PLR0912 - one case for each part
    tables = store.tables
    match part:
        case "fence":
            _apply_fence(tables, row)
        case "new_streams":
            tables.heads[row[0]] = StoredHead(*row)
        case "moved_streams":
            changed = dict(zip(("version", "hash", "stage", "state", "fold"), row[2:], strict=True))
            tables.heads[row[0]] = replace(tables.heads[row[0]], **changed)
        case "claims":
            tables.claims[row[2], row[0], row[1]] = Owner(row[3], row[4])
        case "requests":
            tables.requests[row[:3]] = StoredAnswer(*row[3:])
        case "conflicts":
            tables.conflicts[row[:3]] = row[3]
        case "events":
            _apply_event(store, row, topic)
        case "cursors" | "moved_cursors":
            tables.cursors[row[1], row[2], row[0]] = Cursor(*row[3:])
        case "arrivals":
            tables.arrivals.setdefault(row[0], row)
        case "parked":
            tables.parked.setdefault(row[:4], row)
        case "effects":
            _apply_effect(tables, row)
        case "effects_done":
            del tables.effects[row[0]]
        case "effects_again":
            effect = tables.effects[row[0]]
            effect.due = replace(effect.due, due_at=store.clock() + timedelta(seconds=row[2]))
            effect.lease_until = None
        case _:
            tables.others[part].append(row)


def _apply_fence(tables: Tables, row: Row) -> None:
    consumer, topic, epoch, partition, expected, following, checkpoint, _, _ = row
    at = (consumer, epoch, (topic, partition))
    old = tables.positions[at]
    saved = old.checkpoint if checkpoint is None else checkpoint
    if following > expected:
        tables.positions[at] = Position(following, saved, max(old.taken, following))
    else:
        tables.positions[at] = replace(old, next_offset=following, checkpoint=saved)


def _apply_event(store: MemoryStore, row: Row, topic: str) -> None:
    store.sequence += 1
    fields: list[Any] = [store.sequence, topic, *row[:9], store.clock(), *row[9:]]
    store.tables.events.append(StoredEvent(*fields))
    store.tables.event_ids.add(row[2])
    store.tables.outbox[store.sequence] = None


def _apply_effect(tables: Tables, row: Row) -> None:
    effect_id, stream_id, kind, name, due_at, category, tenant, correlation_id, traceparent = row
    due = Due(effect_id, name, stream_id, 0, 0, tenant, correlation_id, traceparent, due_at, category)
    tables.effects[effect_id] = Effect(due, kind)
