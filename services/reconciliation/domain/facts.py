"""What the books say of one transfer, side by side. Amounts in minor units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from uuid import UUID

from services.kernel.ids import derive
from services.kernel.value import value
from services.reconciliation.domain.codes import Code

Amounts = Mapping[str, int]  # by account, or by partner and currency: a path whose last part is the currency
SETTLED, REJECTED = "ACSC", "RJCT"  # ISO 20022, as the provider's book has them
COMPLETED = "PAYOUT_COMPLETED"


@value(kw_only=True)
class TransferSaid:
    """The transfer's own story. `received`: what funded it, or came late."""

    state: str
    route_id: UUID
    customer_id: UUID
    send_minor: int
    send_currency: str
    fee_minor: int
    spread_minor: int
    converted_minor: int
    receive_minor: int
    receive_currency: str
    received_minor: int | None
    received_currency: str | None
    funded: bool
    payout_id: UUID | None  # once initiated


@value(kw_only=True)
class DepositSaid:
    """Its route: what was observed when the transfer was known, by partner and currency, and what was confirmed."""

    observed: Amounts
    confirmed_minor: int | None
    confirmed_currency: str | None


@value(kw_only=True)
class PayoutSaid:
    """One payout of it. `submitted`: handed to the provider once at least; `sent`: money may have left."""

    payout_id: UUID
    state: str
    amount_minor: int
    currency: str
    partner: str
    submitted: bool
    sent: bool
    confirmed_minor: int | None
    confirmed_currency: str | None


@value(kw_only=True)
class Payment:
    """A line of the provider's book."""

    payment_id: str  # our payout's id, if it is ours
    amount_minor: int
    currency: str
    status: str
    accepted_at: datetime
    settled_at: datetime | None

    @property
    def ended_at(self) -> datetime:
        """A payment that was refused at once has no other time."""
        return self.settled_at or self.accepted_at


@value(kw_only=True)
class Facts:
    """One transfer in all books. `booked`: the ledger's debits less credits by kind of entry and account."""

    transfer_id: UUID
    transfer: TransferSaid | None = None
    deposit: DepositSaid | None = None
    payouts: tuple[PayoutSaid, ...] = ()
    booked: Mapping[str, Amounts] = field(default_factory=dict)
    payments: tuple[Payment, ...] = ()


@value(kw_only=True)
class Route:
    """One route in the books of those who collect and in ours, by partner and currency."""

    route_id: UUID
    transfer_id: UUID | None
    observed: Amounts  # all of it
    collected: Amounts  # all of it
    collected_before: Amounts  # what we should have heard of by now


@value
class Cutoffs:
    """Until when things must have happened for their consequences to be expected. `provider`: of what comes from it."""

    ours: datetime
    provider: datetime

    @classmethod
    def at(cls, watermark: datetime, grace: timedelta, provider_grace: timedelta) -> Cutoffs:
        """The cutoffs of a run."""
        return cls(watermark - grace, watermark - provider_grace)


@value(kw_only=True)
class Issue:
    """A difference. The same one has the same id, whichever run sees it."""

    code: Code
    subject: str
    transfer_id: UUID | None = None
    currency: str | None = None
    expected_minor: int | None = None
    actual_minor: int | None = None
    details: str = ""

    @property
    def issue_id(self) -> UUID:
        """Of what differs and by how much: another difference is another issue."""
        return derive(
            "recon-issue", self.code, self.subject, self.currency, self.expected_minor, self.actual_minor, self.details
        )
