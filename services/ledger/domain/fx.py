"""What we hold and owe in each currency because of conversions, and what it is worth at the published rates. Pure.

A conversion credits `fx_position` of the currency that was taken and debits that of the currency that was promised.
What is promised and not bought yet is open, first in, first out: what comes in of a currency covers the oldest promise.
Between amounts and what is shown everything is exact; each shown figure is rounded once, to the nearest minor unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Literal, NamedTuple

from services.kernel.money import Currency, Money, Rate, rounded_to_nearest, zero

POSITION, SPREAD, ROUNDING = "fx_position", "revenue:fx", "revenue:rounding"
SHOWN_DIGITS = 12  # behind the point, of a rate that is made of others

Freshness = Literal["own", "current", "stale", "missing"]


class Quoted(NamedTuple):
    """A published rate, and how old it may be before nothing is promised on it."""

    rate: Rate
    age_max: timedelta


class Promise(NamedTuple):
    """What is open of the conversions out of one currency, in minor units."""

    source: Currency | None  # None: no conversion; a sale whose other side the books do not have
    taken: Fraction  # of `source`, at the locked rates
    open: int  # of the currency that was promised


class Holding(NamedTuple):
    """What the books say of one currency: its position and what conversions have earned. Minor units."""

    currency: Currency
    bought: int
    sold: int
    spread: int
    rounding: int
    promises: tuple[Promise, ...]

    @property
    def position(self) -> int:
        """Above 0: ours to sell. Below 0: promised and not bought yet."""
        return self.bought - self.sold


class Route(NamedTuple):
    """How one currency is valued in another: by published rates one behind the other, forwards or backwards."""

    per_minor: Fraction  # minor units of the other that one minor unit is worth
    by: tuple[Quoted, ...] = ()

    def freshness(self, at: datetime) -> Freshness:
        """As the quote service judges a rate: also one that is dated ahead is stale."""
        if not self.by:
            return "own"
        return "stale" if any(abs(at - each.rate.published_at) > each.age_max for each in self.by) else "current"


@dataclass(frozen=True, slots=True, kw_only=True)
class Valued:
    """A holding at the published rates; None where there is no rate to say it."""

    holding: Holding
    route: Route | None  # to the reporting currency
    freshness: Freshness
    value_minor: int | None  # of the position, in the reporting currency
    open_minor: int  # promised and not bought yet
    unpriced_minor: int  # of it, sold without a conversion: at no locked rate
    profit_minor: int | None  # what remains when the promises are bought now from what was taken; unrealised
    stale: bool  # a rate behind `profit_minor` is


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """In minor units of the reporting currency: each is the exact sum, rounded once. What has no rate is left out."""

    currency: Currency
    value_minor: int
    spread_minor: int
    rounding_minor: int
    profit_minor: int
    missing: tuple[Currency, ...]  # left out
    stale: tuple[Currency, ...]  # in it at a rate that is too old to promise anything on


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All holdings by currency."""

    positions: tuple[Valued, ...]
    totals: Totals


def split(converted: Money, receive: Money, rate: Rate | None) -> tuple[Money, Money]:
    """(`used`, `rounding`) of what was converted: the two lines opposite `receive`. A fact without its rate, or whose
    figures are not those of its rate, is posted as it is said, all of it as used: finding that is L8's."""
    if rate is None or (rate.source, rate.target) != (converted.currency, receive.currency):
        return converted, zero(converted.currency)
    made = rate.conversion(converted)
    return (made.used, made.rounding) if made.target == receive else (converted, zero(converted.currency))


def report(holdings: Iterable[Holding], quoted: Sequence[Quoted], reporting: Currency, at: datetime) -> Report:
    """Every holding, in the order of the currencies, and their sums in `reporting`."""
    routes = Routes(quoted)
    found = sorted(holdings, key=lambda each: each.currency)
    positions = tuple(_valued(each, routes, reporting, at) for each in found)
    return Report(positions=positions, totals=_totals(positions, routes, reporting, at))


class Routes:
    """Ways between currencies by the fewest rates."""

    def __init__(self, quoted: Sequence[Quoted]) -> None:
        """Of two rates of a pair the later one counts."""
        self._steps: dict[Currency, dict[Currency, Route]] = {}
        for each in sorted(quoted, key=lambda one: one.rate.published_at):
            rate = each.rate
            self._steps.setdefault(rate.source, {})[rate.target] = Route(rate.per_minor, (each,))
        for source, steps in [*self._steps.items()]:
            for target, route in [*steps.items()]:
                self._steps.setdefault(target, {}).setdefault(source, Route(_inverse(route.per_minor), route.by))

    def between(self, source: Currency, target: Currency) -> Route | None:
        """None where no chain of published rates leads there."""
        reached: dict[Currency, Route] = {source: Route(Fraction(1))}
        edge = [source]
        while edge and target not in reached:
            edge = [far for near in edge for far in self._beyond(near, reached)]
        return reached.get(target)

    def _beyond(self, near: Currency, reached: dict[Currency, Route]) -> list[Currency]:
        new = []
        for far, step in sorted(self._steps.get(near, {}).items()):
            if far not in reached:
                reached[far] = Route(reached[near].per_minor * step.per_minor, (*reached[near].by, *step.by))
                new.append(far)
        return new


def _inverse(exact: Fraction) -> Fraction:
    return Fraction(exact.denominator, exact.numerator)


def _valued(holding: Holding, routes: Routes, reporting: Currency, at: datetime) -> Valued:
    route = routes.between(holding.currency, reporting)
    profit, by = profit_of(holding, routes)
    return Valued(
        holding=holding,
        route=route,
        freshness=route.freshness(at) if route else "missing",
        value_minor=_shown(holding.position * route.per_minor) if route else None,
        open_minor=max(0, -holding.position),
        unpriced_minor=sum(each.open for each in holding.promises if each.source is None),
        profit_minor=None if profit is None else _shown(profit),
        stale=Route(Fraction(1), by).freshness(at) == "stale",
    )


def profit_of(holding: Holding, routes: Routes) -> tuple[Fraction | None, tuple[Quoted, ...]]:
    """What was taken for the open promises, at the current rates, less the promises: exact, in their own currency; and
    the rates that say so. None when one of them is not published."""
    profit, by = Fraction(0), tuple[Quoted, ...]()
    for each in holding.promises:
        if each.source is None:
            continue
        route = routes.between(each.source, holding.currency)
        if route is None:
            return None, ()
        profit, by = profit + each.taken * route.per_minor - each.open, (*by, *route.by)
    return profit, by


def _totals(positions: Sequence[Valued], routes: Routes, reporting: Currency, at: datetime) -> Totals:
    known = [(each, each.route) for each in positions if each.route is not None]
    profits = [(profit_of(each.holding, routes)[0], route) for each, route in known]
    unsaid = {each.holding.currency for each in positions if each.route is None or each.profit_minor is None}
    old = {each.holding.currency for each in positions if each.stale or each.freshness == "stale"}
    return Totals(
        currency=reporting,
        value_minor=_shown(_worth((each.holding.position, route) for each, route in known)),
        spread_minor=_shown(_worth((each.holding.spread, route) for each, route in known)),
        rounding_minor=_shown(_worth((each.holding.rounding, route) for each, route in known)),
        profit_minor=_shown(_worth((profit, route) for profit, route in profits if profit is not None)),
        missing=tuple(sorted(unsaid)),
        stale=tuple(sorted(old - unsaid)),
    )


def _worth(amounts: Iterable[tuple[int | Fraction, Route]]) -> Fraction:
    return sum((amount * route.per_minor for amount, route in amounts), Fraction(0))


def _shown(exact: Fraction) -> int:
    """The one rounding between the books and a reader."""
    return rounded_to_nearest(exact).minor


def shown_rate(per_unit: Fraction) -> str:
    """A rate in plain digits, at most 12 behind the point: for reading. Figures are made of the exact one."""
    digits = str(rounded_to_nearest(per_unit * 10**SHOWN_DIGITS).minor).rjust(SHOWN_DIGITS + 1, "0")
    return f"{digits[:-SHOWN_DIGITS]}.{digits[-SHOWN_DIGITS:]}".rstrip("0").rstrip(".")
