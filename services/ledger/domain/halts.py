"""Halts: what is wrong in the books stops new money in its currency, until two people let it go on. Pure.

A difference halts once. Whoever lifts a halt has seen all that was known of it; only something new halts again, and
takes back what one person had asked for meanwhile.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from contracts.ledger.v1 import CurrencyHalted, CurrencyResumed, Difference, HaltEvent, LiftRequested
from services.kernel.ids import derive
from services.kernel.rejected import Rejected
from services.kernel.value import value
from services.ledger.domain.adjustments import SamePerson

DIFFERENCES_MAX = 100  # in one event: 25 KiB; the next look finds the others
JOURNALS_MAX = 100
KNOWN_MAX = 1_000  # remembered of a currency; a forgotten one may halt again, which is the safe side


class CurrencyNotHalted(Rejected):
    """Money moves in this currency: there is no halt to lift."""


class LiftNotRequested(Rejected):
    """Nobody has asked to lift this halt, or something new was found since."""


class LiftAlreadyRequested(Rejected):
    """Another person has asked to lift this halt: approve it instead."""


@value(kw_only=True)
class ReportDifferences:
    """What was found in the books, this time."""

    currency: str
    differences: tuple[Difference, ...]


@value(kw_only=True)
class RequestLift:
    """One person's wish."""

    currency: str
    by: UUID
    reason: str


@value(kw_only=True)
class ApproveLift:
    """Another person's yes."""

    currency: str
    by: UUID
    reason: str


@value(kw_only=True)
class Halted:
    """No new money moves. `known`: keys of all differences that have halted it."""

    state: ClassVar[str] = "HALTED"

    currency: str
    halted_at: datetime
    difference_minor: int
    journals: tuple[UUID, ...]
    known: tuple[str, ...]


@value(kw_only=True)
class LiftAsked:
    """Halted, and one person has asked to lift it."""

    state: ClassVar[str] = "LIFT_REQUESTED"

    halted: Halted
    requested_by: UUID
    reason: str
    requested_at: datetime


@value(kw_only=True)
class Resumed:
    """Money moves. What was known stays known."""

    state: ClassVar[str] = "RESUMED"

    currency: str
    resumed_at: datetime
    known: tuple[str, ...]


Halt = Halted | LiftAsked | Resumed | None  # None: nothing was ever found
HaltCommand = ReportDifferences | RequestLift | ApproveLift
STAGES = (Halted, LiftAsked, Resumed)
COMMANDS = (ReportDifferences, RequestLift, ApproveLift)
TRANSITIONS = (  # (state, event, next state, deadline)
    ("-", CurrencyHalted, "HALTED", "none: alarm, two people"),
    ("HALTED", CurrencyHalted, "HALTED", "none: alarm, two people"),
    ("LIFT_REQUESTED", CurrencyHalted, "HALTED", "none: alarm, two people"),
    ("RESUMED", CurrencyHalted, "HALTED", "none: alarm, two people"),
    ("HALTED", LiftRequested, "LIFT_REQUESTED", "none: a second person"),
    ("LIFT_REQUESTED", CurrencyResumed, "RESUMED", ""),
)


def halt_id(currency: str) -> UUID:
    """The one stream of a currency."""
    return derive("halt", currency)


def key_of(difference: Difference) -> str:
    """What tells differences apart: the same one found again is no news."""
    return str(derive("difference", difference.check, difference.subject, difference.found))[:18]


def known_of(halt: Halt) -> tuple[str, ...]:
    """Keys of what has halted the currency so far."""
    match halt:
        case None:
            return ()
        case LiftAsked(halted=halted):
            return halted.known
        case _:
            return halt.known


def decide(halt: Halt, command: HaltCommand, at: datetime) -> tuple[HaltEvent, ...]:
    """What becomes of the halt. Raises Rejected for what people ask."""
    match command:
        case ReportDifferences():
            return _report(halt, command, at)
        case RequestLift():
            return _request(halt, command, at)
        case ApproveLift():
            return _approve(halt, command, at)


def _report(halt: Halt, report: ReportDifferences, at: datetime) -> tuple[HaltEvent, ...]:
    known = set(known_of(halt))
    new = tuple({key: each for each in report.differences if (key := key_of(each)) not in known}.values())
    if not new:
        return ()
    journals = tuple(dict.fromkeys(each.journal for each in new if each.journal is not None))
    halted = CurrencyHalted(
        halt_id=halt_id(report.currency), currency=report.currency,
        difference_minor=max(each.difference_minor for each in new), journals=journals[:JOURNALS_MAX],
        differences=new[:DIFFERENCES_MAX], found_at=at,
    )  # fmt: skip
    return (halted,)


def _request(halt: Halt, wish: RequestLift, at: datetime) -> tuple[HaltEvent, ...]:
    match halt:
        case None | Resumed():
            raise CurrencyNotHalted(wish.currency)
        case LiftAsked(requested_by=by) if by == wish.by:
            return ()
        case LiftAsked():
            raise LiftAlreadyRequested(wish.currency)
        case Halted():
            requested = LiftRequested(
                halt_id=halt_id(wish.currency), currency=wish.currency, requested_by=wish.by, reason=wish.reason,
                requested_at=at,
            )  # fmt: skip
            return (requested,)


def _approve(halt: Halt, wish: ApproveLift, at: datetime) -> tuple[HaltEvent, ...]:
    match halt:
        case None | Resumed():
            raise CurrencyNotHalted(wish.currency)
        case Halted():
            raise LiftNotRequested(wish.currency)
        case LiftAsked(requested_by=by) if by == wish.by:
            raise SamePerson
        case LiftAsked(requested_by=by):
            resumed = CurrencyResumed(
                halt_id=halt_id(wish.currency), currency=wish.currency, requested_by=by, approved_by=wish.by,
                reason=wish.reason, resumed_at=at,
            )  # fmt: skip
            return (resumed,)


def _halted(halt: Halt, event: CurrencyHalted) -> Halted:
    """With what was found before in the same halt."""
    before = halt.halted if isinstance(halt, LiftAsked) else halt if isinstance(halt, Halted) else None
    journals = dict.fromkeys((*(before.journals if before else ()), *event.journals))
    known = (*known_of(halt), *(key_of(each) for each in event.differences))
    return Halted(
        currency=event.currency, halted_at=event.found_at,
        difference_minor=max(event.difference_minor, before.difference_minor if before else 0),
        journals=tuple(journals)[:JOURNALS_MAX], known=known[-KNOWN_MAX:],
    )  # fmt: skip


def evolve(halt: Halt, event: HaltEvent) -> Halt:
    """Believes every stored event."""
    match event:
        case CurrencyHalted():
            return _halted(halt, event)
        case LiftRequested():
            assert isinstance(halt, Halted), "only a halt can be lifted"
            return LiftAsked(
                halted=halt, requested_by=event.requested_by, reason=event.reason, requested_at=event.requested_at
            )
        case CurrencyResumed():
            assert isinstance(halt, LiftAsked), "one person asks first"
            return Resumed(currency=event.currency, resumed_at=event.resumed_at, known=halt.halted.known)
