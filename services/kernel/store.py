"""The port between the engine and where events are kept: what a batch wants to know, what it found, what it writes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from services.kernel.decider import Due, Meta, Owner
from services.kernel.value import value

Row = tuple[Any, ...]
ClaimKey = tuple[str, str, str]  # tenant, namespace, value
RequestId = tuple[str, str, str]  # tenant, principal, key
Partition = tuple[str, int]  # topic, partition
Stage = tuple[str, str, int]  # category of a decider, stage of its streams, version of the fold that says so


class Conflict(Exception):
    """Somebody else made or moved a row meanwhile: run the whole batch again."""


class Fenced(Exception):
    """This consumer's position was moved by another: back to the stored offsets."""


class Unavailable(Exception):
    """The store cannot be reached or is overloaded; the fate of a write in flight is unknown."""


class Exhausted(Unavailable):
    """All sessions of a lane were busy for as long as may be waited: nothing was sent to the store."""


class InDoubt(Unavailable):
    """A decided write was given up: it may have happened. The same request key, or claim, finds out."""


class ContentRefused(Exception):
    """The store refuses something in this batch for its content: halve down to the culprit."""


@dataclass(slots=True)
class Wanted:
    """What a batch must see before it decides."""

    streams: set[UUID] = field(default_factory=set)
    claims: set[ClaimKey] = field(default_factory=set)
    requests: set[RequestId] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)
    effects: set[UUID] = field(default_factory=set)
    consumer: str | None = None
    cursors: set[tuple[str, UUID]] = field(default_factory=set)  # source topic, stream
    events: tuple[UUID, ...] = ()  # of earlier attempts: is one of them there, the attempt was committed

    @property
    def needs_locks(self) -> bool:
        """A decision hangs on rows that the write may leave as they are: a lease that goes on, an account's balance."""
        return bool(self.effects or self.accounts)


@value
class StoredHead:
    """A stream as it stands in the store."""

    stream_id: UUID
    tenant: str
    category: str
    record_key: UUID
    version: int
    hash: bytes
    stage: str
    state: bytes
    fold: int


@value
class StoredRow:
    """An event of a stream, for its history."""

    version: int
    event_id: UUID
    event_type: str
    data: bytes
    meta: Meta
    occurred_at: datetime


@value
class StoredAnswer:
    """The answer that a request key got."""

    fingerprint: str
    status: int
    body: bytes


@value
class Cursor:
    """How far a consumer has come in a stream of a topic."""

    version: int
    hash: bytes
    parked: bool


@value
class Position:
    """Where a consumer stands in a partition, and what it died of before."""

    next_offset: int
    checkpoint: int  # below it every record's cursor is stored
    taken: int  # how far the consumer came itself; next_offset is beyond it after a person moved that forward
    starts: int = 0  # assignments since the last progress
    suspect_offset: int | None = None
    suspect_tries: int = 0


@value
class Taken:
    """What of the due side effects is leased to us, and how many were dropped because their streams are over."""

    due: list[Due]
    dropped: int = 0


@dataclass(slots=True)
class Known:
    """What the read found. What is not in a mapping does not exist."""

    at: datetime
    streams: dict[UUID, StoredHead] = field(default_factory=dict)
    claims: dict[ClaimKey, Owner] = field(default_factory=dict)
    requests: dict[RequestId, StoredAnswer] = field(default_factory=dict)
    accounts: dict[str, Any] = field(default_factory=dict)
    effects: dict[UUID, int] = field(default_factory=dict)  # id -> fence
    cursors: dict[tuple[str, UUID], Cursor] = field(default_factory=dict)
    committed: UUID | None = None  # the event of an earlier attempt that is there


@dataclass(slots=True)
class Write:
    """The rows of one batch, by the name of the part that writes them; the columns are the part's."""

    topic: str
    rows: dict[str, list[Row]] = field(default_factory=dict)
    fenced: bool = False

    def add(self, part: str, row: Row) -> None:
        """One more row for `part`."""
        self.rows.setdefault(part, []).append(row)

    def take(self, other: Write) -> None:
        """The rows of `other`, after ours."""
        for part, rows in other.rows.items():
            self.rows.setdefault(part, []).extend(rows)


class Transaction(Protocol):
    """One transaction: read, then write, then the commit at the end of the block.

    A locking one locks what the read wants. The other locks nothing and has committed when the write returns: every row
    that it moves is still as it was read, or the write is a Conflict.
    """

    async def read(self, wanted: Wanted) -> Known:
        """Lock what exists in id order (if it locks), then read all that is wanted and the store's time."""

    async def events(self, stream_id: UUID) -> Sequence[tuple[str, bytes]]:
        """(event type, data) of a stream in order, to fold it anew."""

    async def write(self, write: Write) -> None:
        """All rows or none. Raises Conflict, Fenced or ContentRefused."""


class Store(Protocol):
    """Where a service keeps its events. One instance serves one lane: it has one transaction at a time."""

    def transaction(self, *, locking: bool = True) -> AbstractAsyncContextManager[Transaction]:
        """Commits at the end of the block. Raises Unavailable when the fate of the commit is unknown."""

    async def heads(self, streams: Sequence[UUID]) -> dict[UUID, StoredHead]:
        """Committed heads, for answers to reads."""

    async def fetch(self, sql: str, *values: Any) -> Sequence[Any]:
        """One read in the store's own language."""

    async def history(self, stream_id: UUID, limit: int | None = None) -> list[StoredRow]:
        """The committed events of a stream in order, or the first `limit` of them."""

    async def take_due(self, kind: str, limit: int, lease_seconds: int, over: Sequence[Stage] = ()) -> Taken:
        """Side effects whose time has come, leased to the caller; each take raises the fence by one.

        Those of streams that stand in one of the stages `over` are deleted instead.
        """
