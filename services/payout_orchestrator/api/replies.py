"""What the payout orchestrator answers about payouts."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from services.kernel.rejected import NotFound
from services.kernel.strict_json import Body


class PayoutNotFound(NotFound):
    """There is no such payout, or it belongs to somebody else."""


class PayoutReply(Body):
    """A payout without the creditor; amounts in minor units."""

    payout_id: UUID
    transfer_id: UUID
    state: str
    version: int = Field(ge=1)
    amount_minor: int
    currency: str
    rail: str
    partner: str


class AnswerReply(Body):
    """What we were told of a request, or learned of it later."""

    answer: Literal[
        "accepted", "deferred", "not_sent", "refused", "unknown", "not_known", "settled", "contradicted"
    ]  # fmt: skip
    at: datetime
    error_code: str | None = Field(description="as received, or why there was no answer")
    partner_status: str | None = Field(description="as received: ACCP, ACSP, PDNG")
    partner_reference: str | None


class AttemptReply(Body):
    """One request to the provider."""

    attempt: int = Field(ge=0, description="0: the provider spoke of it before anything was sent")
    request_reference: UUID = Field(description="the idempotency key that the provider knows it by")
    submitted_at: datetime | None
    lease_until: datetime | None
    answers: list[AnswerReply]


def view(payout: Any, version: int) -> dict[str, Any]:
    """A payout without the creditor; amounts in minor units."""
    return {
        "payout_id": payout.terms.payout_id,
        "transfer_id": payout.terms.transfer_id,
        "state": payout.state,
        "version": version,
        "amount_minor": payout.terms.amount.minor,
        "currency": payout.terms.amount.currency,
        "rail": payout.terms.rail,
        "partner": payout.terms.partner,
    }
