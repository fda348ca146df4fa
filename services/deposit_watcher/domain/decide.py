"""Which money is for whom. Pure: no clock, no randomness, no I/O. Nothing here refuses: money that arrived is true."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from contracts.deposit.v1 import (
    DepositConfirmed,
    DepositEvent,
    DepositExpected,
    DepositMismatched,
    DepositObserved,
    DepositReferenceMismatched,
    DepositRouteClosed,
    Mismatch,
)
from services.deposit_watcher.domain.commands import (
    CloseRoute,
    DepositCommand,
    ExpectDeposit,
    GraceOver,
    ObserveDeposit,
)
from services.deposit_watcher.domain.states import (
    Closed,
    Confirmed,
    Expectation,
    Expected,
    Holding,
    Known,
    Mismatched,
    Pile,
    Route,
    Unexpected,
    Unmatched,
    evolve,
    pile_of,
)
from services.kernel.decider import Owner

Events = tuple[DepositEvent, ...]


def decide(route: Route, command: DepositCommand, at: datetime) -> Events:
    """The events that `command` causes at `at` (the database's time), () when it was already done."""
    match command:
        case ExpectDeposit():
            return expect(route, command, at)
        case ObserveDeposit():
            return observe(route, command, at)
        case CloseRoute():
            return close(route, command, at)
        case GraceOver():
            return grace_over(route, command, at)


def expect(route: Route, fact: ExpectDeposit, at: datetime) -> Events:
    """A transfer waits; money that was here before it is judged now, foreign currencies first."""
    if isinstance(route, Known):
        assert route.expected.transfer_id == fact.transfer_id, "two transfers on one route: the claim did not hold"
        return ()
    event = _expected(fact, at)
    after = evolve(route, event)
    assert isinstance(after, Expected)
    piles = sorted(after.piles, key=lambda pile: pile.amount.currency == fact.amount.currency)
    return (event, *(judge(fact.route_id, after.expected, pile, at) for pile in piles))


def _expected(fact: ExpectDeposit, at: datetime) -> DepositExpected:
    return DepositExpected(
        route_id=fact.route_id,
        route=fact.route,
        transfer_id=fact.transfer_id,
        customer_id=fact.customer_id,
        amount=fact.amount,
        tolerance=fact.tolerance,
        deadline=fact.deadline,
        expected_at=at,
    )


def observe(route: Route, fact: ObserveDeposit, at: datetime) -> Events:
    """Count each (partner, reference) once, whatever has become of its route since; then judge the new sum."""
    owners = fact.seen.owners
    owner = owners.get("deposit")
    if owner is not None:
        told = owner.content == fact.content or "deposit-conflict" in owners
        return () if told else (_reference_mismatched(fact, owner, at),)
    event = _observed(route, fact, at)
    after = evolve(route, event)
    assert after is not None
    pile = pile_of(after.piles, fact.amount.currency)
    if pile is None or fact.arrival_id not in pile.arrivals:
        return (event, *_put_aside(after, event, at))
    return (event, *_verdict(after, fact.route_id, pile, at))


def _reference_mismatched(fact: ObserveDeposit, owner: Owner, at: datetime) -> DepositReferenceMismatched:
    return DepositReferenceMismatched(
        route_id=fact.route_id,
        arrival_id=fact.arrival_id,
        partner=fact.partner,
        reference=fact.reference,
        first_route_id=owner.stream_id,
        mismatched_at=at,
    )


def _observed(route: Route, fact: ObserveDeposit, at: datetime) -> DepositObserved:
    return DepositObserved(
        route_id=fact.route_id,
        route=fact.route,
        transfer_id=route.expected.transfer_id if isinstance(route, Known) else None,
        arrival_id=fact.arrival_id,
        partner=fact.partner,
        reference=fact.reference,
        amount=fact.amount,
        booked_at=fact.booked_at,
        observed_at=at,
    )


def _verdict(route: Holding, route_id: UUID, pile: Pile, at: datetime) -> Events:
    match route:
        case Unexpected():
            return ()
        case Unmatched():
            return (_mismatched(route_id, None, pile, "unknown_route", at),)
        case Expected(expected=expected) | Mismatched(expected=expected):
            return (judge(route_id, expected, pile, at),)
        case Confirmed(expected=expected):
            return (_mismatched(route_id, expected, pile, "surplus", at),)
        case Closed(expected=expected):
            return (_mismatched(route_id, expected, pile, "late", at),)


def judge(route_id: UUID, expected: Expectation, pile: Pile, at: datetime) -> DepositConfirmed | DepositMismatched:
    """The unresolved money of one currency against what is expected."""
    reason = misfit(expected, pile)
    if reason is not None:
        return _mismatched(route_id, expected, pile, reason, at)
    return DepositConfirmed(
        route_id=route_id,
        transfer_id=expected.transfer_id,
        amount=pile.amount,
        expected=expected.amount,
        arrivals=pile.arrivals,
        confirmed_at=at,
    )


def misfit(expected: Expectation, pile: Pile) -> Mismatch | None:
    """Why the money does not confirm by itself; None if it does. Both edges of the tolerance are inside."""
    if pile.amount.currency != expected.amount.currency:
        return "wrong_currency"
    if pile.last_at >= expected.deadline:
        return "late"
    difference_minor = pile.amount.minor - expected.amount.minor
    if abs(difference_minor) <= expected.tolerance.minor:
        return None
    return "short" if difference_minor < 0 else "over"


def _put_aside(route: Holding, event: DepositObserved, at: datetime) -> Events:
    """An arrival that the route adds up no more: it stands alone before a person, and can never confirm anything.

    It ends the grace of an unexpected route, because the mismatch of one arrival there is the mismatch of all.
    """
    alone = Pile(event.amount, (event.arrival_id,), at)
    match route:
        case Unexpected(piles=piles):
            return tuple(_mismatched(event.route_id, None, pile, "unknown_route", at) for pile in (*piles, alone))
        case Unmatched():
            return (_mismatched(event.route_id, None, alone, "unknown_route", at),)
        case Closed(expected=expected):
            return (_mismatched(event.route_id, expected, alone, "late", at),)
        case Expected(expected=expected) | Mismatched(expected=expected) | Confirmed(expected=expected):
            return (_mismatched(event.route_id, expected, alone, "surplus", at),)


def _mismatched(
    route_id: UUID, expected: Expectation | None, pile: Pile, reason: Mismatch, at: datetime
) -> DepositMismatched:
    return DepositMismatched(
        route_id=route_id,
        transfer_id=expected.transfer_id if expected else None,
        reason=reason,
        amount=pile.amount,
        expected=expected.amount if expected else None,
        arrivals=pile.arrivals,
        mismatched_at=at,
    )


def close(route: Route, fact: CloseRoute, at: datetime) -> Events:
    """The transfer ended: from now on all money here is late."""
    assert isinstance(route, Known), "a transfer ended on a route where none was expected"
    assert route.expected.transfer_id == fact.transfer_id, "the end of a transfer on the route of another"
    if isinstance(route, Closed):
        return ()
    return (DepositRouteClosed(route_id=fact.route_id, transfer_id=fact.transfer_id, closed_at=at),)


def grace_over(route: Route, wake: GraceOver, at: datetime) -> Events:
    """Nobody opened a transfer for this money: a person looks. A transfer that comes later still gets it judged."""
    if not isinstance(route, Unexpected):
        return ()
    return tuple(_mismatched(wake.route_id, None, pile, "unknown_route", at) for pile in route.piles)
