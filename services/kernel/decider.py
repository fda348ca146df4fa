"""What a service is made of: asks, what was seen, what came out, and the pure functions that decide. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from services.kernel.ids import derive
from services.kernel.rejected import Rejected
from services.kernel.sealed import Box
from services.kernel.value import value

State = TypeVar("State")
Command = TypeVar("Command")
Event = TypeVar("Event")


@dataclass(frozen=True, slots=True)
class Claim:
    """`value` may be owned once per tenant and `namespace`, for ever. `content` is a fingerprint of what took it.

    With `behind` it is taken only when the ask's claim of that namespace was owned already.
    """

    namespace: str
    value: str
    content: str = ""
    behind: str | None = None


@value
class Owner:
    """Who holds a claim: the stream, and the content with which it was taken."""

    stream_id: UUID
    content: str


@value
class Seen:
    """What the engine found for an ask: the owner of each claim already taken, the rows of each read (by name)."""

    owners: Mapping[str, Owner] = field(default_factory=dict)  # by the claim's namespace
    rows: Mapping[str, Any] = field(default_factory=dict)


NOTHING_SEEN = Seen()


@value
class Ask:
    """What is wanted of which stream. A command with claims or reads has a field `seen`, filled by the engine."""

    stream_id: UUID
    command: Any
    claims: tuple[Claim, ...] = ()
    reads: tuple[str, ...] = ()


@value
class Meta:
    """Who asked, for whom, why, and what it belongs to. Stored with each event and covered by its hash."""

    tenant: str
    actor: str
    correlation_id: UUID
    causation_id: UUID | None = None
    reason: str | None = None
    traceparent: str | None = None


@value
class RequestKey:
    """The Idempotency-Key of a request, scoped to tenant and principal; `fingerprint` covers method, route and body."""

    tenant: str
    principal: str
    key: str
    fingerprint: str

    def derive(self, name: str) -> UUID:
        """The id of what this request makes: the same request makes the same thing."""
        return derive(self.tenant, self.principal, self.key, name)


@value
class Arrival:
    """Bytes from outside, sealed exactly as they came, and what we made of them."""

    arrival_id: UUID
    source: str  # the partner, or "unknown"
    transport: str  # "webhook" or "kafka"
    body: Box
    headers: Box  # JSON of the headers that matter; never a secret
    verdict: str  # "accepted", "duplicate", "invalid_signature", ...
    reference: str | None = None
    content: str | None = None  # fingerprint of the normalised business fields


@value
class Recorded:
    """An event as it was stored."""

    stream_id: UUID
    version: int
    event_id: UUID
    event: Any
    data: bytes


@value
class Head:
    """A stream after the batch: its folded state and its version (0 and the initial state when there is none)."""

    state: Any
    version: int


Answer = tuple[int, bytes]  # HTTP status, JSON body


@value
class Outcome:
    """What became of a unit: its events and the heads of its streams in the order of its asks, or its refusal."""

    events: tuple[Recorded, ...] = ()
    heads: tuple[Head, ...] = ()
    refusal: Rejected | None = None
    error: BaseException | None = None  # an exception that is our bug; its unit alone failed
    answer: Answer | None = None
    replayed: bool = False  # the answer was stored under the request key before
    stale: bool = False  # the side effect was leased to somebody else meanwhile: nothing was decided
    seen: tuple[Seen, ...] = ()  # what each ask's command saw, in order


@value
class SideEffect:
    """A call or a wake that an event causes. `id` follows from the event and the name, so a rebuild makes the same."""

    name: str
    due_at: datetime | None = None  # None: at once
    kind: str = "wake"  # "wake" | "call"


@value
class EffectDone:
    """A side effect that this unit finishes, or puts off by `again_after` seconds; `fence` is its lease's number."""

    effect_id: UUID
    fence: int
    again_after: int | None = None
    held: bool = False  # neither: only check that the lease is still ours


@value
class Unit:
    """All asks of one record, or of one item of a request: done together or not at all."""

    asks: tuple[Ask, ...]
    meta: Meta
    request_key: RequestKey | None = None
    arrival: Arrival | None = None
    answer: Callable[[Outcome], Answer] | None = None  # pure; made before the write, stored under the request key
    verdict: Callable[[Outcome], str] | None = None  # pure; what we made of the arrival, once it is decided
    effect: EffectDone | None = None


def no_plan(event: Any) -> tuple[SideEffect, ...]:
    """Nothing follows."""
    return ()


@dataclass(frozen=True)
class Decider(Generic[State, Command, Event]):
    """One kind of stream: how it decides, how it folds, what follows from its events, and how its records are keyed.

    `stages` and `events` are the classes that a stored state or event can be. `key_of` names the record's key from the
    first event of a stream (None: the stream's own id). `correlate` names what an event belongs to (None: as asked).
    `over` are the stages that nothing leads out of and in which no planned effect matters: what falls due then is
    dropped without being asked.
    `fold_version` goes up when `evolve` changes its mind about old events: stored states are folded anew.
    """

    category: str
    decide: Callable[[State, Any, datetime], tuple[Event, ...]]
    evolve: Callable[[State, Any], State]
    commands: tuple[type, ...]
    events: tuple[type, ...]
    stages: tuple[type, ...]
    over: tuple[type, ...] = ()
    initial: Any = None
    fold_version: int = 1
    plan: Callable[[Any], tuple[SideEffect, ...]] = no_plan
    key_of: Callable[[Any], UUID] | None = None
    correlate: Callable[[Any], UUID | None] | None = None
    wake: Callable[[str, UUID], Any] | None = None  # the command that a due wake of that name asks of the stream
    # at read: an old type -> the next type, and how
    upcasts: Mapping[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = field(default_factory=dict)


@value
class Cause:
    """Where a consumed event stands: what a handler may need to know of it beside its content."""

    event_id: UUID
    event_type: str
    stream_id: UUID
    version: int
    tenant: str
    correlation_id: UUID
    occurred_at: datetime


Consumes = Mapping[type, Callable[[Any, Cause], tuple[Ask, ...]]]  # the contract's event class -> on_<event>


@value
class Due:
    """A side effect of kind `call` whose time has come, under a lease."""

    effect_id: UUID
    name: str
    stream_id: UUID
    attempts: int  # from 1
    fence: int
    tenant: str
    correlation_id: UUID
    traceparent: str | None
    due_at: datetime
    category: str  # of the stream, which names its decider


@value
class Again:
    """The call told us nothing yet: call again after `after_seconds`."""

    after_seconds: int


class Call(Protocol):
    """One kind of outside call: an intent written before the first byte, the call in bulk, an outcome for each."""

    name: str

    def intent(self, due: Due) -> Ask:
        """What is written before the call. Its decision says whether the call may be made."""

    def proceeds(self, outcome: Outcome) -> bool:
        """Whether the decision on the intent lets this very attempt call. If not, `waits` says what becomes of it."""

    def waits(self, due: Due, outcome: Outcome) -> Again | None:
        """Of one whose intent says no: when to ask again, or None when it is over."""

    async def call(self, items: Sequence[tuple[Due, Head]]) -> Sequence[Ask | Again]:
        """Call outside for all of them, at most once each; an answer for each, in order. Raises nothing per item."""
