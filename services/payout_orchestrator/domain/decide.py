"""What follows from what is said to a payout, and from silence."""

from __future__ import annotations

from datetime import datetime, timedelta

from contracts.payout.v1 import (
    PayoutApproved,
    PayoutConfirmed,
    PayoutContradicted,
    PayoutDeferred,
    PayoutEvent,
    PayoutNotKnownToPartner,
    PayoutOverdue,
    PayoutRefused,
    PayoutRequested,
    PayoutReviewRequired,
    PayoutSent,
    PayoutSubmitting,
    PayoutUnknown,
)
from services.payout_orchestrator.domain.commands import (
    BeginAsk,
    BeginSubmit,
    ConfirmPayout,
    DeadlineName,
    Fact,
    PassDeadline,
    PayoutCommand,
    RecordDeferred,
    RecordNotKnown,
    RecordPending,
    RecordRefused,
    RecordSent,
    RecordUnknown,
    RequestPayout,
)
from services.payout_orchestrator.domain.policy import Deadlines, Rules, backoff
from services.payout_orchestrator.domain.states import (
    APPROVAL_QUEUE,
    Approved,
    Confirmed,
    Existing,
    ManualReview,
    Payout,
    Requested,
    Sent,
    Submitting,
    Unknown,
)

CONTRADICTIONS_MAX = 16  # different ones kept of a payout; the raw arrivals keep all
RULE = "rule:auto"
ATTEMPTS_SPENT = "attempts spent"
NOT_SUBMITTED = "not submitted in time"


def decide(
    payout: Payout, command: PayoutCommand, at: datetime, rules: Rules, deadlines: Deadlines
) -> tuple[PayoutEvent, ...]:
    """The events that `command` causes at `at` (the database's time); () when it is stale or was done before."""
    match command:
        case RequestPayout():
            return request(payout, command, at, rules, deadlines)
        case BeginSubmit(halted=halted):
            return begin_submit(payout, halted, at, deadlines)
        case BeginAsk():
            return ()
        case PassDeadline(name=name):
            return pass_deadline(payout, name, at, deadlines)
        case _:
            return () if payout is None else hear(payout, command, at, deadlines)


def request(
    payout: Payout, ask: RequestPayout, at: datetime, rules: Rules, deadlines: Deadlines
) -> tuple[PayoutEvent, ...]:
    """One payout for each transfer and n, approved in the same breath where the rule needs nobody."""
    if payout is not None:
        return ()
    by_rule = rules.approve(ask.amount)
    requested = PayoutRequested(
        payout_id=ask.payout_id, transfer_id=ask.transfer_id, customer_id=ask.customer_id, n=ask.n, amount=ask.amount,
        rail=ask.rail, partner=ask.partner, creditor_name=ask.creditor_name, creditor_account=ask.creditor_account,
        requested_at=at, deadline=None if by_rule else at + deadlines.approval, send_currency=ask.send_currency,
    )  # fmt: skip
    if not by_rule:
        return (requested,)
    approved = PayoutApproved(
        payout_id=ask.payout_id, transfer_id=ask.transfer_id, approved_by=RULE, approved_at=at,
        deadline=at + deadlines.submission,
    )  # fmt: skip
    return (requested, approved)


def begin_submit(
    payout: Payout, halted: frozenset[str] | None, at: datetime, deadlines: Deadlines
) -> tuple[PayoutEvent, ...]:
    """Only PayoutSubmitting lets a call go out. A call whose lease is over may have been made: never make it again.

    In a currency that is halted the payout stays Approved, and is asked again.
    """
    match payout:
        case Submitting(lease_until=lease_until) if at >= lease_until:
            return (unknown(payout, "lease over", at, deadlines),)
        case Approved() if too_late(payout, at):
            return (review(payout, NOT_SUBMITTED, at),)
        case Approved(terms=terms) if halted is None or not halted.isdisjoint(
            {terms.amount.currency, terms.send_currency}
        ):
            return ()
        case Approved():
            submitting = PayoutSubmitting(
                payout_id=payout.terms.payout_id, transfer_id=payout.terms.transfer_id, attempt=payout.attempts + 1,
                lease_until=at + deadlines.lease, submitting_at=at,
            )  # fmt: skip
            return (submitting,)
        case _:
            return ()


def pass_deadline(payout: Payout, name: DeadlineName, at: datetime, deadlines: Deadlines) -> tuple[PayoutEvent, ...]:
    """What happens when nothing has happened. A wake of an earlier stay in the stage comes too early and is stale.

    The instant is the stage's own: judged by what is configured since, a wake that was set before a deadline was made
    longer would say nothing, and nobody would be called at all.
    """
    match name, payout:
        case "approval", Requested() if not too_early(payout, at):
            return (overdue(payout, APPROVAL_QUEUE),)
        case "submission", Approved() if not too_early(payout, at):
            return (review(payout, NOT_SUBMITTED, at),)
        case "lease", Submitting() if at >= payout.lease_until:
            return (unknown(payout, "lease over", at, deadlines),)
        case "settlement", Sent() if not too_early(payout, at):
            return (review(payout, "settlement overdue", at),)
        case "unknown_deadline", Unknown() if not too_early(payout, at):
            return (review(payout, "outcome unknown", at),)
        case _:
            return ()


def hear(payout: Existing, fact: Fact, at: datetime, deadlines: Deadlines) -> tuple[PayoutEvent, ...]:
    """What the partner's word, or its silence, does to a payout."""
    match fact:
        case RecordSent():
            return accepted(payout, fact, at, deadlines) if isinstance(payout, Submitting | Unknown) else ()
        case RecordPending():
            return accepted(payout, fact, at, deadlines) if isinstance(payout, Unknown) else ()
        case RecordDeferred():
            return deferred(payout, fact, at, deadlines)
        case RecordRefused():
            return refused(payout, fact, at)
        case RecordUnknown():
            return lost(payout, fact, at, deadlines)
        case RecordNotKnown():
            return not_known(payout, fact, at, deadlines)
        case ConfirmPayout():
            return confirm(payout, fact, at)


def accepted(
    payout: Submitting | Unknown, fact: RecordSent | RecordPending, at: datetime, deadlines: Deadlines
) -> tuple[PayoutEvent, ...]:
    """Accepted is accepted, whichever attempt it was and however late we learn it."""
    terms = payout.terms
    sent = PayoutSent(
        payout_id=terms.payout_id, transfer_id=terms.transfer_id, amount=terms.amount, partner=terms.partner,
        partner_status=fact.partner_status, partner_reference=fact.partner_reference, sent_at=at,
        deadline=at + deadlines.settlement,
    )  # fmt: skip
    return (sent,)


def deferred(payout: Existing, fact: RecordDeferred, at: datetime, deadlines: Deadlines) -> tuple[PayoutEvent, ...]:
    """Only the attempt that is out can be deferred: an older one proves nothing about it.

    What the partner may have had is tried so often; what never left us, as long as there is time.
    """
    if not isinstance(payout, Submitting) or fact.attempt != payout.attempts:
        return ()
    wish = min(timedelta(seconds=fact.retry_after_seconds), deadlines.retry_max)
    wait = max(backoff(deadlines.retry_first, deadlines.retry_max, payout.attempts), wish)
    event = PayoutDeferred(
        payout_id=payout.terms.payout_id, transfer_id=payout.terms.transfer_id, attempts=payout.attempts,
        reason=fact.reason, next_retry_at=at + wait, deferred_at=at, unsent=fact.unsent,
    )  # fmt: skip
    if attempts_spent(payout, payout.unsent + fact.unsent, deadlines):
        return (event, review(payout, ATTEMPTS_SPENT, at))
    if too_late(payout, at):
        return (event, review(payout, NOT_SUBMITTED, at))
    return (event,)


def not_known(payout: Existing, fact: RecordNotKnown, at: datetime, deadlines: Deadlines) -> tuple[PayoutEvent, ...]:
    """Believed of an unknown outcome only, and only when asked after the partner's settling delay."""
    if not isinstance(payout, Unknown) or fact.asked_at < believable_from(payout, deadlines):
        return ()
    event = PayoutNotKnownToPartner(
        payout_id=payout.terms.payout_id, transfer_id=payout.terms.transfer_id, asked_at=fact.asked_at,
        deadline=at + deadlines.submission,
    )  # fmt: skip
    if attempts_spent(payout, payout.unsent, deadlines):
        return (event, review(payout, ATTEMPTS_SPENT, at))
    if too_late(payout, at):  # the wake of the deadline is behind this answer: nothing is paid that late unseen
        return (event, review(payout, NOT_SUBMITTED, at))
    return (event,)


def refused(payout: Existing, fact: RecordRefused, at: datetime) -> tuple[PayoutEvent, ...]:
    """A no to an older attempt is dropped, and so is a callback while a call is out: asking will hear it again."""
    match payout:
        case Confirmed() | Requested():
            return contradicted(payout, f"refused {fact.reason_code}", at)
        case Approved() | ManualReview(refusal=str()):
            return ()
        case Submitting() if fact.attempt is None:
            return ()
        case _ if fact.attempt not in (None, payout.attempts):
            return ()
        case _:
            return (refusal(payout, fact.reason_code, at),)


def lost(payout: Existing, fact: RecordUnknown, at: datetime, deadlines: Deadlines) -> tuple[PayoutEvent, ...]:
    """The attempt that is out has no usable answer. Words that we cannot read unsay nothing and move no deadline."""
    if isinstance(payout, Submitting) and fact.attempt == payout.attempts:
        return (unknown(payout, fact.reason, at, deadlines),)
    return ()


def confirm(payout: Existing, fact: ConfirmPayout, at: datetime) -> tuple[PayoutEvent, ...]:
    """Our amount confirms what left us at least once, in every stage. Another amount never does."""
    if fact.amount != payout.terms.amount:
        return contradicted(payout, f"settled {fact.amount}", at)
    if isinstance(payout, Confirmed):
        return ()
    if payout.attempts == payout.unsent:
        return contradicted(payout, "settled before it was submitted", at)
    terms = payout.terms
    confirmed = PayoutConfirmed(
        payout_id=terms.payout_id, transfer_id=terms.transfer_id, customer_id=terms.customer_id, amount=terms.amount,
        partner=terms.partner, partner_reference=fact.partner_reference, settled_at=fact.settled_at or at,
        confirmed_at=at,
    )  # fmt: skip
    return (confirmed,)


def contradicted(payout: Existing, said: str, at: datetime) -> tuple[PayoutEvent, ...]:
    """Kept once for each thing said. What may still move money stops for a person; the rest goes its way."""
    known = said in payout.contradictions or len(payout.contradictions) >= CONTRADICTIONS_MAX
    terms = payout.terms
    event = PayoutContradicted(
        payout_id=terms.payout_id, transfer_id=terms.transfer_id, said=said, state=payout.state, contradicted_at=at,
        amount=terms.amount,
    )  # fmt: skip
    told = () if known else (event,)
    if isinstance(payout, Approved | Submitting | Sent | Unknown):
        return (*told, review(payout, "contradicted", at))
    return told


def attempts_spent(payout: Submitting | Unknown, unsent: int, deadlines: Deadlines) -> bool:
    """Whether the partner may have had it as often as it may. Without a deadline to end them all attempts count."""
    counted = payout.attempts if payout.deadline is None else payout.attempts - unsent
    return counted >= deadlines.submit_attempts_max


def too_late(payout: Existing, at: datetime) -> bool:
    """Whether the deadline of the wait has come; never for one that an older release did not say."""
    return payout.deadline is not None and at >= payout.deadline


def too_early(payout: Existing, at: datetime) -> bool:
    """Whether a wake belongs to an earlier wait. One whose deadline an older release did not say is believed."""
    return payout.deadline is not None and at < payout.deadline


def unknown(payout: Submitting, reason: str, at: datetime, deadlines: Deadlines) -> PayoutUnknown:
    """Money may have left."""
    terms = payout.terms
    return PayoutUnknown(
        payout_id=terms.payout_id, transfer_id=terms.transfer_id, amount=terms.amount, partner=terms.partner,
        reason=reason, unknown_at=at, deadline=at + deadlines.unknown_deadline,
    )  # fmt: skip


def refusal(payout: Existing, reason_code: str, at: datetime) -> PayoutRefused:
    """The partner said no."""
    terms = payout.terms
    return PayoutRefused(
        payout_id=terms.payout_id, transfer_id=terms.transfer_id, reason_code=reason_code, refused_at=at,
        amount=terms.amount,
    )  # fmt: skip


def review(payout: Existing, reason: str, at: datetime) -> PayoutReviewRequired:
    """Nothing more happens by itself."""
    terms = payout.terms
    return PayoutReviewRequired(
        payout_id=terms.payout_id, transfer_id=terms.transfer_id, reason=reason, required_at=at, amount=terms.amount
    )


def overdue(payout: Existing, queue: str) -> PayoutOverdue:
    """Somebody has not done their part."""
    terms = payout.terms
    return PayoutOverdue(
        payout_id=terms.payout_id, transfer_id=terms.transfer_id, state=payout.state, since=payout.since, queue=queue,
        amount=terms.amount,
    )  # fmt: skip


def believable_from(payout: Unknown, deadlines: Deadlines) -> datetime:
    """The first instant at which "not found" proves that the partner does not have it."""
    return payout.since + deadlines.settling_delay
