"""What the deposit watcher says: which money arrived, for whom. Stored, published and read in this form."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from services.kernel.money import Money
from services.kernel.value import value

Mismatch = Literal["short", "over", "late", "wrong_currency", "unknown_route", "surplus"]


@value(kw_only=True)
class DepositExpected:
    """A transfer waits for `amount` on this route."""

    type: ClassVar[str] = "corridor.deposit.expected.v1"
    route_id: UUID
    route: str
    transfer_id: UUID
    customer_id: UUID
    amount: Money
    tolerance: Money
    deadline: datetime
    expected_at: datetime


@value(kw_only=True)
class DepositObserved:
    """Cash arrived. True whatever anybody thinks of it; the ledger books it to suspense."""

    type: ClassVar[str] = "corridor.deposit.observed.v1"
    route_id: UUID
    route: str
    transfer_id: UUID | None  # known when the route was expected
    arrival_id: UUID
    partner: str  # whose statement says so
    reference: str  # the partner's own; (partner, reference) is counted once
    amount: Money
    booked_at: datetime  # as the partner says
    observed_at: datetime


@value(kw_only=True)
class DepositConfirmed:
    """The unresolved arrivals together are what was expected."""

    type: ClassVar[str] = "corridor.deposit.confirmed.v1"
    route_id: UUID
    transfer_id: UUID
    amount: Money  # the sum of the arrivals
    expected: Money
    arrivals: tuple[UUID, ...]
    confirmed_at: datetime


@value(kw_only=True)
class DepositMismatched:
    """Money that fits nothing by itself. It stays in suspense and in review until it is resolved."""

    type: ClassVar[str] = "corridor.deposit.mismatched.v1"
    route_id: UUID
    transfer_id: UUID | None
    reason: Mismatch
    amount: Money  # the sum of unresolved arrivals of the currency in question
    expected: Money | None
    arrivals: tuple[UUID, ...]
    mismatched_at: datetime


@value(kw_only=True)
class DepositReferenceMismatched:
    """A reference was used again for other content (`webhook/reference-mismatch`). No money moves; a person looks."""

    type: ClassVar[str] = "corridor.deposit.reference_mismatched.v1"
    route_id: UUID
    arrival_id: UUID
    partner: str
    reference: str
    first_route_id: UUID  # where the first arrival of that reference was counted
    mismatched_at: datetime


@value(kw_only=True)
class DepositRouteClosed:
    """The transfer ended. The route is kept for ever, so that late money is recognised."""

    type: ClassVar[str] = "corridor.deposit.route_closed.v1"
    route_id: UUID
    transfer_id: UUID
    closed_at: datetime


DepositEvent = (
    DepositExpected
    | DepositObserved
    | DepositConfirmed
    | DepositMismatched
    | DepositReferenceMismatched
    | DepositRouteClosed
)
EVENTS = (
    DepositExpected,
    DepositObserved,
    DepositConfirmed,
    DepositMismatched,
    DepositReferenceMismatched,
    DepositRouteClosed,
)
