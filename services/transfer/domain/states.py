"""What a transfer can be, what it then waits for and how long, and how its events fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from contracts.transfer.v1 import (
    FundingConfirmed,
    LateFundingRecorded,
    PayoutCompleted,
    PayoutInitiated,
    PayoutReviewRequired,
    TransferCancelled,
    TransferEvent,
    TransferExpired,
    TransferOpened,
    TransferOverdue,
)
from services.kernel.money import Money
from services.kernel.value import value

DAY_SECONDS = 86_400


@dataclass(frozen=True, kw_only=True, slots=True)
class Deadlines:
    """How long a state may wait before a person is called. Configuration of the service; sources: states.md."""

    expiry_margin_seconds: int = 60  # money confirmed in the last second is told to us within this
    payout_overdue_seconds: int = 600
    settlement_seconds: Mapping[str, int] = field(default_factory=lambda: {"bank": DAY_SECONDS})  # by rail
    review_seconds: int = 4 * 3_600
    late_funding_seconds: int = DAY_SECONDS

    def settlement_of(self, rail: str) -> int:
        """Seconds from sending to settlement; a day for a rail that nobody has configured."""
        return self.settlement_seconds.get(rail, DAY_SECONDS)


@value
class AwaitingFunding:
    """Open; no money yet."""

    state: ClassVar[str] = "AWAITING_FUNDING"
    opened: TransferOpened


@value(kw_only=True)
class Funded:
    """Paid in; the payout has not left."""

    state: ClassVar[str] = "FUNDING_CONFIRMED"
    opened: TransferOpened
    received: Money
    since: datetime


@value(kw_only=True)
class PayingOut:
    """Money may have left, by the initiation that is outstanding: `payout_id`."""

    state: ClassVar[str] = "PAYOUT_INITIATED"
    opened: TransferOpened
    received: Money
    payout_id: UUID
    since: datetime


@value(kw_only=True)
class ReviewUnsent:
    """A person decides; no initiation is outstanding, so nothing has left."""

    state: ClassVar[str] = "PAYOUT_REVIEW_REQUIRED"
    opened: TransferOpened
    received: Money
    payout_id: UUID
    reason: str
    since: datetime


@value(kw_only=True)
class ReviewSent:
    """A person decides; the initiation of `payout_id` is outstanding, so money may have left."""

    state: ClassVar[str] = "PAYOUT_REVIEW_REQUIRED"
    opened: TransferOpened
    received: Money
    payout_id: UUID
    reason: str
    since: datetime


@value(kw_only=True)
class Completed:
    """The creditor has the money."""

    state: ClassVar[str] = "PAYOUT_COMPLETED"
    opened: TransferOpened
    received: Money
    payout_id: UUID
    completed_at: datetime


@value(kw_only=True)
class Cancelled:
    """Withdrawn before it was paid in. `late`: money that came nevertheless."""

    state: ClassVar[str] = "CANCELLED"
    opened: TransferOpened
    late: LateFundingRecorded | None = None


@value(kw_only=True)
class Expired:
    """Not paid in in time. `late`: money that came nevertheless."""

    state: ClassVar[str] = "EXPIRED"
    opened: TransferOpened
    late: LateFundingRecorded | None = None


Paid = Funded | PayingOut | ReviewUnsent | ReviewSent | Completed
Transfer = AwaitingFunding | Paid | Cancelled | Expired | None  # None: no such transfer

STAGES = (AwaitingFunding, Funded, PayingOut, ReviewUnsent, ReviewSent, Completed, Cancelled, Expired)
LATE = "the same; refund decided within a day → `transfer.overdue`, queue late_funding"
AGEING = "review time → `transfer.overdue`, queue payout_review"
SETTLEMENT = "the rail's settlement time → `transfer.overdue`, queue settlement"
TRANSITIONS: tuple[tuple[str, type, str, str], ...] = (  # state, event, next state, deadline of the next state
    ("-", TransferOpened, "AWAITING_FUNDING", "funding deadline plus a minute → `transfer.expired`"),
    ("AWAITING_FUNDING", FundingConfirmed, "FUNDING_CONFIRMED", "10 min → `transfer.overdue`, queue payout"),
    ("AWAITING_FUNDING", TransferCancelled, "CANCELLED", ""),
    ("AWAITING_FUNDING", TransferExpired, "EXPIRED", ""),
    ("FUNDING_CONFIRMED", PayoutInitiated, "PAYOUT_INITIATED", SETTLEMENT),
    ("FUNDING_CONFIRMED", PayoutReviewRequired, "PAYOUT_REVIEW_REQUIRED", AGEING),
    ("PAYOUT_INITIATED", PayoutReviewRequired, "PAYOUT_REVIEW_REQUIRED", AGEING),
    ("PAYOUT_REVIEW_REQUIRED", PayoutInitiated, "PAYOUT_INITIATED", f"(none outstanding) {SETTLEMENT}"),
    ("PAYOUT_INITIATED", PayoutCompleted, "PAYOUT_COMPLETED", ""),
    ("PAYOUT_REVIEW_REQUIRED", PayoutCompleted, "PAYOUT_COMPLETED", ""),
    ("CANCELLED", LateFundingRecorded, "CANCELLED", LATE),
    ("EXPIRED", LateFundingRecorded, "EXPIRED", LATE),
    ("FUNDING_CONFIRMED", TransferOverdue, "FUNDING_CONFIRMED", "in review"),
    ("PAYOUT_INITIATED", TransferOverdue, "PAYOUT_INITIATED", "in review"),
    ("PAYOUT_REVIEW_REQUIRED", TransferOverdue, "PAYOUT_REVIEW_REQUIRED", "in review"),
    ("CANCELLED", TransferOverdue, "CANCELLED", "in review"),
    ("EXPIRED", TransferOverdue, "EXPIRED", "in review"),
)


@value
class Waiting:
    """What a stage waits for: the wake that looks after it, since when, whose queue it falls into, and which money."""

    wake: str
    since: datetime
    queue: str
    amount: Money


def waiting(transfer: Transfer) -> Waiting | None:
    """The wait that ends in `transfer.overdue`; None for a stage that nothing but its own event can end."""
    match transfer:
        case Funded(since=since):
            return Waiting("payout_overdue", since, "payout", transfer.received)
        case PayingOut(since=since):
            return Waiting("settlement_overdue", since, "settlement", transfer.opened.receive)
        case ReviewUnsent(since=since) | ReviewSent(since=since):
            return Waiting("review_overdue", since, "payout_review", transfer.opened.receive)
        case Cancelled(late=late) | Expired(late=late) if late is not None:
            return Waiting("late_funding_overdue", late.recorded_at, "late_funding", late.received)
        case _:
            return None


def evolve(transfer: Transfer, event: TransferEvent) -> Transfer:
    """Believes every stored event; asserts only what a bug in decide() could have broken."""
    if isinstance(event, TransferOpened):
        return AwaitingFunding(event)
    assert transfer is not None, "an event before the transfer was opened"
    match event:
        case TransferCancelled():
            return Cancelled(opened=transfer.opened)
        case TransferExpired():
            return Expired(opened=transfer.opened)
        case LateFundingRecorded():
            return _with_late_funding(transfer, event)
        case FundingConfirmed(received=received, confirmed_at=since):
            return Funded(opened=transfer.opened, received=received, since=since)
        case TransferOverdue():
            return transfer
        case PayoutInitiated() | PayoutReviewRequired() | PayoutCompleted():
            return _after_payout(transfer, event)


def _after_payout(transfer: Transfer, event: PayoutInitiated | PayoutReviewRequired | PayoutCompleted) -> Transfer:
    assert isinstance(transfer, Paid), "a payout before the money was ours to pass on"
    opened, received, payout_id = transfer.opened, transfer.received, event.payout_id
    match event:
        case PayoutInitiated(initiated_at=at):
            return PayingOut(opened=opened, received=received, payout_id=payout_id, since=at)
        case PayoutReviewRequired(reason=reason, required_at=at):
            review = ReviewUnsent if isinstance(transfer, Funded | ReviewUnsent) else ReviewSent
            return review(opened=opened, received=received, payout_id=payout_id, reason=reason, since=at)
        case PayoutCompleted(completed_at=at):
            return Completed(opened=opened, received=received, payout_id=payout_id, completed_at=at)


def _with_late_funding(transfer: Transfer, event: LateFundingRecorded) -> Transfer:
    match transfer:
        case Cancelled(opened=opened):
            return Cancelled(opened=opened, late=event)
        case Expired(opened=opened):
            return Expired(opened=opened, late=event)
        case _:
            raise AssertionError("late money for a transfer that had not ended")
