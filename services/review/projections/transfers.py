"""transfer_items: transfers that wait too long, and money for those that had ended. A review is the payout's."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from contracts.topics import TRANSFER
from contracts.transfer.v1 import (
    LateFundingRecorded,
    PayoutCompleted,
    PayoutInitiated,
    PayoutReviewRequired,
    TransferOverdue,
)
from services.kernel.ids import derive
from services.kernel.money import Money
from services.review.domain.reasons import Reason
from services.review.projections.items import ItemRow, closed, opened, projection

LATE_FUNDING_QUEUE = "late_funding"
Opening = TransferOverdue | LateFundingRecorded
Event = Opening | PayoutInitiated | PayoutReviewRequired | PayoutCompleted


def key(event: Event) -> UUID:
    """A transfer is in one state."""
    return derive("review", event.transfer_id, "transfer")


def evolve(row: ItemRow | None, event: Event) -> ItemRow | None:
    """The row after the event. Late money that nobody decides on stays the same wait: it is only older."""
    match event:
        case LateFundingRecorded(received=received, recorded_at=at):
            return _waits(row, event, Reason.LATE_FUNDING, received, at, f"{received} came after the end")
        case TransferOverdue(queue=queue, since=since) if queue == LATE_FUNDING_QUEUE:
            return _waits(
                row, event, Reason.LATE_FUNDING, event.amount, since, f"undecided since it came, {event.state}"
            )
        case TransferOverdue(since=since):
            return _waits(row, event, Reason.OVERDUE_STATE, event.amount, since, f"{event.state}, queue {event.queue}")
        case PayoutInitiated(initiated_at=at) | PayoutReviewRequired(required_at=at) | PayoutCompleted(completed_at=at):
            return closed(row, event, at)


def _waits(
    row: ItemRow | None, event: Opening, reason: Reason, amount: Money | None, at: datetime, detail: str
) -> ItemRow:
    return opened(
        row, event, reason, subject_id=event.transfer_id, transfer_id=event.transfer_id, amount=amount,
        at=at, detail=detail,
    )  # fmt: skip


PROJECTION = projection(
    "transfer_items", TRANSFER, opens=(TransferOverdue, LateFundingRecorded),
    closes=(PayoutInitiated, PayoutReviewRequired, PayoutCompleted), key=key, evolve=evolve,
)  # fmt: skip
