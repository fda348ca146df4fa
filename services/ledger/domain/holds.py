"""Holds: money of a customer that is set aside until it is used or given back, once. Pure.

A hold is the only thing that the ledger may refuse: whoever places it is told that there is not enough.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from contracts.ledger.v1 import HoldEvent, HoldOverdue, HoldPlaced, HoldPosted, HoldRefused, HoldVoided, Posting
from services.kernel.account import Standing
from services.kernel.decider import NOTHING_SEEN, Seen
from services.kernel.ids import derive
from services.kernel.money import Money
from services.kernel.rejected import NotFound, Rejected
from services.kernel.value import value
from services.ledger.domain.templates import AVAILABLE, lines

QUEUE = "finance"


class HoldNotFound(NotFound):
    """There is no such hold."""


class HoldIdReused(Rejected):
    """This id has another hold."""


class HoldResolved(Rejected):
    """The hold was refused, posted or voided before; it is resolved once."""


class HoldExceeded(Rejected):
    """More than is held cannot be posted."""

    status = 422


@value(kw_only=True)
class PlaceHold:
    """Set aside `amount` of what the customer has available."""

    hold_id: UUID
    customer_id: UUID
    amount: Money
    cause_id: UUID
    transfer_id: UUID | None
    caused_at: datetime
    due_at: datetime
    seen: Seen = NOTHING_SEEN


@value(kw_only=True)
class PostHold:
    """Use the hold: so much of it, or all."""

    hold_id: UUID
    minor: int | None  # of the hold's currency
    cause_id: UUID


@value(kw_only=True)
class VoidHold:
    """Give the hold up."""

    hold_id: UUID
    cause_id: UUID


@value(kw_only=True)
class ReportHold:
    """A wake: the hold should be resolved by now."""

    hold_id: UUID


@value(kw_only=True)
class Held:
    """Set aside."""

    state: ClassVar[str] = "HELD"

    customer_id: UUID
    amount: Money
    cause_id: UUID
    transfer_id: UUID | None
    due_at: datetime
    overdue: bool = False


@value(kw_only=True)
class Refused:
    """There was not enough."""

    state: ClassVar[str] = "REFUSED"

    customer_id: UUID
    amount: Money
    cause_id: UUID


@value(kw_only=True)
class Used:
    """Posted, all or in part."""

    state: ClassVar[str] = "POSTED"

    amount: Money
    cause_id: UUID


@value(kw_only=True)
class Voided:
    """Given back."""

    state: ClassVar[str] = "VOIDED"

    cause_id: UUID


Hold = Held | Refused | Used | Voided | None
STAGES = (Held, Refused, Used, Voided)
COMMANDS = (PlaceHold, PostHold, VoidHold, ReportHold)
TRANSITIONS = (  # (state, event, next state, deadline)
    ("-", HoldPlaced, "HELD", "`due_at` → `hold.overdue`, review"),
    ("-", HoldRefused, "REFUSED", ""),
    ("HELD", HoldPosted, "POSTED", ""),
    ("HELD", HoldVoided, "VOIDED", ""),
    ("HELD", HoldOverdue, "HELD", "in review"),
)


def available_of(customer_id: UUID, currency: str) -> str:
    """The account that a hold takes from; its ask reads it."""
    return f"{AVAILABLE.format(customer=customer_id)}:{currency}"


def decide(hold: Hold, command: PlaceHold | PostHold | VoidHold | ReportHold, at: datetime) -> tuple[HoldEvent, ...]:
    """What becomes of the hold."""
    match command:
        case PlaceHold():
            return _place(hold, command, at)
        case PostHold():
            return _post(hold, command, at)
        case VoidHold():
            return _void(hold, command, at)
        case ReportHold():
            return _report(hold, command, at)


def _place(hold: Hold, wish: PlaceHold, at: datetime) -> tuple[HoldEvent, ...]:
    if hold is not None:
        if _is_repeat(hold, wish):
            return ()
        raise HoldIdReused(wish.hold_id)
    standing: Standing = wish.seen.rows[available_of(wish.customer_id, wish.amount.currency)]
    available = standing.credit_minor - standing.debit_minor
    if available < wish.amount.minor:
        return (
            HoldRefused(
                hold_id=wish.hold_id, customer_id=wish.customer_id, amount=wish.amount,
                available=Money(max(available, 0), wish.amount.currency), cause_id=wish.cause_id, refused_at=at,
            ),
        )  # fmt: skip
    return (
        HoldPlaced(
            hold_id=wish.hold_id, customer_id=wish.customer_id, amount=wish.amount, due_at=wish.due_at,
            entry_id=derive("entry", wish.hold_id, "hold.placed"), kind="hold.placed", cause_id=wish.cause_id,
            transfer_id=wish.transfer_id, lines=_lines("hold.placed", wish.customer_id, wish.amount),
            caused_at=wish.caused_at, posted_at=at,
        ),
    )  # fmt: skip


def _is_repeat(hold: Held | Refused | Used | Voided, wish: PlaceHold) -> bool:
    """Whoever has resolved a hold meanwhile placed it: a repeat of the placing does nothing."""
    match hold:
        case Held() | Refused():
            return (hold.customer_id, hold.amount, hold.cause_id) == (wish.customer_id, wish.amount, wish.cause_id)
        case Used() | Voided():
            raise HoldResolved(wish.hold_id, hold.state)


def _post(hold: Hold, wish: PostHold, at: datetime) -> tuple[HoldEvent, ...]:
    if isinstance(hold, Used) and hold.cause_id == wish.cause_id and wish.minor in (None, hold.amount.minor):
        return ()
    held = _held(hold, wish.hold_id)
    amount = held.amount if wish.minor is None else Money(wish.minor, held.amount.currency)
    if not amount or held.amount < amount:
        raise HoldExceeded(str(amount), str(held.amount))
    rest = held.amount - amount
    used = _lines("hold.posted", held.customer_id, amount)
    return (
        HoldPosted(
            hold_id=wish.hold_id, customer_id=held.customer_id, amount=amount,
            entry_id=derive("entry", wish.hold_id, "hold.posted"), kind="hold.posted", cause_id=wish.cause_id,
            transfer_id=held.transfer_id, lines=used + _lines("hold.voided", held.customer_id, rest), caused_at=at,
            posted_at=at,
        ),
    )  # fmt: skip


def _void(hold: Hold, wish: VoidHold, at: datetime) -> tuple[HoldEvent, ...]:
    if isinstance(hold, Voided) and hold.cause_id == wish.cause_id:
        return ()
    held = _held(hold, wish.hold_id)
    return (
        HoldVoided(
            hold_id=wish.hold_id, customer_id=held.customer_id, entry_id=derive("entry", wish.hold_id, "hold.voided"),
            kind="hold.voided", cause_id=wish.cause_id, transfer_id=held.transfer_id,
            lines=_lines("hold.voided", held.customer_id, held.amount), caused_at=at, posted_at=at,
        ),
    )  # fmt: skip


def _report(hold: Hold, wake: ReportHold, at: datetime) -> tuple[HoldEvent, ...]:
    if not isinstance(hold, Held) or hold.overdue or at < hold.due_at:
        return ()
    return (
        HoldOverdue(
            hold_id=wake.hold_id, customer_id=hold.customer_id, amount=hold.amount, since=hold.due_at, queue=QUEUE
        ),
    )


def _held(hold: Hold, hold_id: UUID) -> Held:
    """Raises HoldNotFound, HoldResolved."""
    if hold is None:
        raise HoldNotFound(hold_id)
    if not isinstance(hold, Held):
        raise HoldResolved(hold_id, hold.state)
    return hold


def _lines(kind: str, customer_id: UUID, amount: Money) -> tuple[Posting, ...]:
    return lines(kind, {"customer": str(customer_id)}, {"amount": amount})


def evolve(hold: Hold, event: HoldEvent) -> Hold:
    """Believes every stored event."""
    match event:
        case HoldPlaced():
            return Held(
                customer_id=event.customer_id, amount=event.amount, cause_id=event.cause_id,
                transfer_id=event.transfer_id, due_at=event.due_at,
            )  # fmt: skip
        case HoldRefused():
            return Refused(customer_id=event.customer_id, amount=event.amount, cause_id=event.cause_id)
        case HoldPosted():
            return Used(amount=event.amount, cause_id=event.cause_id)
        case HoldVoided():
            return Voided(cause_id=event.cause_id)
        case HoldOverdue():
            assert isinstance(hold, Held), "a hold that is resolved is not overdue"
            return Held(
                customer_id=hold.customer_id, amount=hold.amount, cause_id=hold.cause_id,
                transfer_id=hold.transfer_id, due_at=hold.due_at, overdue=True,
            )  # fmt: skip
