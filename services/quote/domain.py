"""What a quote costs, what it promises, and who may use it until when. Pure: no clock, no randomness, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from contracts.quote.v1 import QuoteAccepted, QuoteCreated, QuoteEvent, QuoteExpired
from services.kernel.money import Currency, Money, Rate, share_rounded_up
from services.kernel.rejected import Invalid, NotFound, Rejected
from services.kernel.value import value


class CorridorUnsupported(Invalid):
    """We do not serve this corridor, or not in this currency."""


class AmountOutsideLimits(Invalid):
    """The amount is outside the limits of the corridor."""


class RateStale(Rejected):
    """The published rate of this corridor is too old to promise anything on it."""

    status = 503


class QuoteNotFound(NotFound):
    """There is no such quote, or it belongs to somebody else."""


class QuoteIdReused(Rejected):
    """This quote id was used before, for another customer, corridor or amount."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Corridor:
    """What we charge and allow between two countries. Configuration: a change is a new version of the whole file."""

    name: str  # "GB-ET": collected in, paid out in (ISO 3166)
    version: int  # of the configuration that it was read from
    source: Currency
    target: Currency
    send_min: Money
    send_max: Money
    fee_flat: Money
    fee_basis_points: int  # of `send`, on top of the flat fee
    fee_min: Money
    spread_basis_points: int  # of `send`
    tolerance: Money  # a deposit this far from `send`, either way, still confirms by itself
    rail: str
    partner: str  # who pays out
    quote_seconds: int
    funding_seconds: int
    rate_max_age_seconds: int


@dataclass(frozen=True, slots=True)
class Corridors:
    """All corridors of one version of the configuration."""

    version: int
    by_name: Mapping[str, Corridor]

    def named(self, name: str) -> Corridor:
        """The corridor of that name; raises CorridorUnsupported."""
        if name not in self.by_name:
            raise CorridorUnsupported(name[:16])
        return self.by_name[name]


@value(kw_only=True)
class Offer:
    """A price, not yet promised to anybody."""

    corridor: str
    corridor_version: int
    send: Money
    fee: Money
    spread: Money
    converted: Money
    receive: Money
    rate: Rate
    tolerance: Money
    rail: str
    partner: str
    quote_seconds: int
    funding_seconds: int


def price(corridor: Corridor, send: Money, rate: Rate, at: datetime) -> Offer:
    """What `send` buys at `rate`. Raises CorridorUnsupported, AmountOutsideLimits, RateStale."""
    assert (rate.source, rate.target) == (corridor.source, corridor.target), "the rate of another pair"
    if send.currency != corridor.source:
        raise CorridorUnsupported(corridor.name, send.currency)
    if not corridor.send_min <= send <= corridor.send_max:
        raise AmountOutsideLimits(str(send), str(corridor.send_min), str(corridor.send_max))
    if is_stale(rate, timedelta(seconds=corridor.rate_max_age_seconds), at):
        raise RateStale(corridor.name, rate.published_at.isoformat())
    fee, spread = fee_of(corridor, send), share_rounded_up(send, corridor.spread_basis_points)
    if send < fee + spread or not rate.convert(send - fee - spread):
        raise AmountOutsideLimits(str(send), str(fee + spread))
    return _offer(corridor, send, fee, spread, rate)


def is_stale(rate: Rate, age_max: timedelta, at: datetime) -> bool:
    """Older than `age_max`, or dated ahead by more: a feed with a wrong clock would otherwise never age."""
    return abs(at - rate.published_at) > age_max


def fee_of(corridor: Corridor, send: Money) -> Money:
    """Flat fee and a share of `send`, rounded up, at least the minimum. Beneficiary of the rounding: our fees."""
    fee = corridor.fee_flat + share_rounded_up(send, corridor.fee_basis_points)
    return max(fee, corridor.fee_min)


def _offer(corridor: Corridor, send: Money, fee: Money, spread: Money, rate: Rate) -> Offer:
    converted = send - fee - spread
    return Offer(
        corridor=corridor.name,
        corridor_version=corridor.version,
        send=send,
        fee=fee,
        spread=spread,
        converted=converted,
        receive=rate.convert(converted),
        rate=rate,
        tolerance=corridor.tolerance,
        rail=corridor.rail,
        partner=corridor.partner,
        quote_seconds=corridor.quote_seconds,
        funding_seconds=corridor.funding_seconds,
    )


@value(kw_only=True)
class CreateQuote:
    """A customer wants this offer promised."""

    quote_id: UUID
    customer_id: UUID
    offer: Offer


@value(kw_only=True)
class AcceptQuote:
    """A fact: the transfer service gave the quote to this transfer. It claimed the quote and checked its expiry."""

    quote_id: UUID
    transfer_id: UUID
    opened_at: datetime  # when the transfer took it; the fact may reach us later


@value(kw_only=True)
class ExpireQuote:
    """A wake: the time of the quote is over."""

    quote_id: UUID


@value
class Offered:
    """Promised, not used."""

    state: ClassVar[str] = "OFFERED"
    terms: QuoteCreated


@value
class Accepted:
    """One transfer has it."""

    state: ClassVar[str] = "ACCEPTED"
    terms: QuoteCreated
    transfer_id: UUID


@value
class Expired:
    """Nobody took it, as far as we know: a transfer that took it in time may still be on its way to us."""

    state: ClassVar[str] = "EXPIRED"
    terms: QuoteCreated


QuoteCommand = CreateQuote | AcceptQuote | ExpireQuote
Quote = Offered | Accepted | Expired | None  # None: no such quote

COMMANDS = (CreateQuote, AcceptQuote, ExpireQuote)
STAGES = (Offered, Accepted, Expired)
TRANSITIONS: tuple[tuple[str, type, str, str], ...] = (  # state, event, next state, deadline of the next state
    ("-", QuoteCreated, "OFFERED", "`expires_at` plus a minute → `quote.expired`"),
    ("OFFERED", QuoteAccepted, "ACCEPTED", ""),
    ("EXPIRED", QuoteAccepted, "ACCEPTED", ""),
    ("OFFERED", QuoteExpired, "EXPIRED", ""),
)


def decide(quote: Quote, command: QuoteCommand, at: datetime) -> tuple[QuoteEvent, ...]:
    """The events that `command` causes at `at` (the database's time), () when it was already done. Raises Rejected."""
    match command:
        case CreateQuote():
            return create(quote, command, at)
        case AcceptQuote():
            return accept(quote, command)
        case ExpireQuote():
            return expire(quote, command, at)


def create(quote: Quote, wish: CreateQuote, at: datetime) -> tuple[QuoteEvent, ...]:
    """Price once: the same request again keeps its first price, however the market has moved."""
    if quote is None:
        return (_created(wish, at),)
    terms, offer = quote.terms, wish.offer
    if (terms.customer_id, terms.corridor, terms.send) != (wish.customer_id, offer.corridor, offer.send):
        raise QuoteIdReused(wish.quote_id)
    return ()


def _created(wish: CreateQuote, at: datetime) -> QuoteCreated:
    offer = wish.offer
    return QuoteCreated(
        quote_id=wish.quote_id,
        customer_id=wish.customer_id,
        corridor=offer.corridor,
        corridor_version=offer.corridor_version,
        send=offer.send,
        fee=offer.fee,
        spread=offer.spread,
        converted=offer.converted,
        receive=offer.receive,
        rate=offer.rate,
        tolerance=offer.tolerance,
        rail=offer.rail,
        partner=offer.partner,
        funding_seconds=offer.funding_seconds,
        created_at=at,
        expires_at=at + timedelta(seconds=offer.quote_seconds),
    )


def accept(quote: Quote, fact: AcceptQuote) -> tuple[QuoteEvent, ...]:
    """Learn which transfer took it. Never refused: claim and expiry were judged where the transfer was opened."""
    assert quote is not None, "a transfer took a quote that we never made"
    if isinstance(quote, Accepted):
        assert quote.transfer_id == fact.transfer_id, "two transfers on one quote: the claim did not hold"
        return ()
    assert fact.opened_at < quote.terms.expires_at, "a transfer took a dead quote"
    return (QuoteAccepted(quote_id=fact.quote_id, transfer_id=fact.transfer_id, accepted_at=fact.opened_at),)


def expire(quote: Quote, wake: ExpireQuote, at: datetime) -> tuple[QuoteEvent, ...]:
    """Over, unless it was taken or the wake came too early."""
    if isinstance(quote, Offered) and at >= quote.terms.expires_at:
        return (QuoteExpired(quote_id=wake.quote_id, expired_at=at),)
    return ()


def evolve(quote: Quote, event: QuoteEvent) -> Quote:
    """Believes every stored event; asserts only what a bug in decide() could have broken."""
    match event:
        case QuoteCreated():
            return Offered(event)
        case QuoteAccepted(transfer_id=transfer_id):
            assert quote is not None, "accepted before it was created"
            return Accepted(quote.terms, transfer_id)
        case QuoteExpired():
            assert quote is not None, "expired before it was created"
            return Expired(quote.terms)
