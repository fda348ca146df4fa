"""GET /v1/ledger/positions: what we hold and owe in each currency, and what it is worth at the published rates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from fractions import Fraction
from typing import Any, Literal, NamedTuple

from pydantic import Field
from starlette.responses import Response

from services.kernel.book import Reader
from services.kernel.book_positions import BookedPosition, positions
from services.kernel.http import json_reply
from services.kernel.internal import OVERSEERS, Callers
from services.kernel.money import Currency, CurrencyUnsupported, exponent, iso4217
from services.kernel.pages import Query, read_query
from services.kernel.routing import Request, Router
from services.kernel.strict_json import Body
from services.ledger.domain import fx
from services.ledger.domain.fx import Holding, Promise, Quoted, Route, Totals, Valued
from services.ledger.ports import Published, Rates, RatesUnavailable


class PositionsQuery(Query):
    """In which currency."""

    currency: str | None = Field(
        None, pattern="^[A-Z]{3}$", description="ISO 4217; the reporting currency, without it the one of the settings"
    )


class PublishedReply(Body):
    """Whether there are rates at all."""

    status: Literal["published", "unavailable", "not_configured"]
    detail: str | None = Field(description="why not")
    unpublished: list[str] = Field(description="corridors for whose pair nothing is published")


class RateUsedReply(Body):
    """How a currency is valued in the reporting one."""

    value: str = Field(description="units of it for one unit, at most 12 digits behind the point; figures use all")
    published_at: datetime = Field(description="the oldest of `by`")
    by: list[str] = Field(description="the published rates, one behind the other: `GBP/ETB sandbox-fx`")


class PositionReply(Body):
    """One currency. Amounts are its minor units, but `value_minor`."""

    currency: str
    bought_minor: int = Field(description="credited to fx_position: what came in")
    sold_minor: int = Field(description="debited to fx_position: what was promised or given away")
    position_minor: int = Field(description="above 0 ours to sell, below 0 promised and not bought yet")
    spread_minor: int = Field(description="realised: the balance of revenue:fx")
    rounding_minor: int = Field(description="realised: the balance of revenue:rounding")
    open_minor: int = Field(description="promised and not bought yet; the oldest are covered first")
    unpriced_minor: int = Field(description="of it, what was sold without a conversion: at no locked rate")
    profit_and_loss_minor: int | None = Field(
        description="unrealised: what is left when the open promises are bought now from what was taken for them; "
        "null without a published rate"
    )
    profit_and_loss_stale: bool = Field(description="made of a rate that is too old to quote on")
    value_minor: int | None = Field(description="of the position, in the reporting currency; null without a rate")
    rate_state: Literal["own", "current", "stale", "missing"] = Field(description="own: it is the reporting currency")
    rate: RateUsedReply | None


class PositionTotalsReply(Body):
    """In the reporting currency: each the exact sum of all that has a rate, rounded once."""

    currency: str
    value_minor: int = Field(description="what is left when every position is closed at these rates")
    spread_minor: int
    rounding_minor: int
    profit_and_loss_minor: int
    missing: list[str] = Field(description="currencies that a sum leaves out, for want of a rate")
    stale: list[str] = Field(description="currencies that are in at a rate that is too old to quote on")


class PositionsReply(Body):
    """All positions behind entry `entry_seq`, at the rates of `at`."""

    at: datetime
    entry_seq: int
    rates: PublishedReply
    positions: list[PositionReply]
    totals: PositionTotalsReply


class Desk(NamedTuple):
    """What the route needs; built in __main__."""

    store: Reader
    rates: Rates | None  # None: nobody is configured to ask
    reporting: Currency
    now: Callable[[], datetime]

    async def report(self, reporting: Currency) -> dict[str, Any]:
        """The books first: a rate is newer than what it values, never older than it need be."""
        booked = await positions(self.store, fx.POSITION, fx.SPREAD, fx.ROUNDING)
        known, status, detail = await self._published()
        at = self.now()
        found = fx.report(map(holding_of, booked.positions), known.rates, reporting, at)
        return {
            "at": at,
            "entry_seq": booked.entry_seq,
            "rates": {"status": status, "detail": detail, "unpublished": list(known.unpublished)},
            "positions": [_view(each, reporting) for each in found.positions],
            "totals": _totals_view(found.totals),
        }

    async def _published(self) -> tuple[Published, str, str | None]:
        if self.rates is None:
            return Published((), ()), "not_configured", "the ledger has no QUOTE_URL"
        try:
            return await self.rates.published(), "published", None
        except RatesUnavailable as error:
            return Published((), ()), "unavailable", str(error)


def holding_of(booked: BookedPosition) -> Holding:
    """As the domain reads it; of a promise that is covered in part, the same part of what was taken."""
    promises = tuple(
        Promise(
            iso4217(each.source) if each.source else None, Fraction(each.taken * each.open, each.promised), each.open
        )
        for each in booked.promises
    )
    return Holding(iso4217(booked.currency), booked.bought, booked.sold, booked.spread, booked.rounding, promises)


def _view(valued: Valued, reporting: Currency) -> dict[str, Any]:
    holding = valued.holding
    return {
        "currency": holding.currency,
        "bought_minor": holding.bought,
        "sold_minor": holding.sold,
        "position_minor": holding.position,
        "spread_minor": holding.spread,
        "rounding_minor": holding.rounding,
        "open_minor": valued.open_minor,
        "unpriced_minor": valued.unpriced_minor,
        "profit_and_loss_minor": valued.profit_minor,
        "profit_and_loss_stale": valued.stale,
        "value_minor": valued.value_minor,
        "rate_state": valued.freshness,
        "rate": _rate_view(valued.route, holding.currency, reporting) if valued.route and valued.route.by else None,
    }


def _rate_view(route: Route, currency: Currency, reporting: Currency) -> dict[str, Any]:
    per_unit = route.per_minor * Fraction(10 ** exponent(currency), 10 ** exponent(reporting))
    return {
        "value": fx.shown_rate(per_unit),
        "published_at": min(each.rate.published_at for each in route.by),
        "by": [_named(each) for each in route.by],
    }


def _named(quoted: Quoted) -> str:
    return f"{quoted.rate.source}/{quoted.rate.target} {quoted.rate.publisher}"


def _totals_view(totals: Totals) -> dict[str, Any]:
    return {
        "currency": totals.currency,
        "value_minor": totals.value_minor,
        "spread_minor": totals.spread_minor,
        "rounding_minor": totals.rounding_minor,
        "profit_and_loss_minor": totals.profit_minor,
        "missing": list(totals.missing),
        "stale": list(totals.stale),
    }


def position_routes(desk: Desk, callers: Callers) -> Router:
    """/v1/ledger/positions."""
    router = Router("/v1/ledger")

    @router.get(
        "/positions", query=PositionsQuery, reply=PositionsReply, roles=OVERSEERS,
        problems=(CurrencyUnsupported, "invalid-query"),
    )  # fmt: skip
    async def get_positions(request: Request) -> Response:
        """What we hold and owe in each currency, with its profit and loss at the rates that are published now."""
        callers.overseer(request.headers)
        wanted = read_query(request, PositionsQuery).currency
        return json_reply(await desk.report(iso4217(wanted) if wanted else desk.reporting))

    return router
