"""What a route is told. All of it is fact: money that has arrived cannot be wrong, only unexpected."""

from __future__ import annotations

import hashlib
from datetime import datetime
from uuid import UUID

from contracts.deposit.routes import normalised_route
from services.kernel.decider import NOTHING_SEEN, Seen
from services.kernel.money import Money
from services.kernel.value import value


@value(kw_only=True)
class ExpectDeposit:
    """A transfer waits for money on this route."""

    route_id: UUID
    route: str
    transfer_id: UUID
    customer_id: UUID
    amount: Money
    tolerance: Money
    deadline: datetime


@value(kw_only=True)
class ObserveDeposit:
    """A partner says that money arrived. Claims the partner's reference; `content` says what took it.

    Claims its content, too, once the reference belongs to another one: that conflict is said once.
    """

    route_id: UUID
    route: str  # normalised
    arrival_id: UUID
    partner: str
    reference: str
    amount: Money
    booked_at: datetime
    content: str
    seen: Seen = NOTHING_SEEN


@value(kw_only=True)
class CloseRoute:
    """The transfer ended."""

    route_id: UUID
    transfer_id: UUID


@value(kw_only=True)
class GraceOver:
    """A wake: money has waited long enough for a transfer to be opened."""

    route_id: UUID


DepositCommand = ExpectDeposit | ObserveDeposit | CloseRoute | GraceOver
COMMANDS = (ExpectDeposit, ObserveDeposit, CloseRoute, GraceOver)


def content_of(partner: str, reference: str, route: str, amount: Money) -> str:
    """Fingerprint of what makes two reports the same deposit: SHA-256 in hex.

    `booked_at` is left out: webhook, record and statement of one deposit round and shift it.
    """
    fields = (partner, reference, normalised_route(route), str(amount.minor), amount.currency)
    return hashlib.sha256("\x1f".join(fields).encode()).hexdigest()
