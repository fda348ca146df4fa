"""The position report: each figure against fractions by hand, and what it says when a rate is old or not there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.money import Currency, Money, Rate, iso4217, rate_text
from services.ledger.domain import fx

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
GBP, ETB, USD, KES, JPY, KWD, UGX = map(iso4217, ("GBP", "ETB", "USD", "KES", "JPY", "KWD", "UGX"))
currencies = st.sampled_from((GBP, ETB, JPY, KWD))
minors = st.integers(min_value=0, max_value=10**9)
values = st.decimals(min_value="0.000001", max_value="1000000", places=6)


def quoted(source: Currency, target: Currency, value: str, age_seconds: int = 0) -> fx.Quoted:
    rate = Rate(source, target, rate_text(Decimal(value)), "treasury", AT - timedelta(seconds=age_seconds))
    return fx.Quoted(rate, timedelta(seconds=300))


def holding(currency: Currency, bought: int = 0, sold: int = 0, **more: Any) -> fx.Holding:
    return fx.Holding(currency, bought, sold, more.get("spread", 0), more.get("rounding", 0), more.get("promises", ()))


def promise(source: Currency | None, taken: int, open_: int) -> fx.Promise:
    return fx.Promise(source, Fraction(taken), open_)


# the worked example: 97.50 GBP taken, 20,000.00 ETB promised, locked at 205.128206
TAKEN = holding(GBP, bought=97_50, spread=50)
PROMISED = holding(ETB, sold=20_000_00, promises=(promise(GBP, 97_50, 20_000_00),))


def by_currency(found: fx.Report) -> dict[str, fx.Valued]:
    return {each.holding.currency: each for each in found.positions}


def test_a_better_rate_than_the_locked_one_is_a_profit() -> None:
    found = fx.report([PROMISED, TAKEN], [quoted(GBP, ETB, "210")], GBP, AT)

    etb, gbp = by_currency(found)["ETB"], by_currency(found)["GBP"]
    assert [each.holding.currency for each in found.positions] == [ETB, GBP]
    assert (gbp.holding.position, etb.holding.position) == (97_50, -20_000_00)
    assert (gbp.value_minor, gbp.freshness, gbp.profit_minor, gbp.open_minor) == (97_50, "own", 0, 0)
    assert etb.value_minor == -95_24  # 20,000 / 210 = 95.238
    assert etb.profit_minor == 475_00  # 97.50 * 210 = 20,475.00
    assert (etb.open_minor, etb.unpriced_minor, etb.freshness, etb.stale) == (20_000_00, 0, "current", False)
    assert found.totals == fx.Totals(
        currency=GBP, value_minor=2_26, spread_minor=50, rounding_minor=0, profit_minor=2_26, missing=(), stale=()
    )


def test_a_worse_rate_is_a_loss() -> None:
    found = fx.report([TAKEN, PROMISED], [quoted(GBP, ETB, "200")], GBP, AT)

    assert by_currency(found)["ETB"].profit_minor == -500_00
    assert (found.totals.profit_minor, found.totals.value_minor) == (-2_50, -2_50)


def test_at_the_locked_rate_nothing_is_left_but_the_remainder_of_the_rounding() -> None:
    found = fx.report([TAKEN, PROMISED], [quoted(GBP, ETB, "205.128206")], GBP, AT)

    assert by_currency(found)["ETB"].profit_minor == 0


@given(currencies, currencies, minors, values)
def test_a_conversion_by_itself_is_worth_its_remainder_at_its_own_rate(
    source: Currency, target: Currency, minor: int, value: Decimal
) -> None:
    rate = quoted(source, target, str(value))
    if source == target or minor * rate.rate.per_minor > 10**14:
        return
    made = rate.rate.conversion(Money(minor, source))

    profit, _ = fx.profit_of(
        holding(target, sold=made.target.minor, promises=(promise(source, made.used.minor, made.target.minor),)),
        fx.Routes([rate]),
    )

    assert profit == made.remainder


@given(st.lists(st.tuples(minors, minors), min_size=1, max_size=5), values)
def test_the_total_is_the_exact_sum_rounded_once(sides: list[tuple[int, int]], value: Decimal) -> None:
    rates = [quoted(GBP, ETB, str(value))]
    holdings = [holding(ETB, bought=bought, sold=sold) for bought, sold in sides]

    found = fx.report(holdings, rates, GBP, AT)

    exact = Fraction(sum(bought - sold for bought, sold in sides)) / Fraction(value)
    assert abs(found.totals.value_minor - exact) <= Fraction(1, 2)


def test_what_was_sold_at_no_locked_rate_makes_no_profit_and_is_said() -> None:
    swept = holding(GBP, bought=10, sold=50, promises=(promise(None, 0, 40),))

    only = fx.report([swept], [], GBP, AT).positions[0]

    assert (only.profit_minor, only.unpriced_minor, only.open_minor, only.value_minor) == (0, 40, 40, -40)


def test_without_a_rate_the_position_stands_and_its_value_is_unknown() -> None:
    found = fx.report([TAKEN, PROMISED], [quoted(USD, KES, "129.35")], GBP, AT)

    etb = by_currency(found)["ETB"]
    assert (etb.holding.position, etb.value_minor, etb.profit_minor, etb.freshness) == (
        -20_000_00, None, None, "missing",
    )  # fmt: skip
    assert (found.totals.missing, found.totals.value_minor, found.totals.profit_minor) == ((ETB,), 97_50, 0)


def test_a_currency_without_a_way_to_the_reporting_one_has_its_profit_in_its_own() -> None:
    kes = holding(KES, sold=12_900_00, promises=(promise(USD, 100_00, 12_900_00),))

    found = fx.report([kes], [quoted(USD, KES, "129.35"), quoted(GBP, ETB, "205")], GBP, AT)

    only = found.positions[0]
    assert (only.value_minor, only.profit_minor, found.totals.missing) == (None, 35_00, (KES,))


def test_a_value_goes_through_other_published_rates_by_the_fewest() -> None:
    rates = [quoted(USD, KES, "130"), quoted(GBP, USD, "1.25"), quoted(GBP, KES, "160"), quoted(UGX, JPY, "0.04")]
    routes = fx.Routes(rates)

    assert routes.between(KES, GBP) == fx.Route(Fraction(1, 160), (rates[2],))
    assert routes.between(USD, GBP) == fx.Route(Fraction(100, 125), (rates[1],))
    assert routes.between(GBP, GBP) == fx.Route(Fraction(1))
    assert routes.between(JPY, KES) is None
    through = fx.Routes(rates[:2]).between(KES, GBP)
    assert through is not None
    assert (through.per_minor, set(through.by)) == (Fraction(100, 130 * 125), set(rates[:2]))


def test_of_two_rates_of_a_pair_the_later_one_counts() -> None:
    old, new = quoted(GBP, ETB, "190", 60), quoted(GBP, ETB, "205")
    for order in ([old, new], [new, old]):
        assert fx.Routes(order).between(GBP, ETB) == fx.Route(Fraction(205), (new,))


def test_a_published_direction_counts_before_the_inverse_of_the_other() -> None:
    there, back = quoted(GBP, ETB, "205"), quoted(ETB, GBP, "0.004")
    assert fx.Routes([there, back]).between(ETB, GBP) == fx.Route(Fraction(4, 1000), (back,))


@pytest.mark.parametrize(
    ("age_seconds", "freshness"), [(300, "current"), (301, "stale"), (-300, "current"), (-301, "stale")]
)
def test_a_rate_beyond_its_age_is_used_and_said_to_be_stale(age_seconds: int, freshness: str) -> None:
    found = fx.report([TAKEN, PROMISED], [quoted(GBP, ETB, "210", age_seconds)], GBP, AT)

    etb = by_currency(found)["ETB"]
    assert (etb.freshness, etb.stale, etb.profit_minor) == (freshness, freshness == "stale", 475_00)
    assert found.totals.stale == ((ETB,) if freshness == "stale" else ())


def test_one_old_rate_on_the_way_makes_the_value_stale() -> None:
    found = fx.report([holding(KES, bought=1)], [quoted(GBP, USD, "1.25", 301), quoted(USD, KES, "130")], GBP, AT)
    assert found.positions[0].freshness == "stale"


# what is posted


def test_an_amount_whose_minor_unit_buys_less_than_one_leaves_whole_ones_over() -> None:
    rate = quoted(UGX, KWD, "0.000083").rate

    assert fx.split(Money(1_024, UGX), Money(84, KWD), rate) == (Money(1_013, UGX), Money(11, UGX))


@given(currencies, currencies, minors, values)
def test_what_is_split_is_all_of_it(source: Currency, target: Currency, minor: int, value: Decimal) -> None:
    rate = quoted(source, target, str(value)).rate
    if minor * rate.per_minor > 10**14:
        return
    converted = Money(minor, source)

    used, rounding = fx.split(converted, rate.convert(converted), rate)

    assert used + rounding == converted
    assert rate.convert(used) == rate.convert(converted)


@pytest.mark.parametrize("receive", [Money(85, KWD), Money(83, KWD), Money(84, JPY)])
def test_a_fact_that_is_not_of_its_rate_is_posted_as_it_is_said(receive: Money) -> None:
    rate = quoted(UGX, KWD, "0.000083").rate
    assert fx.split(Money(1_024, UGX), receive, rate) == (Money(1_024, UGX), Money(0, UGX))


def test_a_fact_without_its_rate_is_posted_as_it_is_said() -> None:
    assert fx.split(Money(1_024, UGX), Money(84, KWD), None) == (Money(1_024, UGX), Money(0, UGX))


@pytest.mark.parametrize(
    ("exact", "text"),
    [(Fraction(205), "205"), (Fraction(1, 3), "0.333333333333"), (Fraction("129.35"), "129.35"), (Fraction(0), "0"),
     (Fraction(1, 10**13), "0"), (Fraction(100), "100")],
)  # fmt: skip
def test_a_rate_is_shown_in_plain_digits(exact: Fraction, text: str) -> None:
    assert fx.shown_rate(exact) == text


def test_who_publishes_changes_no_figure() -> None:
    rate = quoted(GBP, ETB, "210")
    other = fx.Quoted(replace(rate.rate, publisher="somebody"), rate.age_max)
    assert fx.report([PROMISED], [rate], GBP, AT).totals == fx.report([PROMISED], [other], GBP, AT).totals
