"""A transfer of the worked example: 100.00 GBP in, 20,000.00 ETB out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from contracts.deposit.routes import route_id, route_reference
from contracts.transfer.v1 import (
    FundingConfirmed,
    LateFundingRecorded,
    PayoutCompleted,
    PayoutInitiated,
    PayoutReviewRequired,
    TransferCancelled,
    TransferExpired,
    TransferOpened,
    TransferOverdue,
)
from services.kernel.decider import Cause
from services.kernel.money import Money, Rate, RateText, iso4217
from services.kernel.sealed import Sealed
from services.transfer.domain.commands import (
    CancelTransfer,
    CompletePayout,
    ConfirmFunding,
    ExpireTransfer,
    InitiatePayout,
    OpenTransfer,
    Party,
    ReportOverdue,
    RequireReview,
    Terms,
)

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
GBP, ETB = iso4217("GBP"), iso4217("ETB")
TRANSFER_ID, CUSTOMER_ID, QUOTE_ID, SENDER_ID, RECEIVER_ID, PAYOUT_ID, OTHER_ID = (
    UUID(int=number) for number in range(101, 108)
)
ROUTE = route_reference(TRANSFER_ID)
ROUTE_ID = route_id("main", ROUTE)
NAME, ACCOUNT = Sealed(RECEIVER_ID, 1, "bmFtZQ=="), Sealed(RECEIVER_ID, 1, "YWNjb3VudA==")

TERMS = Terms(
    quote_id=QUOTE_ID,
    customer_id=CUSTOMER_ID,
    corridor="GB-ET",
    send=Money(100_00, GBP),
    fee=Money(2_00, GBP),
    spread=Money(50, GBP),
    converted=Money(97_50, GBP),
    receive=Money(20_000_00, ETB),
    rate=Rate(GBP, ETB, RateText("205.128206"), "treasury", AT),
    tolerance=Money(50, GBP),
    rail="bank",
    partner="sandbox-bank",
    funding_seconds=3_600,
    expires_at=AT + timedelta(seconds=90),
)
SENDER = Party(profile_id=SENDER_ID, customer_id=CUSTOMER_ID, kyc="approved")
RECEIVER = Party(profile_id=RECEIVER_ID, customer_id=CUSTOMER_ID, kyc="approved")

OPEN = OpenTransfer(
    transfer_id=TRANSFER_ID,
    customer_id=CUSTOMER_ID,
    terms=TERMS,
    sender=SENDER,
    receiver=RECEIVER,
    route=ROUTE,
    route_id=ROUTE_ID,
    creditor_name=NAME,
    creditor_account=ACCOUNT,
)
CANCEL = CancelTransfer(transfer_id=TRANSFER_ID, customer_id=CUSTOMER_ID, reason="changed my mind")
FUND = ConfirmFunding(transfer_id=TRANSFER_ID, received=Money(100_20, GBP))
INITIATE = InitiatePayout(transfer_id=TRANSFER_ID, payout_id=PAYOUT_ID)
COMPLETE = CompletePayout(transfer_id=TRANSFER_ID, payout_id=PAYOUT_ID)
REVIEW = RequireReview(transfer_id=TRANSFER_ID, payout_id=PAYOUT_ID, reason="refused:AC01")
EXPIRE = ExpireTransfer(transfer_id=TRANSFER_ID)
WAKES = ("payout_overdue", "settlement_overdue", "review_overdue", "late_funding_overdue")
COMMANDS = (
    OPEN,
    CANCEL,
    FUND,
    INITIATE,
    COMPLETE,
    REVIEW,
    EXPIRE,
    *(ReportOverdue(transfer_id=TRANSFER_ID, wake=name) for name in WAKES),
)

OPENED = TransferOpened(
    transfer_id=TRANSFER_ID,
    customer_id=CUSTOMER_ID,
    quote_id=QUOTE_ID,
    corridor="GB-ET",
    sender_id=SENDER_ID,
    receiver_id=RECEIVER_ID,
    route_id=ROUTE_ID,
    route=ROUTE,
    send=TERMS.send,
    fee=TERMS.fee,
    spread=TERMS.spread,
    converted=TERMS.converted,
    receive=TERMS.receive,
    rate=TERMS.rate,
    tolerance=TERMS.tolerance,
    rail="bank",
    partner="sandbox-bank",
    creditor_name=NAME,
    creditor_account=ACCOUNT,
    opened_at=AT,
    funding_deadline=AT + timedelta(seconds=3_600),
)
CANCELLED = TransferCancelled(transfer_id=TRANSFER_ID, route_id=ROUTE_ID, reason="changed my mind", cancelled_at=AT)
EXPIRED = TransferExpired(transfer_id=TRANSFER_ID, route_id=ROUTE_ID, expired_at=OPENED.funding_deadline)
FUNDED = FundingConfirmed(
    transfer_id=TRANSFER_ID,
    customer_id=CUSTOMER_ID,
    route_id=ROUTE_ID,
    received=Money(100_20, GBP),
    send=TERMS.send,
    receive=TERMS.receive,
    rail="bank",
    partner="sandbox-bank",
    creditor_name=NAME,
    creditor_account=ACCOUNT,
    confirmed_at=AT,
)
LATE = LateFundingRecorded(transfer_id=TRANSFER_ID, route_id=ROUTE_ID, received=Money(100_20, GBP), recorded_at=AT)
INITIATED = PayoutInitiated(
    transfer_id=TRANSFER_ID,
    customer_id=CUSTOMER_ID,
    payout_id=PAYOUT_ID,
    send=TERMS.send,
    fee=TERMS.fee,
    spread=TERMS.spread,
    converted=TERMS.converted,
    receive=TERMS.receive,
    initiated_at=AT,
    rail="bank",
    rate=TERMS.rate,
)
REVIEWED = PayoutReviewRequired(transfer_id=TRANSFER_ID, payout_id=PAYOUT_ID, reason="refused:AC01", required_at=AT)
COMPLETED = PayoutCompleted(
    transfer_id=TRANSFER_ID, customer_id=CUSTOMER_ID, payout_id=PAYOUT_ID, receive=TERMS.receive, completed_at=AT
)
OVERDUE = TransferOverdue(
    transfer_id=TRANSFER_ID, state="FUNDING_CONFIRMED", since=AT, queue="payout", amount=FUNDED.received
)

AWAITING = (OPENED,)
PAID_IN = (OPENED, FUNDED)
PAYING = (OPENED, FUNDED, INITIATED)
UNSENT = (OPENED, FUNDED, REVIEWED)
SENT = (OPENED, FUNDED, INITIATED, REVIEWED)
DONE = (OPENED, FUNDED, INITIATED, COMPLETED)
WITHDRAWN = (OPENED, CANCELLED)
OVER = (OPENED, EXPIRED)
WITHDRAWN_PAID = (OPENED, CANCELLED, LATE)
OVER_PAID = (OPENED, EXPIRED, LATE)
STREAMS = ((), AWAITING, PAID_IN, PAYING, UNSENT, SENT, DONE, WITHDRAWN, OVER, WITHDRAWN_PAID, OVER_PAID)

CAUSE = Cause(
    event_id=UUID(int=900),
    event_type="corridor.test.happened.v1",
    stream_id=UUID(int=901),
    version=1,
    tenant="main",
    correlation_id=TRANSFER_ID,
    occurred_at=AT,
)
