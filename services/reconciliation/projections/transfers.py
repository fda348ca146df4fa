"""transfers: the transfer's own story, as far as money is concerned. Rebuilt from the topic; decides nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from contracts.topics import TRANSFER
from contracts.transfer.v1 import (
    FundingConfirmed,
    LateFundingRecorded,
    PayoutCompleted,
    PayoutInitiated,
    PayoutReviewRequired,
    TransferCancelled,
    TransferExpired,
    TransferOpened,
)
from contracts.upcasts import UPCASTS
from services.kernel.projector import Projection

WANTED = (
    TransferOpened, TransferCancelled, TransferExpired, FundingConfirmed, LateFundingRecorded, PayoutInitiated,
    PayoutReviewRequired, PayoutCompleted,
)  # fmt: skip
Wanted = (
    TransferOpened
    | TransferCancelled
    | TransferExpired
    | FundingConfirmed
    | LateFundingRecorded
    | PayoutInitiated
    | PayoutReviewRequired
    | PayoutCompleted
)


@dataclass(frozen=True, slots=True)
class TransferRow:
    """One transfer. Amounts in minor units."""

    state: str
    route_id: UUID
    customer_id: UUID
    send_minor: int
    send_currency: str
    fee_minor: int
    spread_minor: int
    converted_minor: int
    receive_minor: int
    receive_currency: str
    received_minor: int | None
    received_currency: str | None
    funded: bool  # else what was received came late
    payout_id: UUID | None  # once initiated
    moved_at: datetime


def key(event: Wanted) -> UUID:
    """The transfer."""
    return event.transfer_id


def evolve(row: TransferRow | None, event: Wanted) -> TransferRow:
    """The row after the event."""
    if isinstance(event, TransferOpened):
        return _opened(event)
    assert row is not None, "moved before it was opened"
    match event:
        case TransferCancelled(cancelled_at=at):
            return replace(row, state="CANCELLED", moved_at=at)
        case TransferExpired(expired_at=at):
            return replace(row, state="EXPIRED", moved_at=at)
        case FundingConfirmed(received=received, confirmed_at=at):
            return replace(
                row, state="FUNDING_CONFIRMED", funded=True, received_minor=received.minor,
                received_currency=received.currency, moved_at=at,
            )  # fmt: skip
        case LateFundingRecorded(received=received, recorded_at=at):
            return replace(row, received_minor=received.minor, received_currency=received.currency, moved_at=at)
        case PayoutInitiated(payout_id=payout_id, initiated_at=at):
            return replace(row, state="PAYOUT_INITIATED", payout_id=payout_id, moved_at=at)
        case PayoutReviewRequired(required_at=at):
            return replace(row, state="PAYOUT_REVIEW_REQUIRED", moved_at=at)
        case PayoutCompleted(completed_at=at):
            return replace(row, state="PAYOUT_COMPLETED", moved_at=at)


def _opened(event: TransferOpened) -> TransferRow:
    return TransferRow(
        state="AWAITING_FUNDING", route_id=event.route_id, customer_id=event.customer_id,
        send_minor=event.send.minor, send_currency=event.send.currency, fee_minor=event.fee.minor,
        spread_minor=event.spread.minor, converted_minor=event.converted.minor, receive_minor=event.receive.minor,
        receive_currency=event.receive.currency, received_minor=None, received_currency=None, funded=False,
        payout_id=None, moved_at=event.opened_at,
    )  # fmt: skip


PROJECTION = Projection(
    name="transfers",
    key_column="transfer_id",
    row=TransferRow,
    topic=TRANSFER.name,
    events=TRANSFER.events,
    wanted=WANTED,
    key=key,
    evolve=evolve,
    upcasts=UPCASTS,
)
