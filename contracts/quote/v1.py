"""What the quote service says. Stored, published and read in this form."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from services.kernel.money import Money, Rate
from services.kernel.value import value


@value(kw_only=True)
class QuoteCreated:
    """A price, promised until `expires_at`. The runbooks call it QUOTE_CREATED."""

    type: ClassVar[str] = "corridor.quote.created.v1"
    quote_id: UUID
    customer_id: UUID
    corridor: str  # "GB-ET": where the money is collected and where it is paid out (ISO 3166)
    corridor_version: int  # of the corridor's configuration
    send: Money  # what the customer pays in (ISO 20022 InstdAmt)
    fee: Money
    spread: Money
    converted: Money  # send - fee - spread
    receive: Money  # what the creditor gets (IntrBkSttlmAmt), rounded down
    rate: Rate
    tolerance: Money  # a deposit this far from `send` still confirms by itself
    rail: str  # "bank"
    partner: str  # who pays out
    funding_seconds: int  # how long the customer has to pay in, from the transfer's opening
    created_at: datetime
    expires_at: datetime  # the first instant at which the quote is dead


@value(kw_only=True)
class QuoteAccepted:
    """One transfer took the quote, while it was alive."""

    type: ClassVar[str] = "corridor.quote.accepted.v1"
    quote_id: UUID
    transfer_id: UUID
    accepted_at: datetime


@value(kw_only=True)
class QuoteExpired:
    """Nobody took the quote in time."""

    type: ClassVar[str] = "corridor.quote.expired.v1"
    quote_id: UUID
    expired_at: datetime


QuoteEvent = QuoteCreated | QuoteAccepted | QuoteExpired
EVENTS = (QuoteCreated, QuoteAccepted, QuoteExpired)
