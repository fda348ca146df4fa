"""A payout of 20,000.00 ETB, its events and what may be said to it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import services.payout_orchestrator.domain.commands as c
from contracts.payout.v1 import (
    PayoutApproved,
    PayoutConfirmed,
    PayoutContradicted,
    PayoutDeferred,
    PayoutNotKnownToPartner,
    PayoutOverdue,
    PayoutRefused,
    PayoutRequested,
    PayoutReviewRequired,
    PayoutSent,
    PayoutSubmitting,
    PayoutUnknown,
)
from services.kernel.money import Money, iso4217
from services.kernel.sealed import Sealed
from services.payout_orchestrator.domain.policy import Deadlines, rules
from services.payout_orchestrator.handlers import decider
from tests.support.spec import Spec

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMITS = Deadlines()
SECOND = timedelta(seconds=1)
TICK = timedelta(microseconds=1)
ETB = iso4217("ETB")
AMOUNT = Money(2_000_000, ETB)
PAYOUT, TRANSFER, CUSTOMER = UUID(int=1), UUID(int=2), UUID(int=3)
IDS: dict[str, Any] = {"payout_id": PAYOUT, "transfer_id": TRANSFER}
SPEC = Spec(decider(rules({"ETB": 2_000_000}), LIMITS), AT)
given = SPEC.given

NAME, ACCOUNT = Sealed(CUSTOMER, 1, "name"), Sealed(CUSTOMER, 1, "account")
REQUEST = c.RequestPayout(
    payout_id=PAYOUT, transfer_id=TRANSFER, customer_id=CUSTOMER, n=1, amount=AMOUNT, rail="bank", partner="dashen",
    creditor_name=NAME, creditor_account=ACCOUNT,
)  # fmt: skip
REQUESTED = PayoutRequested(
    payout_id=PAYOUT, transfer_id=TRANSFER, customer_id=CUSTOMER, n=1, amount=AMOUNT, rail="bank", partner="dashen",
    creditor_name=NAME, creditor_account=ACCOUNT, requested_at=AT,
)  # fmt: skip
APPROVED = PayoutApproved(**IDS, approved_by="rule:auto", approved_at=AT, deadline=AT + LIMITS.submission)
SUBMITTING = PayoutSubmitting(**IDS, attempt=1, lease_until=AT + LIMITS.lease, submitting_at=AT)
SENT = PayoutSent(
    **IDS, amount=AMOUNT, partner="dashen", partner_status="ACSP", partner_reference="B-1", sent_at=AT,
    deadline=AT + LIMITS.settlement,
)  # fmt: skip
UNKNOWN = PayoutUnknown(
    **IDS, amount=AMOUNT, partner="dashen", reason="no answer", unknown_at=AT, deadline=AT + LIMITS.unknown_deadline,
)  # fmt: skip
DEFERRED = PayoutDeferred(**IDS, attempts=1, reason="HTTP 429", next_retry_at=AT + 5 * SECOND, deferred_at=AT)
UNSENT = replace(DEFERRED, reason="not connected", unsent=True)
NOT_KNOWN = PayoutNotKnownToPartner(
    **IDS, asked_at=AT + LIMITS.settling_delay, deadline=AT + LIMITS.submission,
)  # fmt: skip
REFUSED = PayoutRefused(**IDS, reason_code="AC04", refused_at=AT, amount=AMOUNT)
CONFIRMED = PayoutConfirmed(
    **IDS,
    customer_id=CUSTOMER,
    amount=AMOUNT,
    partner="dashen",
    partner_reference="B-1",
    settled_at=AT,
    confirmed_at=AT,
)

BY_HAND = replace(REQUESTED, deadline=AT + LIMITS.approval)
WAITING = (BY_HAND,)
READY = (REQUESTED, APPROVED)
OUT = (*READY, SUBMITTING)
ACCEPTED = (*OUT, SENT)
LOST = (*OUT, UNKNOWN)
DEFERRED_ONCE = (*OUT, DEFERRED)
REFUSED_ONCE = (*OUT, REFUSED)
REVIEWED = (*LOST, PayoutReviewRequired(**IDS, reason="outcome unknown", required_at=AT, amount=AMOUNT))
DONE = (*ACCEPTED, CONFIRMED)

BEGIN = c.BeginSubmit(payout_id=PAYOUT)
ACCEPT = c.RecordSent(payout_id=PAYOUT, partner_status="ACSP", partner_reference="B-1")
PENDING = c.RecordPending(payout_id=PAYOUT, partner_status="ACSP", partner_reference="B-1")
DEFER = c.RecordDeferred(payout_id=PAYOUT, attempt=1, reason="HTTP 429")
NOT_SENT = replace(DEFER, reason="not connected", unsent=True)
REFUSE = c.RecordRefused(payout_id=PAYOUT, reason_code="AC04", attempt=1)
REFUSE_LATER = replace(REFUSE, attempt=None)
LOSE = c.RecordUnknown(payout_id=PAYOUT, reason="no answer", attempt=1)
UNREADABLE = replace(LOSE, attempt=None)
DENY = c.RecordNotKnown(payout_id=PAYOUT, asked_at=AT + LIMITS.settling_delay)
CONFIRM = c.ConfirmPayout(payout_id=PAYOUT, amount=AMOUNT, partner_reference="B-1", settled_at=AT)
OTHER_AMOUNT = replace(CONFIRM, amount=Money(1_999_999, ETB))


def review(reason: str, at: datetime = AT) -> PayoutReviewRequired:
    return PayoutReviewRequired(**IDS, reason=reason, required_at=at, amount=AMOUNT)


def contradiction(said: str, state: str) -> PayoutContradicted:
    return PayoutContradicted(**IDS, said=said, state=state, contradicted_at=AT, amount=AMOUNT)


def submitting(attempt: int) -> PayoutSubmitting:
    return replace(SUBMITTING, attempt=attempt)


def unknown_at(at: datetime, reason: str = "no answer") -> PayoutUnknown:
    return replace(UNKNOWN, reason=reason, unknown_at=at, deadline=at + LIMITS.unknown_deadline)


def unsent(times: int) -> tuple[object, ...]:
    """Approved, and so many attempts of which no request left us."""
    begun = [(submitting(attempt), replace(UNSENT, attempts=attempt)) for attempt in range(1, times + 1)]
    return (*READY, *(event for pair in begun for event in pair))


def unsaid(*events: Any) -> tuple[Any, ...]:
    """As a release wrote them that said no deadlines."""
    return tuple(replace(each, deadline=None) if hasattr(each, "deadline") else each for each in events)


def wake(name: c.DeadlineName) -> c.PassDeadline:
    return c.PassDeadline(payout_id=PAYOUT, name=name)


OVERDUE = PayoutOverdue(**IDS, state="REQUESTED", since=AT, queue="payout-approval", amount=AMOUNT)
AFTER: dict[c.DeadlineName, tuple[tuple[object, ...], timedelta]] = {
    "approval": (WAITING, LIMITS.approval), "submission": (READY, LIMITS.submission), "lease": (OUT, LIMITS.lease),
    "settlement": (ACCEPTED, LIMITS.settlement), "unknown_deadline": (LOST, LIMITS.unknown_deadline),
}  # fmt: skip
WAITS = tuple(name for name in AFTER if name != "lease")  # whose end the event says as its `deadline`
