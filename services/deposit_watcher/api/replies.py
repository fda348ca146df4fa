"""What the deposit watcher answers, for the documentation."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from services.kernel.rejected import NotFound
from services.kernel.strict_json import Body


class RouteNotFound(NotFound):
    """No money and no transfer is known on this route."""


class DepositAccepted(Body):
    """We have it. The same bytes for a duplicate as for the first."""

    reference: str
    status: Literal["accepted"]


class UnresolvedMoney(Body):
    """Money on a route that no transfer has taken."""

    amount_minor: int
    currency: str
    arrivals: list[UUID] = Field(description="the reports that brought it")
    last_at: datetime


class RouteReply(Body):
    """A route with what came in on it. Amounts in minor units."""

    route_id: UUID
    state: str
    transfer_id: UUID | None
    expected_minor: int | None
    expected_currency: str | None
    unresolved: list[UnresolvedMoney]
    needs_a_person: bool
    in_grace: bool = Field(description="the transfer may still turn up")


class ArrivalReply(Body):
    """Something that came from outside, as it was judged; its bytes stay sealed."""

    arrival_id: UUID
    source: str = Field(description="the partner, or `unknown`")
    transport: Literal["webhook", "kafka"]
    verdict: str
    reference: str | None
    content: str | None = Field(description="fingerprint of the normalised business fields")
    received_at: datetime
    size_bytes: int = Field(description="of the sealed body; an item of a batch has its bytes in the batch's")


class WaitingReply(Body):
    """Money that fits nothing yet, oldest first; at most 200."""

    deposits: list[RouteReply]
