"""Conversions between every pair of exponents at every rate from 1e-6 to 1e6: L8 of the money rules, and what follows.

The oracle is written in integers alone: digits of the rate's text, powers of ten, and nothing of the code under test.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.kernel.money import (
    MINOR_MAX,
    Currency,
    CurrencyMismatch,
    Money,
    Rate,
    RateText,
    exponent,
    iso4217,
    rate_text,
    rounded_down,
    rounded_to_nearest,
    rounded_up,
    total,
)

BY_EXPONENT = {0: ("JPY", "XOF"), 2: ("GBP", "ETB"), 3: ("KWD", "BHD")}
PAIRS = [(iso4217(BY_EXPONENT[a][0]), iso4217(BY_EXPONENT[b][1])) for a, b in product(BY_EXPONENT, repeat=2)]
LOWEST, HIGHEST = Decimal("0.000001"), Decimal(1_000_000)
AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

every_pair = pytest.mark.parametrize(("source", "target"), PAIRS, ids=lambda currency: str(exponent(currency)))


def of_places(places: int) -> st.SearchStrategy[Decimal]:
    """Decimals of so many digits after the point, from 1e-6 to 1e6; as many below 1 as above."""
    least, unit, most = max(1, 10 ** (places - 6)), 10**places, 10 ** (places + 6)
    below = st.integers(min_value=min(least, unit), max_value=unit)
    return (below | st.integers(min_value=unit, max_value=most)).map(lambda digits: Decimal(digits).scaleb(-places))


rates = st.integers(min_value=0, max_value=12).flatmap(of_places)


@st.composite
def conversions(draw: st.DrawFn) -> tuple[str, int]:
    """A rate and an amount that stays money at it, whatever the pair: up to the largest that there is."""
    value = draw(rates)
    most = min(MINOR_MAX, int(MINOR_MAX / (value * 1000))) if value * 1000 > 1 else MINOR_MAX
    small = st.integers(min_value=0, max_value=min(most, 5_000))
    return rate_text(value), draw(small | st.integers(min_value=0, max_value=most))


def rate(source: Currency, target: Currency, value: str) -> Rate:
    return Rate(source, target, RateText(value), "treasury", AT)


def product_of(minor: int, quoted: Rate) -> tuple[int, int]:
    """Minor units of the target as numerator and denominator."""
    whole, _, rest = quoted.value.partition(".")
    over = int(whole + rest) * 10 ** exponent(quoted.target)
    return minor * over, 10 ** (len(rest) + exponent(quoted.source))


def test_the_rates_reach_from_a_millionth_to_a_million_and_every_pair_is_there() -> None:
    assert {(exponent(source), exponent(target)) for source, target in PAIRS} == set(product((0, 2, 3), repeat=2))
    for edge in (LOWEST, HIGHEST):
        quoted = rate(*PAIRS[0], rate_text(edge))
        assert quoted.convert(quoted.cost(Money(7, quoted.target))).minor >= 7


@given(rates)
def test_no_rate_is_drawn_from_outside(value: Decimal) -> None:
    assert LOWEST <= value <= HIGHEST


@every_pair
@given(conversions())
@example(("0.000001", MINOR_MAX))
@example(("1000000", 10**6))
def test_the_target_is_the_exact_product_rounded_down(
    source: Currency, target: Currency, drawn: tuple[str, int]
) -> None:
    quoted, minor = rate(source, target, drawn[0]), drawn[1]
    over, under = product_of(minor, quoted)

    converted = quoted.convert(Money(minor, source))

    assert converted == Money(over // under, target)
    assert converted.minor * under <= over < (converted.minor + 1) * under


@every_pair
@given(conversions())
def test_nothing_is_created_and_nothing_is_lost(source: Currency, target: Currency, drawn: tuple[str, int]) -> None:
    quoted, money = rate(source, target, drawn[0]), Money(drawn[1], source)
    over, under = product_of(money.minor, quoted)

    made = quoted.conversion(money)

    assert made.used + made.rounding == money
    worth_of_rounding = Fraction(*product_of(made.rounding.minor, quoted))
    assert made.target.minor + made.remainder + worth_of_rounding == Fraction(over, under)
    assert made.target.minor <= Fraction(over, under)


@every_pair
@given(conversions())
def test_the_remainder_is_below_one_minor_unit_of_either_currency(
    source: Currency, target: Currency, drawn: tuple[str, int]
) -> None:
    quoted = rate(source, target, drawn[0])
    one_of_source = Fraction(*product_of(1, quoted))

    remainder = quoted.conversion(Money(drawn[1], source)).remainder

    assert 0 <= remainder < 1
    assert remainder < one_of_source


@every_pair
@given(conversions())
def test_what_is_used_is_the_least_that_buys_as_much(
    source: Currency, target: Currency, drawn: tuple[str, int]
) -> None:
    quoted = rate(source, target, drawn[0])

    made = quoted.conversion(Money(drawn[1], source))

    assert quoted.convert(made.used) == made.target
    if made.used:
        assert quoted.convert(Money(made.used.minor - 1, source)) < made.target


@every_pair
@given(conversions())
def test_whole_minor_units_are_left_over_only_where_one_of_them_buys_less_than_one(
    source: Currency, target: Currency, drawn: tuple[str, int]
) -> None:
    quoted, money = rate(source, target, drawn[0]), Money(drawn[1], source)
    over, under = product_of(1, quoted)

    rounding = quoted.conversion(money).rounding

    assert rounding.minor * over < under, "it would have bought one more"
    if over >= under:
        assert not rounding


@every_pair
@given(conversions(), st.integers(min_value=0, max_value=10**6))
def test_more_never_buys_less(source: Currency, target: Currency, drawn: tuple[str, int], fewer: int) -> None:
    quoted, money = rate(source, target, drawn[0]), Money(drawn[1], source)
    smaller = Money(max(0, money.minor - fewer), source)

    assert quoted.convert(smaller) <= quoted.convert(money)
    assert quoted.cost(quoted.convert(smaller)) <= quoted.cost(quoted.convert(money))


@every_pair
@given(conversions(), rates)
def test_a_better_rate_never_buys_less(
    source: Currency, target: Currency, drawn: tuple[str, int], other: Decimal
) -> None:
    minor = min(drawn[1], 10**5)
    low, high = sorted((Decimal(drawn[0]), other))

    worse = rate(source, target, rate_text(low)).convert(Money(minor, source))

    assert worse <= rate(source, target, rate_text(high)).convert(Money(minor, source))


@every_pair
@given(conversions(), st.lists(st.integers(min_value=0, max_value=100), min_size=1, max_size=8))
def test_splitting_never_buys_more_and_loses_less_than_one_minor_unit_a_part(
    source: Currency, target: Currency, drawn: tuple[str, int], weights: list[int]
) -> None:
    quoted, money = rate(source, target, drawn[0]), Money(drawn[1], source)
    parts = [Money(money.minor * weight // (sum(weights) + 1), source) for weight in weights]
    parts.append(money - total(parts, source))

    bought = total((quoted.convert(part) for part in parts), target)

    assert bought <= quoted.convert(money)
    assert quoted.convert(money).minor - bought.minor < len(parts)


@every_pair
@given(conversions())
def test_what_an_amount_buys_costs_no_more_than_the_amount(
    source: Currency, target: Currency, drawn: tuple[str, int]
) -> None:
    quoted, money = rate(source, target, drawn[0]), Money(drawn[1], source)

    assert quoted.cost(quoted.convert(money)) <= money


@every_pair
@given(conversions())
def test_what_something_costs_buys_it_and_less_than_one_more_unit_of_the_coarser(
    source: Currency, target: Currency, drawn: tuple[str, int]
) -> None:
    quoted = rate(source, target, drawn[0])
    wanted = quoted.convert(Money(drawn[1], source))

    bought = quoted.convert(quoted.cost(wanted))

    assert wanted <= bought
    assert bought.minor - wanted.minor < max(Fraction(1), Fraction(*product_of(1, quoted)))


@every_pair
@given(conversions())
def test_there_and_back_never_gains(source: Currency, target: Currency, drawn: tuple[str, int]) -> None:
    quoted, money = rate(source, target, drawn[0]), Money(drawn[1], source)
    inverse = (1 / Fraction(quoted.value)) * 10**12
    back = rate(target, source, rate_text(Decimal(max(1, int(inverse))).scaleb(-12)))
    there = quoted.convert(money)

    if inverse >= 1:
        assert back.convert(there) <= money


@every_pair
def test_an_amount_of_another_currency_is_refused(source: Currency, target: Currency) -> None:
    quoted = rate(source, target, "1")
    for ask in (quoted.convert, quoted.conversion):
        with pytest.raises(CurrencyMismatch):
            ask(Money(1, target))
    with pytest.raises(CurrencyMismatch):
        quoted.cost(Money(1, source))


def test_publisher_and_time_change_no_amount() -> None:
    quoted = rate(iso4217("GBP"), iso4217("ETB"), "205.1234")
    other = replace(quoted, publisher="somebody else", published_at=AT.replace(year=2001))

    assert quoted.conversion(Money(97_50, quoted.source)) == other.conversion(Money(97_50, quoted.source))


@pytest.mark.parametrize(
    ("money", "value", "target", "bought", "used", "rounding", "remainder"),
    [
        (Money(97_50, iso4217("GBP")), "205.1234", "ETB", 1_999_953, 97_50, 0, "0.15"),
        (Money(100_00, iso4217("KES")), "0.0058", "GBP", 58, 100_00, 0, "0"),
        (Money(101_99, iso4217("KES")), "0.0058", "GBP", 59, 101_73, 26, "0.0034"),
        (Money(1_000, iso4217("UGX")), "0.000083", "KWD", 83, 1_000, 0, "0"),
        (Money(1_013, iso4217("UGX")), "0.000083", "KWD", 84, 1_013, 0, "0.079"),
        (Money(1_024, iso4217("UGX")), "0.000083", "KWD", 84, 1_013, 11, "0.079"),
        (Money(1_99, iso4217("GBP")), "0.000001", "JPY", 0, 0, 1_99, "0"),
    ],
)
def test_conversions_by_hand(
    money: Money, value: str, target: str, bought: int, used: int, rounding: int, remainder: str
) -> None:
    made = rate(money.currency, iso4217(target), value).conversion(money)

    assert (made.target.minor, made.used.minor, made.rounding.minor) == (bought, used, rounding)
    assert made.remainder == Fraction(remainder)


# the three roundings


@given(st.fractions())
def test_down_is_the_last_whole_one_that_is_not_above(exact: Fraction) -> None:
    minor, remainder = rounded_down(exact)
    assert (type(minor), minor + remainder) == (int, exact)
    assert 0 <= remainder < 1


@given(st.fractions())
def test_up_is_the_first_whole_one_that_is_not_below(exact: Fraction) -> None:
    minor, remainder = rounded_up(exact)
    assert (type(minor), minor - remainder) == (int, exact)
    assert 0 <= remainder < 1


@given(st.fractions() | st.integers().map(lambda n: Fraction(2 * n + 1, 2)))
def test_nearest_is_at_most_half_a_unit_away_and_a_half_goes_to_the_even(exact: Fraction) -> None:
    minor, remainder = rounded_to_nearest(exact)
    assert (type(minor), minor + remainder) == (int, exact)
    assert abs(remainder) <= Fraction(1, 2)
    if abs(remainder) == Fraction(1, 2):
        assert minor % 2 == 0
