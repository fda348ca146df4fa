"""The stages of a payout, the one table of how they follow each other, and the fold."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

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
from services.kernel.value import value

APPROVAL_QUEUE = "payout-approval"


@value(kw_only=True)
class Stage:
    """What every stage knows. `attempts`: how often it was submitted. `contradictions`: what was said and cannot be.

    `unsent`: in how many of the attempts no request left us. `deadline`: when its wait ends, as the event said that
    began it. None: nothing is waited for, or an older release began it and did not say.
    """

    state: ClassVar[str]
    terms: PayoutRequested
    since: datetime
    deadline: datetime | None = None
    attempts: int = 0
    unsent: int = 0
    contradictions: tuple[str, ...] = ()


@value(kw_only=True)
class Requested(Stage):
    """Waits for somebody's approval."""

    state: ClassVar[str] = "REQUESTED"


@value(kw_only=True)
class Approved(Stage):
    """To be submitted: for the first time, or again with the same key after a proof that it was not accepted.

    The deadline is one for all attempts until the partner has it or may have it, however often it is deferred.
    """

    state: ClassVar[str] = "APPROVED"


@value(kw_only=True)
class Submitting(Stage):
    """A call is out, until `lease_until` at the latest."""

    state: ClassVar[str] = "SUBMITTING"
    lease_until: datetime


@value(kw_only=True)
class Sent(Stage):
    """Accepted by the partner."""

    state: ClassVar[str] = "SENT"


@value(kw_only=True)
class Unknown(Stage):
    """Money may have left. No call of ours that sends is out since `since`: only asking leads on."""

    state: ClassVar[str] = "UNKNOWN"


@value(kw_only=True)
class ManualReview(Stage):
    """A person decides. `refusal`: the partner's last definite no, if that is why or what followed."""

    state: ClassVar[str] = "MANUAL_REVIEW"
    refusal: str | None = None


@value(kw_only=True)
class Confirmed(Stage):
    """The creditor has the money."""

    state: ClassVar[str] = "CONFIRMED"


Existing = Requested | Approved | Submitting | Sent | Unknown | ManualReview | Confirmed
Payout = Existing | None  # None: no such payout
STAGES = (Requested, Approved, Submitting, Sent, Unknown, ManualReview, Confirmed)

_EVERY = "REQUESTED APPROVED SUBMITTING SENT UNKNOWN MANUAL_REVIEW CONFIRMED"
_REVIEW = "ageing by reason → alarm"
_SUBMISSION = "submission time → `payout.review_required`"
_ROWS: tuple[tuple[str, type, str | None, str], ...] = (  # None: the same state
    ("-", PayoutRequested, "REQUESTED", f"approval time → `payout.overdue`, queue {APPROVAL_QUEUE}"),
    ("REQUESTED", PayoutApproved, "APPROVED", f"submitted at once; {_SUBMISSION}"),
    ("APPROVED", PayoutSubmitting, "SUBMITTING", "lease → `payout.unknown`"),
    ("SUBMITTING UNKNOWN", PayoutSent, "SENT", "polled; settlement time → `payout.review_required`"),
    ("SUBMITTING", PayoutDeferred, "APPROVED", f"again at next_retry_at; attempts spent, or the same {_SUBMISSION}"),
    ("SUBMITTING", PayoutUnknown, "UNKNOWN", "asked with backoff; unknown deadline → `payout.review_required`"),
    ("UNKNOWN", PayoutNotKnownToPartner, "APPROVED", f"same key, at once; attempts spent, or a new {_SUBMISSION}"),
    ("SUBMITTING SENT UNKNOWN MANUAL_REVIEW", PayoutRefused, "MANUAL_REVIEW", _REVIEW),
    ("APPROVED SUBMITTING SENT UNKNOWN", PayoutReviewRequired, "MANUAL_REVIEW", _REVIEW),
    ("APPROVED SUBMITTING SENT UNKNOWN MANUAL_REVIEW", PayoutConfirmed, "CONFIRMED", ""),
    ("REQUESTED", PayoutOverdue, None, f"queue {APPROVAL_QUEUE}"),
    (_EVERY, PayoutContradicted, None, "shown to a person"),
)
# (state, event, next state, deadline and where it falls): states.md, section Payout
TRANSITIONS = tuple((state, event, to or state, text) for row, event, to, text in _ROWS for state in row.split())
_LEGAL = frozenset((state, event) for state, event, _, _ in TRANSITIONS)


def evolve(payout: Payout, event: PayoutEvent) -> Payout:
    """Believes every stored event that TRANSITIONS knows for the stage."""
    assert (payout.state if payout else "-", type(event)) in _LEGAL, f"{type(event).__name__} cannot follow {payout}"
    if isinstance(event, PayoutRequested):
        return Requested(terms=event, since=event.requested_at, deadline=event.deadline)
    assert payout is not None
    match event:
        case PayoutOverdue():
            return payout
        case PayoutContradicted(said=said):
            return replace(payout, contradictions=(*payout.contradictions, said))
        case _:
            return moved(payout, event)


Move = (
    PayoutApproved | PayoutSubmitting | PayoutSent | PayoutDeferred | PayoutRefused | PayoutUnknown
    | PayoutNotKnownToPartner | PayoutConfirmed | PayoutReviewRequired
)  # fmt: skip


def moved(payout: Existing, event: Move) -> Payout:
    """The stage after `event`."""
    carried: dict[str, Any] = {
        "terms": payout.terms, "attempts": payout.attempts, "unsent": payout.unsent,
        "contradictions": payout.contradictions,
    }  # fmt: skip
    match event:
        case PayoutApproved(approved_at=since) | PayoutNotKnownToPartner(asked_at=since):
            return Approved(since=since, deadline=event.deadline, **carried)
        case PayoutDeferred(deferred_at=since):
            unsent = payout.unsent + event.unsent
            return Approved(since=since, deadline=payout.deadline, **carried | {"unsent": unsent})
        case PayoutSubmitting(submitting_at=since, lease_until=until):
            attempts = {"attempts": event.attempt}
            return Submitting(since=since, lease_until=until, deadline=payout.deadline, **carried | attempts)
        case PayoutSent(sent_at=since):
            return Sent(since=since, deadline=event.deadline, **carried)
        case PayoutUnknown(unknown_at=since):
            return Unknown(since=since, deadline=event.deadline, **carried)
        case PayoutRefused(refused_at=since, reason_code=code):
            return ManualReview(since=since, refusal=code, **carried)
        case PayoutReviewRequired(required_at=since):
            return ManualReview(since=since, **carried)
        case PayoutConfirmed(confirmed_at=since):
            return Confirmed(since=since, **carried)
