"""A route on which 100.00 GBP are expected, half a pound more or less."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from contracts.deposit.routes import route_id, route_reference
from contracts.deposit.v1 import (
    DepositConfirmed,
    DepositExpected,
    DepositMismatched,
    DepositObserved,
    DepositReferenceMismatched,
    DepositRouteClosed,
    Mismatch,
)
from services.deposit_watcher.domain.commands import CloseRoute, ExpectDeposit, GraceOver, ObserveDeposit, content_of
from services.kernel.decider import Owner, Seen
from services.kernel.money import Money, iso4217

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DEADLINE = AT + timedelta(hours=1)
GBP, EUR, ETB = iso4217("GBP"), iso4217("EUR"), iso4217("ETB")
TRANSFER_ID, CUSTOMER_ID, OTHER_ID = UUID(int=201), UUID(int=202), UUID(int=203)
ROUTE = route_reference(TRANSFER_ID)
ROUTE_ID = route_id("main", ROUTE)
EXPECTED_AMOUNT = Money(100_00, GBP)

EXPECT = ExpectDeposit(
    route_id=ROUTE_ID,
    route=ROUTE,
    transfer_id=TRANSFER_ID,
    customer_id=CUSTOMER_ID,
    amount=EXPECTED_AMOUNT,
    tolerance=Money(50, GBP),
    deadline=DEADLINE,
)
CLOSE = CloseRoute(route_id=ROUTE_ID, transfer_id=TRANSFER_ID)
GRACE_OVER = GraceOver(route_id=ROUTE_ID)

EXPECTED = DepositExpected(
    route_id=ROUTE_ID,
    route=ROUTE,
    transfer_id=TRANSFER_ID,
    customer_id=CUSTOMER_ID,
    amount=EXPECTED_AMOUNT,
    tolerance=Money(50, GBP),
    deadline=DEADLINE,
    expected_at=AT,
)
CLOSED = DepositRouteClosed(route_id=ROUTE_ID, transfer_id=TRANSFER_ID, closed_at=AT)


def gbp(minor: int) -> Money:
    return Money(minor, GBP)


def eur(minor: int) -> Money:
    return Money(minor, EUR)


def arrival(number: int) -> UUID:
    return UUID(int=1_000 + number)


def observe(number: int, amount: Money) -> ObserveDeposit:
    """The `number`th arrival of our partner."""
    return ObserveDeposit(
        route_id=ROUTE_ID,
        route=ROUTE,
        arrival_id=arrival(number),
        partner="sandbox-bank",
        reference=f"R{number}",
        amount=amount,
        booked_at=AT,
        content=content_of("sandbox-bank", f"R{number}", ROUTE, amount),
    )


def observed(
    number: int, amount: Money, *, transfer_id: UUID | None = TRANSFER_ID, observed_at: datetime = AT
) -> DepositObserved:
    return DepositObserved(
        route_id=ROUTE_ID,
        route=ROUTE,
        transfer_id=transfer_id,
        arrival_id=arrival(number),
        partner="sandbox-bank",
        reference=f"R{number}",
        amount=amount,
        booked_at=AT,
        observed_at=observed_at,
    )


def confirmed(amount: Money, *numbers: int) -> DepositConfirmed:
    return DepositConfirmed(
        route_id=ROUTE_ID,
        transfer_id=TRANSFER_ID,
        amount=amount,
        expected=EXPECTED_AMOUNT,
        arrivals=tuple(arrival(number) for number in numbers),
        confirmed_at=AT,
    )


def mismatched(reason: Mismatch, amount: Money, *numbers: int, at: datetime = AT) -> DepositMismatched:
    return DepositMismatched(
        route_id=ROUTE_ID,
        transfer_id=TRANSFER_ID,
        reason=reason,
        amount=amount,
        expected=EXPECTED_AMOUNT,
        arrivals=tuple(arrival(number) for number in numbers),
        mismatched_at=at,
    )


def unknown(amount: Money, *numbers: int) -> DepositMismatched:
    return DepositMismatched(
        route_id=ROUTE_ID,
        transfer_id=None,
        reason="unknown_route",
        amount=amount,
        expected=None,
        arrivals=tuple(arrival(number) for number in numbers),
        mismatched_at=AT,
    )


def reference_mismatched(number: int) -> DepositReferenceMismatched:
    return DepositReferenceMismatched(
        route_id=ROUTE_ID,
        arrival_id=arrival(number),
        partner="sandbox-bank",
        reference=f"R{number}",
        first_route_id=OTHER_ID,
        mismatched_at=AT,
    )


def taken(content: str, *, conflicted: bool = False) -> Seen:
    """The reference was counted before, with that content; perhaps ours was already said to be in conflict with it."""
    conflict = {"deposit-conflict": Owner(ROUTE_ID, "")} if conflicted else {}
    return Seen(owners={"deposit": Owner(OTHER_ID, content)} | conflict)


def early(number: int, amount: Money) -> DepositObserved:
    """Money that came before its transfer."""
    return observed(number, amount, transfer_id=None)


UNEXPECTED = (early(1, gbp(100_00)),)
UNMATCHED = (*UNEXPECTED, unknown(gbp(100_00), 1))
AWAITED = (EXPECTED,)
SHORT = (EXPECTED, observed(1, gbp(60_00)), mismatched("short", gbp(60_00), 1))
CONFIRMED = (EXPECTED, observed(1, gbp(100_00)), confirmed(gbp(100_00), 1))
ENDED = (EXPECTED, CLOSED)
ENDED_PAID = (*CONFIRMED, CLOSED)
ENDED_SHORT = (*SHORT, CLOSED)
STREAMS = ((), UNEXPECTED, UNMATCHED, AWAITED, SHORT, CONFIRMED, ENDED, ENDED_PAID, ENDED_SHORT)
