"""payouts: what became of each payout, as we believe it. Rebuilt from the topic; decides nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from contracts.payout.v1 import (
    PayoutConfirmed,
    PayoutDeferred,
    PayoutNotKnownToPartner,
    PayoutRefused,
    PayoutRequested,
    PayoutReviewRequired,
    PayoutSent,
    PayoutSubmitting,
    PayoutUnknown,
)
from contracts.topics import PAYOUT
from contracts.upcasts import UPCASTS
from services.kernel.projector import Projection

WANTED = (
    PayoutRequested, PayoutSubmitting, PayoutSent, PayoutDeferred, PayoutRefused, PayoutUnknown,
    PayoutNotKnownToPartner, PayoutConfirmed, PayoutReviewRequired,
)  # fmt: skip
Wanted = (
    PayoutRequested
    | PayoutSubmitting
    | PayoutSent
    | PayoutDeferred
    | PayoutRefused
    | PayoutUnknown
    | PayoutNotKnownToPartner
    | PayoutConfirmed
    | PayoutReviewRequired
)


@dataclass(frozen=True, slots=True)
class PayoutRow:
    """One payout. Amounts in minor units."""

    transfer_id: UUID
    state: str
    amount_minor: int
    currency: str
    partner: str
    submitted: bool  # handed to the provider once at least
    sent: bool  # money may have left
    confirmed_minor: int | None
    confirmed_currency: str | None
    moved_at: datetime


def key(event: Wanted) -> UUID:
    """The payout."""
    return event.payout_id


def evolve(row: PayoutRow | None, event: Wanted) -> PayoutRow:
    """The row after the event. An approval is not told from a request: neither is with the provider."""
    if isinstance(event, PayoutRequested):
        return _requested(event)
    assert row is not None, "moved before it was requested"
    match event:
        case PayoutSubmitting(submitting_at=at):
            return replace(row, state="SUBMITTING", submitted=True, moved_at=at)
        case PayoutSent(sent_at=at):
            return replace(row, state="SENT", sent=True, moved_at=at)
        case PayoutUnknown(unknown_at=at):
            return replace(row, state="UNKNOWN", sent=True, moved_at=at)
        case PayoutDeferred(deferred_at=at) | PayoutNotKnownToPartner(asked_at=at):
            return replace(row, state="APPROVED", moved_at=max(at, row.moved_at))
        case PayoutRefused(refused_at=at) | PayoutReviewRequired(required_at=at):
            return replace(row, state="MANUAL_REVIEW", moved_at=at)
        case PayoutConfirmed(amount=amount, confirmed_at=at):
            return replace(
                row, state="CONFIRMED", sent=True, confirmed_minor=amount.minor, confirmed_currency=amount.currency,
                moved_at=at,
            )  # fmt: skip


def _requested(event: PayoutRequested) -> PayoutRow:
    return PayoutRow(
        transfer_id=event.transfer_id, state="REQUESTED", amount_minor=event.amount.minor,
        currency=event.amount.currency, partner=event.partner, submitted=False, sent=False, confirmed_minor=None,
        confirmed_currency=None, moved_at=event.requested_at,
    )  # fmt: skip


PROJECTION = Projection(
    name="payouts",
    key_column="payout_id",
    row=PayoutRow,
    topic=PAYOUT.name,
    events=PAYOUT.events,
    wanted=WANTED,
    key=key,
    evolve=evolve,
    upcasts=UPCASTS,
)
