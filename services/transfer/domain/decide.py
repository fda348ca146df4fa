"""What follows from a wish, a fact or a wake. Pure: no clock, no randomness, no I/O."""

from __future__ import annotations

from datetime import datetime, timedelta
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
from services.transfer.domain.commands import (
    CancelTransfer,
    CompletePayout,
    ConfirmFunding,
    ExpireTransfer,
    IllegalTransition,
    InitiatePayout,
    OpenTransfer,
    QuoteAlreadyUsed,
    QuoteExpired,
    QuoteNotFound,
    ReceiverKycRequired,
    ReceiverNotFound,
    ReportOverdue,
    RequireReview,
    RouteTaken,
    SenderKycRequired,
    SenderNotFound,
    TransferCommand,
    TransferIdReused,
    TransferNotFound,
)
from services.transfer.domain.states import (
    AwaitingFunding,
    Cancelled,
    Completed,
    Expired,
    Funded,
    PayingOut,
    ReviewSent,
    ReviewUnsent,
    Transfer,
    waiting,
)

Events = tuple[TransferEvent, ...]


def decide(transfer: Transfer, command: TransferCommand, at: datetime) -> Events:
    """The events that `command` causes at `at` (the database's time), () when it was already done. Raises Rejected."""
    match command:
        case OpenTransfer():
            return open_transfer(transfer, command, at)
        case CancelTransfer():
            return cancel(transfer, command, at)
        case ConfirmFunding():
            return fund(transfer, command, at)
        case InitiatePayout():
            return initiate(transfer, command, at)
        case CompletePayout():
            return complete(transfer, command, at)
        case RequireReview():
            return require_review(transfer, command, at)
        case ExpireTransfer():
            return expire(transfer, at)
        case ReportOverdue():
            return report_overdue(transfer, command)


def open_transfer(transfer: Transfer, wish: OpenTransfer, at: datetime) -> Events:
    """A quote is used once, while it lives, by its customer, for two people who passed KYC, on a route of its own."""
    if transfer is not None:
        return _opened_before(transfer.opened, wish)
    _refuse_strangers(wish)
    if _taken_by_another(wish, "quote"):
        raise QuoteAlreadyUsed(wish.terms.quote_id)
    if at >= wish.terms.expires_at:
        raise QuoteExpired(wish.terms.quote_id, wish.terms.expires_at.isoformat())
    if wish.sender.kyc != "approved":
        raise SenderKycRequired(wish.sender.profile_id, wish.sender.kyc)
    if wish.receiver.kyc != "approved":
        raise ReceiverKycRequired(wish.receiver.profile_id, wish.receiver.kyc)
    if _taken_by_another(wish, "route"):
        raise RouteTaken(wish.route)
    return (_opened(wish, at),)


def _opened_before(opened: TransferOpened, wish: OpenTransfer) -> Events:
    """Sealed values are left out of the comparison: the same name sealed twice gives two boxes."""
    first = (opened.customer_id, opened.quote_id, opened.sender_id, opened.receiver_id)
    again = (wish.customer_id, wish.terms.quote_id, wish.sender.profile_id, wish.receiver.profile_id)
    if first != again:
        raise TransferIdReused(wish.transfer_id)
    return ()


def _refuse_strangers(wish: OpenTransfer) -> None:
    if wish.terms.customer_id != wish.customer_id:
        raise QuoteNotFound(wish.terms.quote_id)
    if wish.sender.customer_id != wish.customer_id:
        raise SenderNotFound(wish.sender.profile_id)
    if wish.receiver.customer_id != wish.customer_id:
        raise ReceiverNotFound(wish.receiver.profile_id)


def _taken_by_another(wish: OpenTransfer, namespace: str) -> bool:
    owner = wish.seen.owners.get(namespace)
    return owner is not None and owner.stream_id != wish.transfer_id


def _opened(wish: OpenTransfer, at: datetime) -> TransferOpened:
    terms = wish.terms
    return TransferOpened(
        transfer_id=wish.transfer_id,
        customer_id=wish.customer_id,
        quote_id=terms.quote_id,
        corridor=terms.corridor,
        sender_id=wish.sender.profile_id,
        receiver_id=wish.receiver.profile_id,
        route_id=wish.route_id,
        route=wish.route,
        send=terms.send,
        fee=terms.fee,
        spread=terms.spread,
        converted=terms.converted,
        receive=terms.receive,
        rate=terms.rate,
        tolerance=terms.tolerance,
        rail=terms.rail,
        partner=terms.partner,
        creditor_name=wish.creditor_name,
        creditor_account=wish.creditor_account,
        opened_at=at,
        funding_deadline=at + timedelta(seconds=terms.funding_seconds),
    )


def cancel(transfer: Transfer, wish: CancelTransfer, at: datetime) -> Events:
    """Possible until the money is ours to pass on."""
    if transfer is None or transfer.opened.customer_id != wish.customer_id:
        raise TransferNotFound(wish.transfer_id)
    match transfer:
        case Cancelled():
            return ()
        case AwaitingFunding(opened):
            return (
                TransferCancelled(
                    transfer_id=opened.transfer_id, route_id=opened.route_id, reason=wish.reason, cancelled_at=at
                ),
            )
        case _:
            raise IllegalTransition(wish.transfer_id, transfer.state, Cancelled.state)


def fund(transfer: Transfer, fact: ConfirmFunding, at: datetime) -> Events:
    """Money that was confirmed funds the transfer, or stands beside one that has ended."""
    match transfer:
        case None:
            raise AssertionError("money was confirmed for a transfer that was never opened")
        case AwaitingFunding(opened):
            return (_funded(opened, fact, at),)
        case Cancelled(opened=opened, late=None) | Expired(opened=opened, late=None):
            return (
                LateFundingRecorded(
                    transfer_id=opened.transfer_id, route_id=opened.route_id, received=fact.received, recorded_at=at
                ),
            )
        case _:
            return ()


def _funded(opened: TransferOpened, fact: ConfirmFunding, at: datetime) -> FundingConfirmed:
    return FundingConfirmed(
        transfer_id=opened.transfer_id,
        customer_id=opened.customer_id,
        route_id=opened.route_id,
        received=fact.received,
        send=opened.send,
        receive=opened.receive,
        rail=opened.rail,
        partner=opened.partner,
        creditor_name=opened.creditor_name,
        creditor_account=opened.creditor_account,
        confirmed_at=at,
    )


def initiate(transfer: Transfer, fact: InitiatePayout, at: datetime) -> Events:
    """From here on money may have left. Said once for each initiation."""
    match transfer:
        case Funded(opened=opened) | ReviewUnsent(opened=opened):
            return (_initiated(opened, fact.payout_id, at),)
        case PayingOut(payout_id=known) | ReviewSent(payout_id=known) | Completed(payout_id=known):
            assert known == fact.payout_id, "a second payout while the first is outstanding"
            return ()
        case None | AwaitingFunding() | Cancelled() | Expired():
            raise AssertionError("a payout of a transfer that was never funded")


def _initiated(opened: TransferOpened, payout_id: UUID, at: datetime) -> PayoutInitiated:
    return PayoutInitiated(
        transfer_id=opened.transfer_id,
        customer_id=opened.customer_id,
        payout_id=payout_id,
        send=opened.send,
        fee=opened.fee,
        spread=opened.spread,
        converted=opened.converted,
        receive=opened.receive,
        rail=opened.rail,
        rate=opened.rate,
        initiated_at=at,
    )


def complete(transfer: Transfer, fact: CompletePayout, at: datetime) -> Events:
    """The confirmation may be the first that we hear of the payout: then the initiation is said with it."""
    match transfer:
        case Funded(opened=opened) | ReviewUnsent(opened=opened):
            return (_initiated(opened, fact.payout_id, at), _completed(opened, fact.payout_id, at))
        case PayingOut(opened=opened, payout_id=known) | ReviewSent(opened=opened, payout_id=known):
            assert known == fact.payout_id, "another payout was confirmed than the one outstanding"
            return (_completed(opened, fact.payout_id, at),)
        case Completed(payout_id=known):
            assert known == fact.payout_id, "paid twice"
            return ()
        case None | AwaitingFunding() | Cancelled() | Expired():
            raise AssertionError("a payout of a transfer that was never funded")


def _completed(opened: TransferOpened, payout_id: UUID, at: datetime) -> PayoutCompleted:
    return PayoutCompleted(
        transfer_id=opened.transfer_id,
        customer_id=opened.customer_id,
        payout_id=payout_id,
        receive=opened.receive,
        completed_at=at,
    )


def require_review(transfer: Transfer, fact: RequireReview, at: datetime) -> Events:
    """A person is called once. A completed transfer is not taken back by a later word about its payout."""
    match transfer:
        case Funded() | PayingOut():
            return (
                PayoutReviewRequired(
                    transfer_id=fact.transfer_id, payout_id=fact.payout_id, reason=fact.reason, required_at=at
                ),
            )
        case ReviewUnsent() | ReviewSent() | Completed():
            return ()
        case None | AwaitingFunding() | Cancelled() | Expired():
            raise AssertionError("a payout of a transfer that was never funded")


def expire(transfer: Transfer, at: datetime) -> Events:
    """Over, unless money came, or the customer withdrew, or the wake was early."""
    if isinstance(transfer, AwaitingFunding) and at >= transfer.opened.funding_deadline:
        opened = transfer.opened
        return (TransferExpired(transfer_id=opened.transfer_id, route_id=opened.route_id, expired_at=at),)
    return ()


def report_overdue(transfer: Transfer, wake: ReportOverdue) -> Events:
    """Call a person for the wait that the wake looks after; a wait that is over says nothing.

    The time is not judged again: after a deadline was made longer, the wakes already set would find themselves early,
    say nothing, and nobody would be called at all.
    """
    wait = waiting(transfer)
    if transfer is None or wait is None or wait.wake != wake.wake:
        return ()
    overdue = TransferOverdue(
        transfer_id=wake.transfer_id, state=transfer.state, since=wait.since, queue=wait.queue, amount=wait.amount
    )
    return (overdue,)
