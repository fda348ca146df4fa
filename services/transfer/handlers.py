"""What the transfer service makes of what it hears, and what follows from what it says. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import contracts.payout.v1 as payout
from contracts.deposit.routes import normalised_route
from contracts.deposit.v1 import DepositConfirmed
from contracts.transfer.v1 import (
    EVENTS,
    FundingConfirmed,
    LateFundingRecorded,
    PayoutInitiated,
    PayoutReviewRequired,
    TransferEvent,
    TransferOpened,
)
from contracts.upcasts import UPCASTS
from services.kernel.decider import Ask, Cause, Claim, Consumes, Decider, SideEffect
from services.transfer.domain.commands import (
    COMMANDS,
    CompletePayout,
    ConfirmFunding,
    ExpireTransfer,
    InitiatePayout,
    OpenTransfer,
    ReportOverdue,
    RequireReview,
    TransferCommand,
)
from services.transfer.domain.decide import decide
from services.transfer.domain.states import STAGES, Completed, Deadlines, Transfer, evolve


def open_transfer(wish: OpenTransfer) -> Ask:
    """The wish with what it takes for ever: the quote and the route."""
    claims = (Claim("quote", str(wish.terms.quote_id)), Claim("route", normalised_route(wish.route)))
    return Ask(wish.transfer_id, wish, claims=claims)


def on_deposit_confirmed(event: DepositConfirmed, _cause: Cause) -> tuple[Ask, ...]:
    """The money is there."""
    return (Ask(event.transfer_id, ConfirmFunding(transfer_id=event.transfer_id, received=event.amount)),)


def on_payout_sent(event: payout.PayoutSent | payout.PayoutUnknown, _cause: Cause) -> tuple[Ask, ...]:
    """Accepted, or nobody knows: either way money may have left."""
    return (Ask(event.transfer_id, InitiatePayout(transfer_id=event.transfer_id, payout_id=event.payout_id)),)


def on_payout_confirmed(event: payout.PayoutConfirmed, _cause: Cause) -> tuple[Ask, ...]:
    """The creditor has it."""
    return (Ask(event.transfer_id, CompletePayout(transfer_id=event.transfer_id, payout_id=event.payout_id)),)


def on_payout_refused(event: payout.PayoutRefused, _cause: Cause) -> tuple[Ask, ...]:
    """A definite no needs a person: nothing is refunded by itself."""
    return (_review(event.transfer_id, event.payout_id, f"refused:{event.reason_code}"),)


def on_payout_review_required(event: payout.PayoutReviewRequired, _cause: Cause) -> tuple[Ask, ...]:
    """The payout waits for a person, and so does its transfer."""
    return (_review(event.transfer_id, event.payout_id, event.reason),)


def _review(transfer_id: UUID, payout_id: UUID, reason: str) -> Ask:
    return Ask(transfer_id, RequireReview(transfer_id=transfer_id, payout_id=payout_id, reason=reason))


CONSUMES: Consumes = {
    DepositConfirmed: on_deposit_confirmed,
    payout.PayoutSent: on_payout_sent,
    payout.PayoutUnknown: on_payout_sent,
    payout.PayoutConfirmed: on_payout_confirmed,
    payout.PayoutRefused: on_payout_refused,
    payout.PayoutReviewRequired: on_payout_review_required,
}


def plan(deadlines: Deadlines, event: TransferEvent) -> tuple[SideEffect, ...]:
    """Each event that begins a wait sets the wake that ends it."""
    match event:
        case TransferOpened(funding_deadline=at):
            return _wake("funding_deadline", at, deadlines.expiry_margin_seconds)
        case FundingConfirmed(confirmed_at=at):
            return _wake("payout_overdue", at, deadlines.payout_overdue_seconds)
        case PayoutInitiated(initiated_at=at, rail=rail):
            return _wake("settlement_overdue", at, deadlines.settlement_of(rail))
        case PayoutReviewRequired(required_at=at):
            return _wake("review_overdue", at, deadlines.review_seconds)
        case LateFundingRecorded(recorded_at=at):
            return _wake("late_funding_overdue", at, deadlines.late_funding_seconds)
        case _:
            return ()


def _wake(name: str, at: datetime, seconds: int) -> tuple[SideEffect, ...]:
    return (SideEffect(name, due_at=at + timedelta(seconds=seconds)),)


def wake(name: str, transfer_id: UUID) -> TransferCommand:
    """The command of a due wake."""
    if name == "funding_deadline":
        return ExpireTransfer(transfer_id=transfer_id)
    return ReportOverdue(transfer_id=transfer_id, wake=name)


def transfer_of(event: TransferEvent) -> UUID:
    """What an event belongs to: its transfer."""
    return event.transfer_id


def decider(deadlines: Deadlines) -> Decider[Transfer, TransferCommand, TransferEvent]:
    """The stream of one transfer; stream, key and correlation are its id."""
    return Decider(
        category="transfer",
        decide=decide,
        evolve=evolve,
        commands=COMMANDS,
        events=EVENTS,
        upcasts=UPCASTS,
        stages=STAGES,
        over=(Completed,),
        plan=partial(plan, deadlines),
        correlate=transfer_of,
        wake=wake,
    )
