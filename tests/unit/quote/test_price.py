"""What an offer costs, at each edge of each number."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.money import CurrencyMismatch, Money, RateText, exponent, iso4217, rate_text
from services.quote.domain import (
    AmountOutsideLimits,
    Corridors,
    CorridorUnsupported,
    RateStale,
    fee_of,
    price,
)
from tests.unit.quote.samples import AT, CORRIDOR, ETB, GBP, OFFER, RATE, SEND, aged


def test_the_worked_example_of_the_design() -> None:
    assert (OFFER.fee, OFFER.spread, OFFER.converted, OFFER.receive) == (
        Money(2_00, GBP),
        Money(50, GBP),
        Money(97_50, GBP),
        Money(20_000_00, ETB),
    )


def test_an_offer_carries_the_version_and_the_promises_of_its_corridor() -> None:
    assert (OFFER.corridor_version, OFFER.tolerance, OFFER.rail, OFFER.partner) == (
        3,
        Money(50, GBP),
        "bank",
        "sandbox-bank",
    )
    assert (OFFER.quote_seconds, OFFER.funding_seconds, OFFER.rate) == (90, 3_600, RATE)


def test_another_currency_than_the_corridors_is_refused() -> None:
    with pytest.raises(CorridorUnsupported):
        price(CORRIDOR, Money(100_00, ETB), RATE, AT)


def test_an_unknown_corridor_is_refused() -> None:
    with pytest.raises(CorridorUnsupported):
        Corridors(1, {"GB-ET": CORRIDOR}).named("GB-XX")


def test_a_known_corridor_is_found() -> None:
    assert Corridors(1, {"GB-ET": CORRIDOR}).named("GB-ET") is CORRIDOR


@pytest.mark.parametrize("minor", [4_99, 10_000_01])
def test_an_amount_outside_the_limits_is_refused(minor: int) -> None:
    with pytest.raises(AmountOutsideLimits):
        price(CORRIDOR, Money(minor, GBP), RATE, AT)


@pytest.mark.parametrize("minor", [5_00, 10_000_00])
def test_both_limits_are_allowed(minor: int) -> None:
    assert price(CORRIDOR, Money(minor, GBP), RATE, AT).send == Money(minor, GBP)


def test_a_rate_at_its_highest_age_still_counts() -> None:
    assert price(CORRIDOR, SEND, aged(300), AT).rate == aged(300)


def test_a_rate_beyond_its_highest_age_is_stale() -> None:
    with pytest.raises(RateStale) as caught:
        price(CORRIDOR, SEND, aged(300, 1), AT)
    assert (caught.value.code, caught.value.status) == ("RATE_STALE", 503)


def test_a_rate_dated_a_little_ahead_counts() -> None:
    assert price(CORRIDOR, SEND, aged(-300), AT).rate == aged(-300)


def test_a_rate_dated_far_ahead_is_stale_because_it_would_never_age() -> None:
    with pytest.raises(RateStale):
        price(CORRIDOR, SEND, aged(-300, -1), AT)


def test_the_rate_of_another_pair_is_our_own_bug() -> None:
    with pytest.raises(AssertionError):
        price(CORRIDOR, SEND, replace(RATE, target=iso4217("KES")), AT)


@pytest.mark.parametrize(("minor", "fee_minor"), [(49_00, 1_50), (50_00, 1_50), (50_01, 1_51), (100_01, 2_01)])
def test_a_fee_is_rounded_up_and_never_below_its_minimum(minor: int, fee_minor: int) -> None:
    assert fee_of(CORRIDOR, Money(minor, GBP)) == Money(fee_minor, GBP)


@pytest.mark.parametrize("flat_minor", [4_95, 4_96])
def test_an_amount_that_fees_eat_up_is_refused(flat_minor: int) -> None:
    corridor = replace(CORRIDOR, fee_flat=Money(flat_minor, GBP), fee_basis_points=0, spread_basis_points=100)
    with pytest.raises(AmountOutsideLimits):
        price(corridor, Money(5_00, GBP), RATE, AT)


def test_an_amount_that_leaves_one_minor_unit_is_offered() -> None:
    corridor = replace(CORRIDOR, fee_flat=Money(4_94, GBP), fee_basis_points=0, spread_basis_points=100)
    assert price(corridor, Money(5_00, GBP), RATE, AT).converted == Money(1, GBP)


def test_an_offer_of_nothing_is_refused() -> None:
    with pytest.raises(AmountOutsideLimits):
        price(CORRIDOR, SEND, replace(RATE, value=RateText("0.000001")), AT)


@given(
    st.integers(min_value=5_00, max_value=10_000_00),
    st.decimals(min_value="0.3", max_value="999", places=6),
    st.sampled_from(("JPY", "ETB", "KWD")),
)
def test_every_offer_adds_up_and_rounds_in_our_favour(minor: int, value: Decimal, target_code: str) -> None:
    target = iso4217(target_code)
    corridor, rate = replace(CORRIDOR, target=target), replace(RATE, target=target, value=rate_text(value))

    offer = price(corridor, Money(minor, GBP), rate, AT)

    assert offer.fee + offer.spread + offer.converted == offer.send
    assert offer.fee.minor == max(1_50, 1_00 + ceil(Fraction(minor, 100)))
    assert offer.spread.minor == ceil(Fraction(minor, 200))
    assert offer.receive.minor == floor(offer.converted.minor * Fraction(value) * 10 ** exponent(target) / 100)


def test_limits_in_another_currency_are_never_compared() -> None:
    with pytest.raises(CurrencyMismatch):
        price(replace(CORRIDOR, send_max=Money(10_000_00, ETB)), SEND, RATE, AT)
