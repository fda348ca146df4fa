"""What the transfer service says: the life of a transfer. Stored, published and read in this form."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from services.kernel.money import Money, Rate
from services.kernel.sealed import Sealed
from services.kernel.value import value


@value(kw_only=True)
class TransferOpened:
    """A customer took a quote; we wait for the money on `route`."""

    type: ClassVar[str] = "corridor.transfer.opened.v1"
    transfer_id: UUID
    customer_id: UUID
    quote_id: UUID
    corridor: str
    sender_id: UUID
    receiver_id: UUID
    route_id: UUID  # uuid5 of tenant and normalised route
    route: str  # ISO 11649 creditor reference (RF..) that the customer puts on the deposit
    send: Money
    fee: Money
    spread: Money
    converted: Money
    receive: Money
    rate: Rate
    tolerance: Money
    rail: str
    partner: str
    creditor_name: Sealed
    creditor_account: Sealed
    opened_at: datetime
    funding_deadline: datetime  # the first instant at which a deposit is late


@value(kw_only=True)
class TransferCancelled:
    """The customer withdrew before paying in."""

    type: ClassVar[str] = "corridor.transfer.cancelled.v1"
    transfer_id: UUID
    route_id: UUID
    reason: str
    cancelled_at: datetime


@value(kw_only=True)
class TransferExpired:
    """No money came in time."""

    type: ClassVar[str] = "corridor.transfer.expired.v1"
    transfer_id: UUID
    route_id: UUID
    expired_at: datetime


@value(kw_only=True)
class FundingConfirmed:
    """The deposit is ours to pass on. Complete for whoever pays out and for whoever posts."""

    type: ClassVar[str] = "corridor.transfer.funding_confirmed.v1"
    transfer_id: UUID
    customer_id: UUID
    route_id: UUID
    received: Money  # what was paid in; differs from `send` by at most the tolerance
    send: Money
    receive: Money
    rail: str
    partner: str
    creditor_name: Sealed
    creditor_account: Sealed
    confirmed_at: datetime


@value(kw_only=True)
class LateFundingRecorded:
    """Money was confirmed for an ended transfer. It waits in suspense for a person; the transfer stays ended."""

    type: ClassVar[str] = "corridor.transfer.late_funding_recorded.v1"
    transfer_id: UUID
    route_id: UUID
    received: Money
    recorded_at: datetime


@value(kw_only=True)
class PayoutInitiated:
    """Money may have left: the payout was sent, or its outcome is unknown, or it was confirmed before we heard more."""

    type: ClassVar[str] = "corridor.transfer.payout_initiated.v1"
    transfer_id: UUID
    customer_id: UUID
    payout_id: UUID
    send: Money
    fee: Money
    spread: Money
    converted: Money
    receive: Money
    initiated_at: datetime
    rail: str = "bank"  # decides how long settlement may take
    rate: Rate | None = None  # at which `converted` became `receive`; None in events of before


@value(kw_only=True)
class PayoutReviewRequired:
    """The payout waits for a person."""

    type: ClassVar[str] = "corridor.transfer.payout_review_required.v1"
    transfer_id: UUID
    payout_id: UUID
    reason: str
    required_at: datetime


@value(kw_only=True)
class PayoutCompleted:
    """The creditor has the money."""

    type: ClassVar[str] = "corridor.transfer.payout_completed.v1"
    transfer_id: UUID
    customer_id: UUID
    payout_id: UUID
    receive: Money
    completed_at: datetime
    late_confirmation: bool = False


@value(kw_only=True)
class TransferOverdue:
    """A waiting state outlived its deadline. Changes no state; a person looks at `queue`."""

    type: ClassVar[str] = "corridor.transfer.overdue.v1"
    transfer_id: UUID
    state: str
    since: datetime
    queue: str
    amount: Money | None = None  # what waits: paid in, or to be paid out; null when an older release said it


TransferEvent = (
    TransferOpened
    | TransferCancelled
    | TransferExpired
    | FundingConfirmed
    | LateFundingRecorded
    | PayoutInitiated
    | PayoutReviewRequired
    | PayoutCompleted
    | TransferOverdue
)
EVENTS = (
    TransferOpened,
    TransferCancelled,
    TransferExpired,
    FundingConfirmed,
    LateFundingRecorded,
    PayoutInitiated,
    PayoutReviewRequired,
    PayoutCompleted,
    TransferOverdue,
)
