"""What a route can be, the unresolved money on it, and how its events fold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from contracts.deposit.v1 import (
    DepositConfirmed,
    DepositEvent,
    DepositExpected,
    DepositMismatched,
    DepositObserved,
    DepositReferenceMismatched,
    DepositRouteClosed,
)
from services.kernel.money import MINOR_MAX, Currency, Money
from services.kernel.value import value

ARRIVALS_MAX = 100  # unresolved arrivals that a route adds up: bounds its state and the length of its events


@dataclass(frozen=True, kw_only=True, slots=True)
class Deadlines:
    """Configuration of the service; source: states.md."""

    unknown_route_grace_seconds: int = 900  # how long money may be ahead of its `transfer.opened`


@value
class Pile:
    """Unresolved money of one currency: its sum, the arrivals in it, and when the last of them was observed."""

    amount: Money
    arrivals: tuple[UUID, ...]
    last_at: datetime


@value(kw_only=True)
class Expectation:
    """What the transfer waits for. `deadline` is the first instant at which money is late."""

    transfer_id: UUID
    amount: Money
    tolerance: Money
    deadline: datetime


@value(kw_only=True)
class Unexpected:
    """Money without a transfer, in its grace."""

    state: ClassVar[str] = "UNEXPECTED"
    piles: tuple[Pile, ...] = ()


@value(kw_only=True)
class Unmatched:
    """Money without a transfer, its grace over: a person looks."""

    state: ClassVar[str] = "MISMATCHED"
    piles: tuple[Pile, ...] = ()


@value(kw_only=True)
class Expected:
    """A transfer, and no money that was judged."""

    state: ClassVar[str] = "EXPECTED"
    expected: Expectation
    piles: tuple[Pile, ...] = ()


@value(kw_only=True)
class Mismatched:
    """A transfer, and money that does not fit it."""

    state: ClassVar[str] = "MISMATCHED"
    expected: Expectation
    piles: tuple[Pile, ...] = ()


@value(kw_only=True)
class Confirmed:
    """The transfer has its money. `piles`: what came beside or after it."""

    state: ClassVar[str] = "CONFIRMED"
    expected: Expectation
    piles: tuple[Pile, ...] = ()


@value(kw_only=True)
class Closed:
    """The transfer ended. Kept for ever, so that late money is recognised and never matched."""

    state: ClassVar[str] = "CLOSED"
    expected: Expectation
    piles: tuple[Pile, ...] = ()


Known = Expected | Mismatched | Confirmed | Closed  # a transfer is known
Holding = Unexpected | Unmatched | Known  # money can lie on it
Route = Holding | None  # None: neither money nor a transfer

STAGES = (Unexpected, Unmatched, Expected, Mismatched, Confirmed, Closed)
OWN = "the transfer's own"
POLICY = "policy: wait for the rest, refund, requote, or a person"
TRANSITIONS: tuple[tuple[str, type, str, str], ...] = (  # state, event, next state, deadline of the next state
    ("-", DepositExpected, "EXPECTED", OWN),
    ("UNEXPECTED", DepositExpected, "EXPECTED", f"{OWN}; waiting money is judged now"),
    ("MISMATCHED", DepositExpected, "EXPECTED", f"{OWN}; waiting money is judged now"),
    ("-", DepositObserved, "UNEXPECTED", "15 min grace → `deposit.mismatched` (unknown_route), review"),
    ("UNEXPECTED", DepositObserved, "UNEXPECTED", "the first arrival's grace"),
    ("UNEXPECTED", DepositMismatched, "MISMATCHED", "review"),
    ("EXPECTED", DepositObserved, "EXPECTED", "judged in the same decision"),
    ("EXPECTED", DepositConfirmed, "CONFIRMED", ""),
    ("EXPECTED", DepositMismatched, "MISMATCHED", POLICY),
    ("MISMATCHED", DepositObserved, "MISMATCHED", "judged again on the sum in the same decision"),
    ("MISMATCHED", DepositConfirmed, "CONFIRMED", ""),
    ("MISMATCHED", DepositMismatched, "MISMATCHED", POLICY),
    ("CONFIRMED", DepositObserved, "CONFIRMED", ""),
    ("CONFIRMED", DepositMismatched, "CONFIRMED", "surplus, review"),
    ("CLOSED", DepositObserved, "CLOSED", ""),
    ("CLOSED", DepositMismatched, "CLOSED", "late, review"),
    ("EXPECTED", DepositRouteClosed, "CLOSED", "kept for ever"),
    ("MISMATCHED", DepositRouteClosed, "CLOSED", "kept for ever; unresolved money stays in review"),
    ("CONFIRMED", DepositRouteClosed, "CLOSED", "kept for ever"),
    ("-", DepositReferenceMismatched, "-", "exception `webhook/reference-mismatch`"),
    ("UNEXPECTED", DepositReferenceMismatched, "UNEXPECTED", "exception `webhook/reference-mismatch`"),
    ("EXPECTED", DepositReferenceMismatched, "EXPECTED", "exception `webhook/reference-mismatch`"),
    ("MISMATCHED", DepositReferenceMismatched, "MISMATCHED", "exception `webhook/reference-mismatch`"),
    ("CONFIRMED", DepositReferenceMismatched, "CONFIRMED", "exception `webhook/reference-mismatch`"),
    ("CLOSED", DepositReferenceMismatched, "CLOSED", "exception `webhook/reference-mismatch`"),
)


def evolve(route: Route, event: DepositEvent) -> Route:
    """Believes every stored event; asserts only what a bug in decide() could have broken."""
    match event:
        case DepositExpected():
            return Expected(expected=_expectation(event), piles=route.piles if route else ())
        case DepositObserved():
            holding = route or Unexpected()
            return replace(holding, piles=piled(holding.piles, event))
        case DepositReferenceMismatched():
            return route
        case DepositConfirmed(amount=amount):
            assert isinstance(route, Known), "confirmed without a transfer"
            return Confirmed(expected=route.expected, piles=_without(route.piles, amount.currency))
        case DepositMismatched():
            return _after_mismatch(route)
        case DepositRouteClosed():
            assert isinstance(route, Known), "closed without a transfer"
            return Closed(expected=route.expected, piles=route.piles)


def _expectation(event: DepositExpected) -> Expectation:
    return Expectation(
        transfer_id=event.transfer_id, amount=event.amount, tolerance=event.tolerance, deadline=event.deadline
    )


def _after_mismatch(route: Route) -> Route:
    match route:
        case Unexpected(piles=piles):
            return Unmatched(piles=piles)
        case Expected(expected=expected, piles=piles):
            return Mismatched(expected=expected, piles=piles)
        case _:
            return route


def piled(piles: tuple[Pile, ...], event: DepositObserved) -> tuple[Pile, ...]:
    """The piles with that arrival on its currency's; unchanged when the route adds up no more: it is put aside."""
    pile = pile_of(piles, event.amount.currency)
    before = pile.amount.minor if pile else 0
    if sum(len(each.arrivals) for each in piles) >= ARRIVALS_MAX or before + event.amount.minor > MINOR_MAX:
        return piles
    arrivals = (*pile.arrivals, event.arrival_id) if pile else (event.arrival_id,)
    grown = Pile(Money(before + event.amount.minor, event.amount.currency), arrivals, event.observed_at)
    return (*_without(piles, event.amount.currency), grown)


def pile_of(piles: tuple[Pile, ...], currency: Currency) -> Pile | None:
    """The unresolved money of that currency."""
    return next((pile for pile in piles if pile.amount.currency == currency), None)


def _without(piles: tuple[Pile, ...], currency: Currency) -> tuple[Pile, ...]:
    return tuple(pile for pile in piles if pile.amount.currency != currency)
