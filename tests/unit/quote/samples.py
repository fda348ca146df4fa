"""A quote of the worked example: 100.00 GBP, fee 2.00, spread 0.50."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from contracts.quote.v1 import QuoteAccepted, QuoteCreated, QuoteExpired
from services.kernel.money import Money, Rate, RateText, iso4217
from services.quote.domain import AcceptQuote, Corridor, CreateQuote, ExpireQuote, price

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
GBP, ETB = iso4217("GBP"), iso4217("ETB")
QUOTE_ID, CUSTOMER_ID, TRANSFER_ID, OTHER_ID = (UUID(int=number) for number in range(1, 5))

CORRIDOR = Corridor(
    name="GB-ET",
    version=3,
    source=GBP,
    target=ETB,
    send_min=Money(5_00, GBP),
    send_max=Money(10_000_00, GBP),
    fee_flat=Money(1_00, GBP),
    fee_basis_points=100,
    fee_min=Money(1_50, GBP),
    spread_basis_points=50,
    tolerance=Money(50, GBP),
    rail="bank",
    partner="sandbox-bank",
    quote_seconds=90,
    funding_seconds=3_600,
    rate_max_age_seconds=300,
)
RATE = Rate(GBP, ETB, RateText("205.128206"), "treasury", AT)
SEND = Money(100_00, GBP)
OFFER = price(CORRIDOR, SEND, RATE, AT)
CREATE = CreateQuote(quote_id=QUOTE_ID, customer_id=CUSTOMER_ID, offer=OFFER)
CREATED = QuoteCreated(
    quote_id=QUOTE_ID,
    customer_id=CUSTOMER_ID,
    corridor="GB-ET",
    corridor_version=3,
    send=SEND,
    fee=Money(2_00, GBP),
    spread=Money(50, GBP),
    converted=Money(97_50, GBP),
    receive=Money(20_000_00, ETB),
    rate=RATE,
    tolerance=Money(50, GBP),
    rail="bank",
    partner="sandbox-bank",
    funding_seconds=3_600,
    created_at=AT,
    expires_at=AT + timedelta(seconds=90),
)
LAST_INSTANT = CREATED.expires_at - timedelta(microseconds=1)
ACCEPT = AcceptQuote(quote_id=QUOTE_ID, transfer_id=TRANSFER_ID, opened_at=LAST_INSTANT)
ACCEPTED = QuoteAccepted(quote_id=QUOTE_ID, transfer_id=TRANSFER_ID, accepted_at=LAST_INSTANT)
EXPIRE = ExpireQuote(quote_id=QUOTE_ID)
EXPIRED = QuoteExpired(quote_id=QUOTE_ID, expired_at=CREATED.expires_at)
COMMANDS = (CREATE, ACCEPT, EXPIRE)
STREAMS = ((), (CREATED,), (CREATED, ACCEPTED), (CREATED, EXPIRED), (CREATED, EXPIRED, ACCEPTED))


def aged(seconds: int, microseconds: int = 0) -> Rate:
    """The rate, published so long before AT."""
    return replace(RATE, published_at=AT - timedelta(seconds=seconds, microseconds=microseconds))
