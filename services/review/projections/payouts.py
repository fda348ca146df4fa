"""payout_items: payouts that are unknown, in review or overdue (one item each), and what contradicts them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from contracts.payout.v1 import (
    PayoutApproved,
    PayoutConfirmed,
    PayoutContradicted,
    PayoutNotKnownToPartner,
    PayoutOverdue,
    PayoutRefused,
    PayoutReviewRequired,
    PayoutSent,
    PayoutUnknown,
)
from contracts.topics import PAYOUT
from services.kernel.ids import derive
from services.review.domain.reasons import Reason
from services.review.projections.items import ItemRow, closed, opened, projection

Opening = PayoutUnknown | PayoutRefused | PayoutReviewRequired | PayoutOverdue | PayoutContradicted
Closing = PayoutApproved | PayoutSent | PayoutNotKnownToPartner | PayoutConfirmed
Event = Opening | Closing


def key(event: Event) -> UUID:
    """A payout is in one state; each thing that contradicts it waits by itself."""
    if isinstance(event, PayoutContradicted):
        return derive("review", event.payout_id, "contradicted", event.said)
    return derive("review", event.payout_id, "payout")


def evolve(row: ItemRow | None, event: Event) -> ItemRow | None:
    """The row after the event."""
    match event:
        case PayoutUnknown(reason=why, unknown_at=at):
            return _waits(row, event, Reason.PAYOUT_UNKNOWN, at, f"{event.partner}: {why}")
        case PayoutRefused(reason_code=code, refused_at=at):
            return _waits(row, event, Reason.PAYOUT_IN_REVIEW, at, f"refused: {code}")
        case PayoutReviewRequired(reason=why, required_at=at):
            return _waits(row, event, Reason.PAYOUT_IN_REVIEW, at, why)
        case PayoutOverdue(since=since):
            return _waits(row, event, Reason.OVERDUE_STATE, since, f"{event.state}, queue {event.queue}")
        case PayoutContradicted(said=said, contradicted_at=at):
            return _waits(row, event, Reason.PAYOUT_CONTRADICTED, at, f"{said}, while it was {event.state}")
        case PayoutApproved(approved_at=at) | PayoutSent(sent_at=at) | PayoutConfirmed(confirmed_at=at):
            return closed(row, event, at)
        case PayoutNotKnownToPartner(asked_at=at):
            return closed(row, event, at)


def _waits(row: ItemRow | None, event: Opening, reason: Reason, at: datetime, detail: str) -> ItemRow:
    return opened(
        row, event, reason, subject_id=event.payout_id, transfer_id=event.transfer_id, amount=event.amount,
        at=at, detail=detail,
    )  # fmt: skip


PROJECTION = projection(
    "payout_items", PAYOUT,
    opens=(PayoutUnknown, PayoutRefused, PayoutReviewRequired, PayoutOverdue, PayoutContradicted),
    closes=(PayoutApproved, PayoutSent, PayoutNotKnownToPartner, PayoutConfirmed),
    key=key, evolve=evolve,
)  # fmt: skip
