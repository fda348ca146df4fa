"""What the transfer service answers, for the documentation. `view` and the timeline make the values."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from services.kernel.strict_json import Body
from services.kernel.timeline import Step


class TransferReply(Body):
    """A transfer. Amounts in minor units; put `route` on the deposit, exactly."""

    transfer_id: UUID
    state: str
    version: int = Field(description="of its stream; the ETag of GET", ge=1)
    quote_id: UUID
    corridor: str
    sender_id: UUID
    receiver_id: UUID
    route: str = Field(description="the reference by which the deposit finds the transfer")
    send_minor: int
    send_currency: str
    receive_minor: int
    receive_currency: str
    opened_at: datetime
    funding_deadline: datetime
    payout_id: UUID | None = Field(description="once the payout has begun")


class TimelineEvent(Step):
    """One event of the transfer's stream. A customer sees who and why only of what they did themselves."""

    actor: str | None
    reason: str | None
    data: dict[str, Any] | None = Field(None, description="its content, for staff; what is personal stays sealed")


class TimelineReply(Body):
    """The history of a transfer, oldest first."""

    transfer_id: UUID
    events: list[TimelineEvent]
