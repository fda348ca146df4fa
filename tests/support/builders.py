"""A small service to try the kernel with: jars that count, own names, refuse, break, remind. And units to ask of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID, uuid4

from services.kernel.codec import EventCodec
from services.kernel.consumer import Inbox
from services.kernel.decider import (
    NOTHING_SEEN,
    Answer,
    Ask,
    Cause,
    Claim,
    Decider,
    EffectDone,
    Meta,
    Outcome,
    RequestKey,
    Seen,
    SideEffect,
    Unit,
)
from services.kernel.rejected import Rejected

TOPIC = "corridor.jar.events.v1"
TENANT = "acme"
META = Meta(tenant=TENANT, actor="tester", correlation_id=UUID(int=7))


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """Something was put into the jar."""

    type: ClassVar[str] = "corridor.jar.added.v1"
    jar_id: UUID
    number: int
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The jar owns a name."""

    type: ClassVar[str] = "corridor.jar.named.v1"
    jar_id: UUID
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminded:
    """A wake was heard."""

    type: ClassVar[str] = "corridor.jar.reminded.v1"
    jar_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CallBegun:
    """The intent of a call, written before its first byte."""

    type: ClassVar[str] = "corridor.jar.call_begun.v1"
    jar_id: UUID
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded:
    """What the call told."""

    type: ClassVar[str] = "corridor.jar.call_ended.v1"
    jar_id: UUID
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Jar:
    """What is in it."""

    numbers: tuple[int, ...] = ()
    name: str = ""
    calling: int = 0  # the attempt whose answer is not known
    told: str = ""


@dataclass(frozen=True, slots=True)
class Add:
    """Put a number in, always."""

    number: int = 1
    text: str = ""


@dataclass(frozen=True, slots=True)
class AddOnce:
    """Put a number in, unless it is there."""

    number: int


@dataclass(frozen=True, slots=True)
class Name:
    """Take the claimed name."""

    name: str
    seen: Seen = NOTHING_SEEN


@dataclass(frozen=True, slots=True)
class Refuse:
    """Never allowed."""


@dataclass(frozen=True, slots=True)
class Explode:
    """Our bug."""


@dataclass(frozen=True, slots=True)
class Remind:
    """The wake: only a jar with an odd number of numbers still cares."""


@dataclass(frozen=True, slots=True)
class BeginCall:
    """The intent. An earlier attempt without an answer is never repeated."""

    attempt: int


@dataclass(frozen=True, slots=True)
class EndCall:
    """The answer."""

    told: str


class Full(Rejected):
    """The jar takes nothing more."""


class NameTaken(Rejected):
    """Another jar has the name."""


JarEvent = Added | Named | Reminded | CallBegun | CallEnded
STREAM = UUID(int=1)  # of commands that do not say; an event's own id is not looked at by these tests


def decide(jar: Jar | None, command: Any, at: datetime) -> tuple[JarEvent, ...]:
    """Jars have no rules beside these."""
    jar = jar or Jar()
    match command:
        case Add(number, text):
            return (Added(jar_id=STREAM, number=number, text=text),)
        case AddOnce(number):
            return () if number in jar.numbers else (Added(jar_id=STREAM, number=number),)
        case Name(name, seen):
            if "name" in seen.owners:
                raise NameTaken(name)
            return (Named(jar_id=STREAM, name=name),)
        case Refuse():
            raise Full
        case Remind():
            return (Reminded(jar_id=STREAM, at=at),) if len(jar.numbers) % 2 else ()
        case BeginCall(attempt):
            return () if jar.calling or jar.told else (CallBegun(jar_id=STREAM, attempt=attempt),)
        case EndCall(told):
            return (CallEnded(jar_id=STREAM, told=told),)
        case _:
            raise ZeroDivisionError("a planted bug")


def evolve(jar: Jar | None, event: JarEvent) -> Jar:
    """What is in it after the event."""
    numbers, name, calling, told = (jar.numbers, jar.name, jar.calling, jar.told) if jar else ((), "", 0, "")
    match event:
        case Added(number=number):
            numbers = (*numbers, number)
        case Named(name=taken):
            name = taken
        case CallBegun(attempt=attempt):
            calling = attempt
        case CallEnded(told=answer):
            calling, told = 0, answer
        case Reminded():
            pass
    return Jar(numbers=numbers, name=name, calling=calling, told=told)


def plan(event: JarEvent) -> tuple[SideEffect, ...]:
    """Text is what makes a jar remember: `wake`, `later`, `call`."""
    match event:
        case Added(text="wake"):
            return (SideEffect("remind"),)
        case Added(text="later"):
            return (SideEffect("remind", due_at=datetime.fromisoformat("2099-01-01T00:00:00+00:00")),)
        case Added(text="call"):
            return (SideEffect("ring", kind="call"),)
        case _:
            return ()


EVENTS = (Added, Named, Reminded, CallBegun, CallEnded)
COMMANDS = (Add, AddOnce, Name, Refuse, Explode, Remind, BeginCall, EndCall)
JAR: Decider[Any, Any, Any] = Decider(
    "jar",
    decide=decide,
    evolve=evolve,
    commands=COMMANDS,
    events=EVENTS,
    stages=(Jar,),
    plan=plan,
    wake=lambda name, stream_id: Remind(),
)


def answered(outcome: Outcome) -> Answer:
    """What a door would say, and what is stored under the key."""
    if outcome.refusal:
        return 409, outcome.refusal.code.encode()
    return 201, b",".join(str(event.event_id).encode() for event in outcome.events)


def ask(stream_id: UUID, command: Any, *claims: Claim) -> Unit:
    """A unit of one ask."""
    return Unit((Ask(stream_id, command, claims),), META)


def keyed(stream_id: UUID, command: Any, key: str, fingerprint: str = "same") -> Unit:
    """A unit of one ask under a request key."""
    request = RequestKey(TENANT, "alice", key, fingerprint)
    return Unit((Ask(stream_id, command),), META, request_key=request, answer=answered)


def name(stream_id: UUID, wanted: str) -> Unit:
    """Take a name, once in the world."""
    return ask(stream_id, Name(wanted), Claim("name", wanted))


def done(effect_id: UUID, fence: int, *asks: Ask, again_after: int | None = None) -> Unit:
    """A unit that finishes a side effect, or puts it off."""
    return Unit(asks, META, effect=EffectDone(effect_id, fence, again_after))


MIRROR = "jar-mirror"  # the consumer


def on_added(added: Added, cause: Cause) -> tuple[Ask, ...]:
    """The same number into the jar of the same id: what was consumed twice shows twice. Some texts are poison."""
    match added.text:
        case "raise":
            raise RuntimeError("poison")
        case "refuse":
            return (Ask(cause.stream_id, Refuse()),)
        case "content":
            return (Ask(cause.stream_id, Name("x"), (Claim("name", "nul\x00"),)),)
        case "die":
            os._exit(9)
        case _:
            pass
    return (Ask(cause.stream_id, Add(added.number)),)


def inbox(consumer: str = MIRROR, topic: str = TOPIC) -> Inbox:
    """Listens to Added alone; the other events of the topic only move its cursors."""
    return Inbox(consumer, {Added: on_added}, {topic: EventCodec(EVENTS)})


def ids(count: int) -> list[UUID]:
    """Streams nobody has used."""
    return [uuid4() for _ in range(count)]


HOUR = timedelta(hours=1)
