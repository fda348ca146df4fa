"""What the payout orchestrator says: how money leaves, never twice. Stored, published and read in this form."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from services.kernel.money import Currency, Money
from services.kernel.sealed import Sealed
from services.kernel.value import value


@value(kw_only=True)
class PayoutRequested:
    """A payout of a funded transfer. `payout_id` is uuid5(transfer id, n) and the partner's idempotency key."""

    type: ClassVar[str] = "corridor.payout.requested.v1"
    payout_id: UUID
    transfer_id: UUID
    customer_id: UUID
    n: int  # a new n only after a proven refusal
    amount: Money
    rail: str
    partner: str
    creditor_name: Sealed
    creditor_account: Sealed
    requested_at: datetime
    deadline: datetime | None = None  # of the approval, null where nobody is asked: from this instant on it is overdue
    send_currency: Currency | None = None  # what the customer paid in; null: not said


@value(kw_only=True)
class PayoutApproved:
    """It may be sent. `approved_by` is a rule or a person."""

    type: ClassVar[str] = "corridor.payout.approved.v1"
    payout_id: UUID
    transfer_id: UUID
    approved_by: str
    approved_at: datetime
    deadline: datetime | None = None  # of the submission: from this instant on nothing is sent, a person decides


@value(kw_only=True)
class PayoutSubmitting:
    """Written before the first byte is sent. Past `lease_until` without an outcome, the outcome is unknown."""

    type: ClassVar[str] = "corridor.payout.submitting.v1"
    payout_id: UUID
    transfer_id: UUID
    attempt: int  # from 1
    lease_until: datetime
    submitting_at: datetime


@value(kw_only=True)
class PayoutSent:
    """The partner accepted it. Accepted is not settled."""

    type: ClassVar[str] = "corridor.payout.sent.v1"
    payout_id: UUID
    transfer_id: UUID
    amount: Money
    partner: str
    partner_status: str  # as received: ACCP, ACSP, PDNG
    partner_reference: str
    sent_at: datetime
    deadline: datetime | None = None  # of the settlement: from this instant on a person decides


@value(kw_only=True)
class PayoutDeferred:
    """Provably not accepted (refused connection, 429, "try later"): tried again at `next_retry_at`, same key."""

    type: ClassVar[str] = "corridor.payout.deferred.v1"
    payout_id: UUID
    transfer_id: UUID
    attempts: int
    reason: str
    next_retry_at: datetime
    deferred_at: datetime
    unsent: bool = False  # provably no request of this attempt left us: the limit of attempts does not count it


@value(kw_only=True)
class PayoutRefused:
    """A definite no. A person decides what follows."""

    type: ClassVar[str] = "corridor.payout.refused.v1"
    payout_id: UUID
    transfer_id: UUID
    reason_code: str  # as received: AC01, AM04, ...
    refused_at: datetime
    amount: Money | None = None  # of the payout; null when an older release said it


@value(kw_only=True)
class PayoutUnknown:
    """Timeout, reset, 5xx, malformed answer, lease gone: money may have left. Asked by our reference, never resent."""

    type: ClassVar[str] = "corridor.payout.unknown.v1"
    payout_id: UUID
    transfer_id: UUID
    amount: Money
    partner: str
    reason: str
    unknown_at: datetime
    deadline: datetime | None = None  # of the asking: from this instant on a person decides


@value(kw_only=True)
class PayoutNotKnownToPartner:
    """Asked after its own settling delay, the partner does not know our reference: it may be sent, same key."""

    type: ClassVar[str] = "corridor.payout.not_known_to_partner.v1"
    payout_id: UUID
    transfer_id: UUID
    asked_at: datetime
    deadline: datetime | None = None  # of the submission, as in PayoutApproved


@value(kw_only=True)
class PayoutConfirmed:
    """The creditor has the money, says the partner."""

    type: ClassVar[str] = "corridor.payout.confirmed.v1"
    payout_id: UUID
    transfer_id: UUID
    customer_id: UUID
    amount: Money
    partner: str
    partner_reference: str
    settled_at: datetime  # as the partner says
    confirmed_at: datetime


@value(kw_only=True)
class PayoutReviewRequired:
    """Nothing more happens by itself: a person decides."""

    type: ClassVar[str] = "corridor.payout.review_required.v1"
    payout_id: UUID
    transfer_id: UUID
    reason: str
    required_at: datetime
    amount: Money | None = None  # of the payout; null when an older release said it


@value(kw_only=True)
class PayoutContradicted:
    """The partner said something that cannot follow (refused after confirmed, another amount). Changes no state."""

    type: ClassVar[str] = "corridor.payout.contradicted.v1"
    payout_id: UUID
    transfer_id: UUID
    said: str
    state: str
    contradicted_at: datetime
    amount: Money | None = None  # of the payout; null when an older release said it


@value(kw_only=True)
class PayoutOverdue:
    """A waiting state outlived its deadline. Changes no state; a person looks at `queue`."""

    type: ClassVar[str] = "corridor.payout.overdue.v1"
    payout_id: UUID
    transfer_id: UUID
    state: str
    since: datetime
    queue: str
    amount: Money | None = None  # of the payout; null when an older release said it


PayoutEvent = (
    PayoutRequested
    | PayoutApproved
    | PayoutSubmitting
    | PayoutSent
    | PayoutDeferred
    | PayoutRefused
    | PayoutUnknown
    | PayoutNotKnownToPartner
    | PayoutConfirmed
    | PayoutReviewRequired
    | PayoutContradicted
    | PayoutOverdue
)
EVENTS = (
    PayoutRequested,
    PayoutApproved,
    PayoutSubmitting,
    PayoutSent,
    PayoutDeferred,
    PayoutRefused,
    PayoutUnknown,
    PayoutNotKnownToPartner,
    PayoutConfirmed,
    PayoutReviewRequired,
    PayoutContradicted,
    PayoutOverdue,
)
