"""What may be asked of a transfer, and why it may be refused. Wishes can be refused, facts and wakes cannot."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from services.kernel.decider import NOTHING_SEEN, Seen
from services.kernel.money import Money, Rate
from services.kernel.rejected import NotFound, Rejected
from services.kernel.sealed import Sealed
from services.kernel.value import value


class TransferNotFound(NotFound):
    """There is no such transfer, or it belongs to somebody else."""


class TransferIdReused(Rejected):
    """This transfer id was used before, for another quote or other people."""


class QuoteNotFound(NotFound):
    """There is no such quote, or it belongs to somebody else."""


class SenderNotFound(NotFound):
    """There is no such sender, or it belongs to somebody else."""


class ReceiverNotFound(NotFound):
    """There is no such receiver, or it belongs to somebody else."""


class QuoteAlreadyUsed(Rejected):
    """Another transfer has this quote."""

    code = "QUOTE_USED"


class QuoteExpired(Rejected):
    """The quote is dead; ask for a new one."""


class SenderKycRequired(Rejected):
    """The sender has not passed KYC."""


class ReceiverKycRequired(Rejected):
    """The receiver has not passed KYC."""


class RouteTaken(Rejected):
    """Another transfer has this deposit route."""


class IllegalTransition(Rejected):
    """The transfer has gone too far, or is over."""


@value(kw_only=True)
class Terms:
    """What the quote promises, as the transfer relies on it."""

    quote_id: UUID
    customer_id: UUID
    corridor: str
    send: Money
    fee: Money
    spread: Money
    converted: Money
    receive: Money
    rate: Rate
    tolerance: Money
    rail: str
    partner: str
    funding_seconds: int
    expires_at: datetime  # the first instant at which the quote is dead


@value(kw_only=True)
class Party:
    """A sender or receiver as the server knows them; never as the client says."""

    profile_id: UUID
    customer_id: UUID
    kyc: Literal["pending", "approved", "rejected"]


@value(kw_only=True)
class OpenTransfer:
    """A customer takes a quote. Claims the quote and the route."""

    transfer_id: UUID
    customer_id: UUID
    terms: Terms
    sender: Party
    receiver: Party
    route: str  # `route_reference(transfer_id)`
    route_id: UUID
    creditor_name: Sealed
    creditor_account: Sealed
    seen: Seen = NOTHING_SEEN


@value(kw_only=True)
class CancelTransfer:
    """The customer withdraws before paying in."""

    transfer_id: UUID
    customer_id: UUID
    reason: str


@value(kw_only=True)
class ConfirmFunding:
    """A fact: the deposit was confirmed."""

    transfer_id: UUID
    received: Money


@value(kw_only=True)
class InitiatePayout:
    """A fact: the payout was sent, or nobody knows whether it was. Money may have left."""

    transfer_id: UUID
    payout_id: UUID


@value(kw_only=True)
class CompletePayout:
    """A fact: the creditor has the money."""

    transfer_id: UUID
    payout_id: UUID


@value(kw_only=True)
class RequireReview:
    """A fact: the payout goes no further without a person."""

    transfer_id: UUID
    payout_id: UUID
    reason: str


@value(kw_only=True)
class ExpireTransfer:
    """A wake: the funding deadline is over."""

    transfer_id: UUID


@value(kw_only=True)
class ReportOverdue:
    """A wake: the wait of that name (`states.Waiting.wake`) may have lasted too long."""

    transfer_id: UUID
    wake: str


TransferCommand = (
    OpenTransfer
    | CancelTransfer
    | ConfirmFunding
    | InitiatePayout
    | CompletePayout
    | RequireReview
    | ExpireTransfer
    | ReportOverdue
)
COMMANDS = (
    OpenTransfer,
    CancelTransfer,
    ConfirmFunding,
    InitiatePayout,
    CompletePayout,
    RequireReview,
    ExpireTransfer,
    ReportOverdue,
)
