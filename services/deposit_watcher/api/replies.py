"""What the deposit watcher answers, for the documentation."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from services.kernel.strict_json import Body


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


class WaitingReply(Body):
    """Money that fits nothing yet, oldest first; at most 200."""

    deposits: list[RouteReply]
