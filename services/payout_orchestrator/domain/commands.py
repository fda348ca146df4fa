"""What may be said to a payout. All of it is fact: it yields an event or nothing, and is never refused."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from services.kernel.money import Currency, Money
from services.kernel.sealed import Sealed
from services.kernel.value import value

DeadlineName = Literal["approval", "submission", "lease", "settlement", "unknown_deadline"]


@value(kw_only=True)
class RequestPayout:
    """A funded transfer wants its money paid out."""

    payout_id: UUID
    transfer_id: UUID
    customer_id: UUID
    n: int
    amount: Money
    rail: str
    partner: str
    creditor_name: Sealed
    creditor_account: Sealed
    send_currency: Currency | None = None  # what the customer paid in


@value(kw_only=True)
class BeginSubmit:
    """The intent of a call that sends: written before the first byte. In currencies that are halted none begins."""

    payout_id: UUID
    halted: frozenset[str] | None = frozenset()  # None: nobody knows


@value(kw_only=True)
class BeginAsk:
    """The intent of a call that asks: it changes nothing, so it writes nothing."""

    payout_id: UUID


@value(kw_only=True)
class RecordSent:
    """The partner accepted the key, in whichever attempt."""

    payout_id: UUID
    partner_status: str
    partner_reference: str


@value(kw_only=True)
class RecordDeferred:
    """Attempt `attempt` was provably not accepted; `unsent`: provably no request of it left us."""

    payout_id: UUID
    attempt: int
    reason: str
    retry_after_seconds: int = 0  # the partner's wish
    unsent: bool = False


@value(kw_only=True)
class RecordRefused:
    """A definite no: to attempt `attempt`, or (None) by callback or poll."""

    payout_id: UUID
    reason_code: str
    attempt: int | None = None


@value(kw_only=True)
class RecordUnknown:
    """No usable answer to attempt `attempt`, or (None) a callback that we cannot read."""

    payout_id: UUID
    reason: str
    attempt: int | None = None


@value(kw_only=True)
class RecordNotKnown:
    """Asked at `asked_at` or later, the partner does not know our key."""

    payout_id: UUID
    asked_at: datetime


@value(kw_only=True)
class RecordPending:
    """Asked or told: accepted, not settled yet."""

    payout_id: UUID
    partner_status: str
    partner_reference: str


@value(kw_only=True)
class ConfirmPayout:
    """Callback or poll: the creditor has `amount`."""

    payout_id: UUID
    amount: Money
    partner_reference: str
    settled_at: datetime | None  # None: the partner named no time, ours is taken


@value(kw_only=True)
class PassDeadline:
    """A wake of that name is due. Stale when the payout has moved on."""

    payout_id: UUID
    name: DeadlineName


Fact = RecordSent | RecordDeferred | RecordRefused | RecordUnknown | RecordNotKnown | RecordPending | ConfirmPayout
PayoutCommand = RequestPayout | BeginSubmit | BeginAsk | Fact | PassDeadline
COMMANDS = (
    RequestPayout, BeginSubmit, BeginAsk, RecordSent, RecordDeferred, RecordRefused, RecordUnknown, RecordNotKnown,
    RecordPending, ConfirmPayout, PassDeadline,
)  # fmt: skip
