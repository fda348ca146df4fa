"""Money neither appears nor disappears: every figure is checked against exact fractions."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.codec import decoder, encode
from services.kernel.money import (
    MINOR_MAX,
    RATE_TEXT,
    AmountOutOfRange,
    Currency,
    CurrencyMismatch,
    CurrencyUnsupported,
    Money,
    Rate,
    RateInvalid,
    RateText,
    exponent,
    iso4217,
    rate_text,
    share_rounded_up,
    total,
    zero,
)

JPY, GBP, ETB, KWD = iso4217("JPY"), iso4217("GBP"), iso4217("ETB"), iso4217("KWD")
PUBLISHED_AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

currencies = st.sampled_from((JPY, GBP, ETB, KWD))  # exponents 0, 2, 2, 3
minors = st.integers(min_value=0, max_value=10**9)  # the dearest conversion below stays in MINOR_MAX
every_rate = st.integers(min_value=0, max_value=12).flatmap(
    lambda places: st.integers(min_value=1, max_value=10 ** (9 + places) - 1).map(lambda n: Decimal(n).scaleb(-places))
)
rate_values = st.decimals(min_value="0.000001", max_value="999", places=6)


def rate(source: Currency, target: Currency, value: Decimal) -> Rate:
    return Rate(source, target, rate_text(value), "treasury", PUBLISHED_AT)


def major(money: Money) -> Fraction:
    """The amount in whole units, exact."""
    return Fraction(money.minor, 10 ** exponent(money.currency))


def smallest(currency: Currency) -> Fraction:
    return Fraction(1, 10 ** exponent(currency))


def test_exponents_are_those_of_iso_4217() -> None:
    assert [exponent(iso4217(code)) for code in ("ETB", "XOF", "JPY", "KWD", "GBP")] == [2, 0, 0, 3, 2]


@pytest.mark.parametrize("code", ["gbp", "GB", "", "GBPX", "XAU", "XXX", "£"])
def test_what_is_no_currency_with_minor_units_is_refused(code: str) -> None:
    with pytest.raises(CurrencyUnsupported):
        iso4217(code)


@pytest.mark.parametrize("minor", [-1, MINOR_MAX + 1, True, 1.0, Decimal(1), "1", None])
def test_minor_units_are_a_bounded_whole_number_and_nothing_else(minor: Any) -> None:
    with pytest.raises(AmountOutOfRange):
        Money(minor, GBP)


@pytest.mark.parametrize("minor", [0, MINOR_MAX])
def test_both_edges_of_the_range_are_money(minor: int) -> None:
    assert Money(minor, GBP).minor == minor


@given(minors, minors)
def test_what_is_added_can_be_taken_away_again(first: int, second: int) -> None:
    assert Money(first, GBP) + Money(second, GBP) - Money(second, GBP) == Money(first, GBP)


@given(st.lists(minors, max_size=20))
def test_a_total_is_the_sum_of_its_parts(parts: list[int]) -> None:
    assert total((Money(part, KWD) for part in parts), KWD) == Money(sum(parts), KWD)


@given(minors)
def test_more_than_there_is_cannot_be_taken_away(minor: int) -> None:
    with pytest.raises(AmountOutOfRange):
        Money(minor, GBP) - Money(minor + 1, GBP)


def test_a_sum_beyond_the_range_is_refused() -> None:
    with pytest.raises(AmountOutOfRange):
        Money(MINOR_MAX, GBP) + Money(1, GBP)


@pytest.mark.parametrize(
    "mix",
    [
        lambda: Money(1, GBP) + Money(1, ETB),
        lambda: Money(1, GBP) - Money(1, ETB),
        lambda: Money(1, GBP) < Money(2, ETB),
        lambda: Money(1, GBP) <= Money(1, ETB),
        lambda: total([Money(1, ETB)], GBP),
        lambda: rate(GBP, ETB, Decimal(1)).convert(Money(1, ETB)),
    ],
)
def test_two_currencies_never_mix(mix: Any) -> None:
    with pytest.raises(CurrencyMismatch):
        mix()


@given(minors, minors)
def test_order_is_that_of_the_minor_units(first: int, second: int) -> None:
    assert (Money(first, JPY) < Money(second, JPY), Money(first, JPY) <= Money(second, JPY)) == (
        first < second,
        first <= second,
    )


def test_only_no_money_is_false() -> None:
    assert (bool(zero(GBP)), bool(Money(1, GBP))) == (False, True)


@pytest.mark.parametrize(
    ("money", "text"),
    [(Money(5, JPY), "5 JPY"), (Money(5, GBP), "0.05 GBP"), (Money(1205, KWD), "1.205 KWD"), (zero(ETB), "0.00 ETB")],
)
def test_money_is_read_with_the_digits_of_its_currency(money: Money, text: str) -> None:
    assert str(money) == text


@given(currencies, currencies, minors, rate_values)
def test_a_conversion_is_the_exact_product_rounded_down(
    source: Currency, target: Currency, minor: int, value: Decimal
) -> None:
    exact = major(Money(minor, source)) * Fraction(value)

    converted = rate(source, target, value).convert(Money(minor, source))

    assert converted == Money(floor(exact / smallest(target)), target)


@given(currencies, currencies, minors, rate_values)
def test_a_conversion_creates_no_money_and_keeps_less_than_one_minor_unit(
    source: Currency, target: Currency, minor: int, value: Decimal
) -> None:
    converted = rate(source, target, value).convert(Money(minor, source))

    remainder = major(Money(minor, source)) * Fraction(value) - major(converted)
    assert 0 <= remainder < smallest(target)


@given(currencies, currencies, minors, minors, rate_values)
def test_splitting_an_amount_never_buys_more(
    source: Currency, target: Currency, first: int, second: int, value: Decimal
) -> None:
    first, second = first // 2, second // 2
    quoted = rate(source, target, value)
    together = quoted.convert(Money(first + second, source))

    assert quoted.convert(Money(first, source)) + quoted.convert(Money(second, source)) <= together


@given(currencies, currencies, minors, st.integers(min_value=1, max_value=10**6))
def test_there_and_back_never_gains(source: Currency, target: Currency, minor: int, millionths: int) -> None:
    there = Decimal(millionths).scaleb(-6)
    back = Decimal(floor(Fraction(10**12, millionths))).scaleb(-6)  # at most 1 / there

    returned = rate(target, source, back).convert(rate(source, target, there).convert(Money(minor, source)))

    assert returned <= Money(minor, source)


def test_a_conversion_beyond_the_range_is_refused() -> None:
    with pytest.raises(AmountOutOfRange):
        rate(GBP, ETB, Decimal(2)).convert(Money(MINOR_MAX, GBP))


def test_the_worked_example_of_the_design() -> None:
    assert rate(GBP, ETB, Decimal("205.128206")).convert(Money(97_50, GBP)) == Money(20_000_00, ETB)


@given(minors, st.integers(min_value=0, max_value=10_000))
def test_a_share_is_exact_and_rounded_up(minor: int, basis_points: int) -> None:
    exact = Fraction(minor * basis_points, 10_000)

    share = share_rounded_up(Money(minor, GBP), basis_points)

    assert share == Money(ceil(exact), GBP)


@given(minors, st.integers(min_value=0, max_value=10_000))
def test_a_share_is_never_more_than_the_whole(minor: int, basis_points: int) -> None:
    assert share_rounded_up(Money(minor, GBP), basis_points) <= Money(minor, GBP)


@pytest.mark.parametrize(
    "text",
    ["0", "0E-999999", "-1", "NaN", "sNaN", "Infinity", "1E+9", "1E-13", "1e999999", "1e-999999", "1234567890",
     "0.1234567890123", "1.0000000000000"],
)  # fmt: skip
def test_what_is_no_positive_bounded_decimal_is_no_rate(text: str) -> None:
    with pytest.raises(RateInvalid):
        rate_text(Decimal(text))


@pytest.mark.parametrize(
    "text",
    ["", "0", "0.000", "000", "-1", "NaN", "5E-7", "1E+2", "1.", ".5", "1\n", " 1", "1,5", "\u0661", "1234567890"],
)
def test_what_is_no_plain_positive_text_is_no_rate(text: str) -> None:
    with pytest.raises(RateInvalid):
        Rate(GBP, ETB, RateText(text), "treasury", PUBLISHED_AT)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.000001", "0.000001"), ("5E-7", "0.0000005"), ("1E-12", "0.000000000001"), ("999999999", "999999999"),
        ("999999999.999999999999", "999999999.999999999999"), ("1.10", "1.10"), ("1E+2", "100"), ("1E+8", "100000000"),
    ],
)  # fmt: skip
def test_the_edges_of_a_rate_are_plain_text(value: str, text: str) -> None:
    assert rate(GBP, ETB, Decimal(value)).value == text


@given(every_rate)
def test_every_rate_is_written_and_read_as_plain_text_without_a_change(value: Decimal) -> None:
    written = rate(GBP, ETB, value)

    assert RATE_TEXT.fullmatch(written.value)
    assert Decimal(written.value) == value
    assert f'"{written.value}"'.encode() in encode(written)
    assert decoder(Rate)(encode(written)) == written


def test_the_cheapest_rate_still_converts() -> None:
    assert rate(GBP, JPY, Decimal("5E-7")).convert(Money(10**9, GBP)) == Money(5, JPY)
