"""One example of each event, by hand: a transfer of 100.00 GBP to 19,999.53 ETB, and what can go wrong with it.

Ids and times are fixed, derived ids are derived as the services do it, so a change of either is seen here. The numbers:
100.00 GBP - 2.00 fee - 0.50 spread = 97.50 GBP; at 205.1234 that is 19,999.5315 ETB, rounded down.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from contracts.customer.v1 import (
    KycDecided,
    MaintenanceEnded,
    MaintenanceStarted,
    ProfileCreated,
    SessionEnded,
    SessionOpened,
    SessionRefreshed,
    UserRegistered,
)
from contracts.deposit.routes import route_id, route_reference
from contracts.deposit.v1 import (
    DepositConfirmed,
    DepositExpected,
    DepositMismatched,
    DepositObserved,
    DepositReferenceMismatched,
    DepositRouteClosed,
)
from contracts.ledger.v1 import EntryPosted, Posting
from contracts.payout.v1 import (
    PayoutApproved,
    PayoutConfirmed,
    PayoutContradicted,
    PayoutDeferred,
    PayoutNotKnownToPartner,
    PayoutOverdue,
    PayoutRefused,
    PayoutRequested,
    PayoutSent,
    PayoutSubmitting,
    PayoutUnknown,
)
from contracts.payout.v1 import PayoutReviewRequired as PayoutNeedsReview
from contracts.quote.v1 import QuoteAccepted, QuoteCreated, QuoteExpired
from contracts.recon.v1 import (
    CodeCount,
    IssueCleared,
    IssueOpened,
    LineDetail,
    RunCompleted,
    RunFailed,
    RunRefused,
    RunStarted,
    StatementBalance,
    StatementCompleted,
    StatementLineParked,
    StatementLineRecorded,
    StatementReceived,
    Total,
)
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
from scripts.contracts import golden_ledger
from services.kernel.ids import derive
from services.kernel.money import Money, Rate, RateText, iso4217
from services.kernel.sealed import Sealed

TENANT = "corridor"
AT = datetime(2026, 3, 2, 9, 30, 0, 125_000, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)

CUSTOMER = UUID("0195560f-2f3a-7c41-9d2e-5b7f0a8c1e01")
SENDER = UUID("0195560f-2f3a-7c41-9d2e-5b7f0a8c1e02")
RECEIVER = UUID("0195560f-2f3a-7c41-9d2e-5b7f0a8c1e03")
SESSION = UUID("0195560f-2f3a-7c41-9d2e-5b7f0a8c1e0a")
ADMIN = UUID("0195560f-2f3a-7c41-9d2e-5b7f0a8c1e0b")
MAINTENANCE = derive("maintenance", TENANT)
QUOTE = UUID("6b1de7a2-4f0c-5d0e-8a55-3d1c6f8b9a10")
TRANSFER = UUID("9f3b2c64-0d1e-5b8a-b3b7-2f4a6c8e0d11")
ARRIVAL = UUID("01955612-71aa-7e0b-8c1d-4e5f60718293")
ARRIVAL_AGAIN = UUID("01955612-8f10-7a2c-9b3e-5f6071829304")
OBSERVED_EVENT = UUID("01955612-71c4-7d55-a0f3-9182a3b4c5d6")
ROUTE = route_reference(TRANSFER)
ROUTE_ID = route_id(TENANT, ROUTE)
OTHER_ROUTE_ID = route_id(TENANT, route_reference(UUID("9f3b2c64-0d1e-5b8a-b3b7-2f4a6c8e0d12")))
PAYOUT = derive("payout", TRANSFER, 1)
PARTNER = "sandbox-bank"
REFERENCE = "FPS-20260302-0091847"
BANK_REFERENCE = "DASH2603020417"

GBP, ETB = iso4217("GBP"), iso4217("ETB")
SEND, FEE, SPREAD, CONVERTED = Money(100_00, GBP), Money(2_00, GBP), Money(50, GBP), Money(97_50, GBP)
RECEIVE, TOLERANCE = Money(19_999_53, ETB), Money(50, GBP)
RATE = Rate(GBP, ETB, RateText("205.1234"), "sandbox-rates", AT - 4 * SECOND)
TERMS: dict[str, Any] = {
    "send": SEND, "fee": FEE, "spread": SPREAD, "converted": CONVERTED, "receive": RECEIVE,
}  # fmt: skip
NAME = Sealed(RECEIVER, 1, "1mUrkJ0eZ8u3nKbhXJ7S0c9Vd2T4qLhWJv5m8Q1xYw9zR3aGk7o=")
ACCOUNT = Sealed(RECEIVER, 1, "Qb0TzV6yUuW2fS8eJc5mXo1hPq7Lr9KdNa3Gt4BvE8wYzHs6iA==")
CREDITOR: dict[str, Any] = {"creditor_name": NAME, "creditor_account": ACCOUNT}
PAID: dict[str, Any] = {"payout_id": PAYOUT, "transfer_id": TRANSFER}

OPENED_AT, FUNDED_AT = AT + 20 * SECOND, AT + 300 * SECOND
REQUESTED_AT = FUNDED_AT + SECOND

CUSTOMER_EVENTS = (
    UserRegistered(
        user_id=CUSTOMER,
        roles=("customer",),
        login_digest="3f0b6f3f6a9c41f5a8a0c0f7d2f3a1f07c1d8d2b5e2d6f5b1a9e4c7d8f0a1b2c",
        password=Sealed(CUSTOMER, 1, "yK4mB1tQ8sV3nF6xR0cZ7dL2hJ9gW5aP/eUoIiTqXvMbNsE="),
        registered_at=AT - 30 * DAY,
    ),
    ProfileCreated(
        profile_id=RECEIVER, customer_id=CUSTOMER, kind="receiver", country="ET", name=NAME, account=ACCOUNT,
        created_at=AT - 29 * DAY,
    ),
    KycDecided(profile_id=RECEIVER, customer_id=CUSTOMER, verdict="approved", decided_at=AT - 28 * DAY),
    SessionOpened(
        session_id=SESSION, user_id=CUSTOMER, family_digest="5d" * 32, refresh_digest="a1" * 32,
        opened_at=AT - HOUR, expires_at=AT - HOUR + 30 * DAY,
    ),
    SessionRefreshed(session_id=SESSION, user_id=CUSTOMER, refresh_digest="b2" * 32, refreshed_at=AT),
    SessionEnded(session_id=SESSION, user_id=CUSTOMER, cause="logged_out", ended_at=AT + DAY),
    MaintenanceStarted(
        maintenance_id=MAINTENANCE, started_by=ADMIN, reason="database upgrade", started_at=AT + 2 * DAY
    ),
    MaintenanceEnded(
        maintenance_id=MAINTENANCE, ended_by=ADMIN, reason="upgrade done", ended_at=AT + 2 * DAY + HOUR
    ),
)  # fmt: skip
QUOTE_EVENTS = (
    QuoteCreated(
        quote_id=QUOTE, customer_id=CUSTOMER, corridor="GB-ET", corridor_version=1, **TERMS, rate=RATE,
        tolerance=TOLERANCE, rail="bank", partner=PARTNER, funding_seconds=86_400,
        created_at=AT, expires_at=AT + 90 * SECOND,
    ),
    QuoteAccepted(quote_id=QUOTE, transfer_id=TRANSFER, accepted_at=OPENED_AT),
    QuoteExpired(quote_id=QUOTE, expired_at=AT + 150 * SECOND),
)  # fmt: skip
TRANSFER_EVENTS = (
    TransferOpened(
        transfer_id=TRANSFER, customer_id=CUSTOMER, quote_id=QUOTE, corridor="GB-ET", sender_id=SENDER,
        receiver_id=RECEIVER, route_id=ROUTE_ID, route=ROUTE, **TERMS, rate=RATE, tolerance=TOLERANCE, rail="bank",
        partner=PARTNER, **CREDITOR, opened_at=OPENED_AT, funding_deadline=OPENED_AT + DAY,
    ),
    TransferCancelled(
        transfer_id=TRANSFER, route_id=ROUTE_ID, reason="customer changed their mind", cancelled_at=AT + HOUR
    ),
    TransferExpired(transfer_id=TRANSFER, route_id=ROUTE_ID, expired_at=OPENED_AT + DAY + 60 * SECOND),
    FundingConfirmed(
        transfer_id=TRANSFER, customer_id=CUSTOMER, route_id=ROUTE_ID, received=SEND, send=SEND, receive=RECEIVE,
        rail="bank", partner=PARTNER, **CREDITOR, confirmed_at=FUNDED_AT,
    ),
    LateFundingRecorded(
        transfer_id=TRANSFER, route_id=ROUTE_ID, received=SEND, recorded_at=OPENED_AT + DAY + 2 * HOUR
    ),
    PayoutInitiated(
        transfer_id=TRANSFER, customer_id=CUSTOMER, payout_id=PAYOUT, **TERMS, initiated_at=REQUESTED_AT + 2 * SECOND,
        rail="bank", rate=RATE,
    ),
    PayoutReviewRequired(**PAID, reason="outcome unknown", required_at=REQUESTED_AT + HOUR),
    PayoutCompleted(
        **PAID, customer_id=CUSTOMER, receive=RECEIVE, completed_at=REQUESTED_AT + 2 * HOUR, late_confirmation=False
    ),
    TransferOverdue(transfer_id=TRANSFER, state="FUNDING_CONFIRMED", since=FUNDED_AT, queue="payout", amount=SEND),
)  # fmt: skip
DEPOSIT_EVENTS = (
    DepositExpected(
        route_id=ROUTE_ID, route=ROUTE, transfer_id=TRANSFER, customer_id=CUSTOMER, amount=SEND, tolerance=TOLERANCE,
        deadline=OPENED_AT + DAY, expected_at=OPENED_AT + SECOND,
    ),
    DepositObserved(
        route_id=ROUTE_ID, route=ROUTE, transfer_id=TRANSFER, arrival_id=ARRIVAL, partner=PARTNER, reference=REFERENCE,
        amount=SEND, booked_at=FUNDED_AT - 3 * SECOND, observed_at=FUNDED_AT - SECOND,
    ),
    DepositConfirmed(
        route_id=ROUTE_ID, transfer_id=TRANSFER, amount=SEND, expected=SEND, arrivals=(ARRIVAL,),
        confirmed_at=FUNDED_AT - SECOND,
    ),
    DepositMismatched(
        route_id=ROUTE_ID, transfer_id=TRANSFER, reason="short", amount=Money(90_00, GBP), expected=SEND,
        arrivals=(ARRIVAL,), mismatched_at=FUNDED_AT - SECOND,
    ),
    DepositReferenceMismatched(
        route_id=ROUTE_ID, arrival_id=ARRIVAL_AGAIN, partner=PARTNER, reference=REFERENCE,
        first_route_id=OTHER_ROUTE_ID, mismatched_at=FUNDED_AT,
    ),
    DepositRouteClosed(route_id=ROUTE_ID, transfer_id=TRANSFER, closed_at=REQUESTED_AT + 2 * HOUR),
)  # fmt: skip
PAYOUT_EVENTS = (
    PayoutRequested(
        **PAID, customer_id=CUSTOMER, n=1, amount=RECEIVE, rail="bank", partner=PARTNER, **CREDITOR,
        requested_at=REQUESTED_AT, deadline=REQUESTED_AT + HOUR, send_currency=GBP,
    ),
    PayoutApproved(
        **PAID, approved_by="rule:auto", approved_at=REQUESTED_AT, deadline=REQUESTED_AT + 4 * HOUR
    ),
    PayoutSubmitting(
        **PAID, attempt=1, lease_until=REQUESTED_AT + 61 * SECOND, submitting_at=REQUESTED_AT + SECOND
    ),
    PayoutSent(
        **PAID, amount=RECEIVE, partner=PARTNER, partner_status="ACSP", partner_reference=BANK_REFERENCE,
        sent_at=REQUESTED_AT + 2 * SECOND, deadline=REQUESTED_AT + DAY + 2 * SECOND,
    ),
    PayoutDeferred(
        **PAID, attempts=1, reason="HTTP 429", next_retry_at=REQUESTED_AT + 7 * SECOND,
        deferred_at=REQUESTED_AT + 2 * SECOND, unsent=False,
    ),
    PayoutRefused(**PAID, reason_code="AC04", refused_at=REQUESTED_AT + 2 * SECOND, amount=RECEIVE),
    PayoutUnknown(
        **PAID, amount=RECEIVE, partner=PARTNER, reason="no answer", unknown_at=REQUESTED_AT + 21 * SECOND,
        deadline=REQUESTED_AT + HOUR + 21 * SECOND,
    ),
    PayoutNotKnownToPartner(
        **PAID, asked_at=REQUESTED_AT + 60 * SECOND, deadline=REQUESTED_AT + 4 * HOUR + 61 * SECOND
    ),
    PayoutConfirmed(
        **PAID, customer_id=CUSTOMER, amount=RECEIVE, partner=PARTNER, partner_reference=BANK_REFERENCE,
        settled_at=REQUESTED_AT + 2 * HOUR - 4 * SECOND, confirmed_at=REQUESTED_AT + 2 * HOUR - SECOND,
    ),
    PayoutNeedsReview(**PAID, reason="outcome unknown", required_at=REQUESTED_AT + HOUR, amount=RECEIVE),
    PayoutContradicted(
        **PAID, said="RJCT AC04", state="CONFIRMED", contradicted_at=REQUESTED_AT + 3 * HOUR, amount=RECEIVE
    ),
    PayoutOverdue(**PAID, state="REQUESTED", since=REQUESTED_AT, queue="payout-approval", amount=RECEIVE),
)  # fmt: skip
LEDGER_EVENTS = (
    EntryPosted(
        entry_id=derive("entry", OBSERVED_EVENT, "deposit.observed"),
        kind="deposit.observed",
        cause_id=OBSERVED_EVENT,
        transfer_id=TRANSFER,
        lines=(
            Posting(account=f"safeguarding:{PARTNER}:GBP", side="debit", amount=SEND),
            Posting(account="suspense:deposits:GBP", side="credit", amount=SEND),
        ),
        caused_at=FUNDED_AT - SECOND,
        posted_at=FUNDED_AT,
    ),
    *golden_ledger.EVENTS,
)
RUN, OTHER_RUN = UUID("01955680-1c2d-7e3f-8a4b-5c6d7e8f9a01"), UUID("01955680-1c2d-7e3f-8a4b-5c6d7e8f9a02")
RUN_AT = AT + DAY
DIFFERENCE: dict[str, Any] = {
    "code": "LEDGER_SETTLEMENT_DIFFERS", "transfer_id": TRANSFER,
    "issue_id": derive("recon-issue", "LEDGER_SETTLEMENT_DIFFERS", TRANSFER),
}  # fmt: skip
STATEMENT_ACCOUNT, STATEMENT_DAY = "GB33BUKB20201555555555", date(2026, 3, 2)
STATEMENT = derive("statement", TENANT, PARTNER, "statement", STATEMENT_ACCOUNT, "STM-2026-061")
LINE = derive("statement-line", STATEMENT, REFERENCE)
PARKED_LINE = derive("statement-parked-line", STATEMENT, "/Document/*/Stmt[1]/Ntry[2]", "9c")
TOLD: dict[str, Any] = {"partner": PARTNER, "account": STATEMENT_ACCOUNT, "statement_id": STATEMENT}
RECON_EVENTS = (
    RunStarted(
        run_id=RUN, trigger="request", requested_by="0195560f-2f3a-7c41-9d2e-5b7f0a8c1e09",
        reason="daily reconciliation", started_at=RUN_AT,
    ),
    RunRefused(
        run_id=OTHER_RUN, requested_by="0195560f-2f3a-7c41-9d2e-5b7f0a8c1e09", reason="daily reconciliation",
        code="RUN_UNDER_WAY", refused_at=RUN_AT + SECOND,
    ),
    RunCompleted(
        run_id=RUN, watermark=RUN_AT, transfers=1_024, not_judged=3, issues_opened=1, issues_cleared=0, issues_open=1,
        issues_by_code=(CodeCount(code="LEDGER_SETTLEMENT_DIFFERS", count=1),),
        totals=(
            Total(name="deposits", currency="GBP", expected_minor=102_400_00, actual_minor=102_400_00),
            Total(name="settlements", currency="ETB", expected_minor=20_479_518_72, actual_minor=20_477_518_72),
        ),
        completed_at=RUN_AT + 4 * SECOND,
    ),
    RunFailed(run_id=OTHER_RUN, failure="BookUnavailable: HTTP 503", failed_at=RUN_AT + 300 * SECOND),
    IssueOpened(
        **DIFFERENCE, run_id=RUN, subject=str(TRANSFER), currency="ETB", expected_minor=RECEIVE.minor, actual_minor=0,
        details="payout.confirmed: partner_float:sandbox-bank:ETB -1999953 expected, 0 booked", opened_at=RUN_AT,
    ),
    IssueCleared(**DIFFERENCE, run_id=OTHER_RUN, cleared_at=RUN_AT + 300 * SECOND),
    StatementReceived(
        **TOLD, head=1, ledger_account=f"safeguarding:{PARTNER}:GBP", reference="STM-2026-061", kind="statement",
        source="camt053", message="camt.053.001.08", file_sha256="5d" * 32, currency="GBP", sequence=61,
        period_from=STATEMENT_DAY, period_to=STATEMENT_DAY,
        opening=StatementBalance(side="credit", amount=Money(0, GBP)),
        closing=StatementBalance(side="credit", amount=Money(100_00, GBP)), lines=1, bad_lines=1, not_booked=0,
        received_at=RUN_AT,
    ),
    StatementCompleted(
        statement_id=STATEMENT, delivery=1, file_sha256="5d" * 32, lines=1, repeated=0, parked=1, not_booked=0,
        credits_minor=100_00, debits_minor=0, difference_minor=0, completed_at=RUN_AT + SECOND,
    ),
    StatementLineRecorded(
        **TOLD, line_id=LINE, entry_reference=REFERENCE, reference_by="servicer",
        position="/Document/*/Stmt[1]/Ntry[1]", booking_date=STATEMENT_DAY, value_date=STATEMENT_DAY, amount=SEND,
        side="credit", reversal=False, bank_transaction_code="PMNT/RCDT/ESCT", end_to_end_id="INV-4711",
        our_reference=ROUTE, references=("FPS0091847",), charges=Money(0, GBP),
        details=(LineDetail(end_to_end_id="INV-4711", our_reference=ROUTE, amount=SEND),), details_left_out=0,
        recorded_at=RUN_AT,
    ),
    StatementLineParked(
        statement_id=STATEMENT, parked_id=derive("parked-line", PARKED_LINE, "9c"), line_id=PARKED_LINE,
        position="/Document/*/Stmt[1]/Ntry[2]", entry_reference="FPS-20260302-0091848", code="AMOUNT_INVALID",
        reason="1.005 has 3 decimals and GBP has 2", raw='<Amt Ccy="GBP">1.005</Amt>', parked_at=RUN_AT,
    ),
)  # fmt: skip
EVENTS: tuple[Any, ...] = (
    *CUSTOMER_EVENTS, *QUOTE_EVENTS, *TRANSFER_EVENTS, *DEPOSIT_EVENTS, *PAYOUT_EVENTS, *LEDGER_EVENTS,
    *RECON_EVENTS,
)  # fmt: skip
BY_CLASS: dict[type, Any] = {type(event): event for event in EVENTS}
PARTNER_DEPOSIT = {  # what a partner puts on partner.deposits.v1, or posts to /v1/webhooks/deposit
    "reference": REFERENCE,
    "route": ROUTE,
    "amount_minor": SEND.minor,
    "currency": "GBP",
    "booked_at": (FUNDED_AT - 3 * SECOND).isoformat(),
}
