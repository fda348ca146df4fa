"""Amounts of every exponent, there and back; and whatever is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.money import MINOR_MAX, Money, exponent, iso4217
from services.reconciliation.domain.statements.amounts import decimal_text, masked, money, our_reference, reference
from services.reconciliation.domain.statements.shape import BadLine

CURRENCIES = [iso4217(code) for code in ("JPY", "XOF", "GBP", "ETB", "KWD", "BHD")]  # 0, 0, 2, 2, 3, 3
amounts = st.builds(Money, st.integers(0, MINOR_MAX), st.sampled_from(CURRENCIES))


def text_of(amount: Money) -> str:
    return str(amount).split(" ")[0]


@given(amounts)
def test_an_amount_comes_back_as_it_was(amount: Money) -> None:
    assert money(text_of(amount), amount.currency) == amount


@given(amounts, st.sampled_from([(".", ","), (",", "."), (",", " "), (".", "'"), (",", "")]))
def test_so_it_does_in_every_spelling(amount: Money, marks: tuple[str, str]) -> None:
    mark, group = marks
    whole, _, fraction = text_of(amount).partition(".")
    grouped = f"{int(whole):,}".replace(",", group)
    written = f"{grouped}{mark}{fraction}" if fraction else grouped
    assert money(decimal_text(written, mark, group), amount.currency) == amount


@given(amounts, st.integers(1, 9))
def test_one_digit_too_many_is_refused_and_never_rounded(amount: Money, digit: int) -> None:
    text = text_of(amount)
    more = f"{text}{digit}" if "." in text else f"{text}.{digit}"
    assert len(more.partition(".")[2]) == exponent(amount.currency) + 1
    with pytest.raises(BadLine, match="decimals"):
        money(more, amount.currency)


@pytest.mark.parametrize("text", ["", "1,5", "1e3", "+1", "-1", ".5", "5.", "0x1", "1_000", "٣", "NaN", " 1", "9" * 19])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(BadLine):
        money(text, "GBP")


def test_an_amount_above_all_bounds_is_refused() -> None:
    with pytest.raises(BadLine, match="above"):
        money("99999999999999.99", "GBP")


@pytest.mark.parametrize("text", ["1.0000,00", "12.34,00", "1.234.56,00", ".123,00"])
def test_groups_are_of_three(text: str) -> None:
    with pytest.raises(BadLine):
        money(decimal_text(text, ",", "."), "EUR")


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (("Thank you RF18539007547034 Ada",), "RF18539007547034"),
        (("RF18 5390 0754 7034",), "RF18539007547034"),
        ((None, "transfer 9f3b2c64-0d1e-5b8a-b3b7-2f4a6c8e0d11."), "9f3b2c64-0d1e-5b8a-b3b7-2f4a6c8e0d11"),
        (("Ada Lovelace, rent",), None),
    ],
)
def test_only_references_of_ours_are_kept_of_what_a_person_wrote(
    texts: tuple[str | None, ...], found: str | None
) -> None:
    assert our_reference(*texts) == found


def test_a_reference_has_a_bound_and_no_control_characters() -> None:
    assert (reference("  A-1 "), reference(""), reference(None)) == ("A-1", None, None)
    for bad in ("x" * 141, "a\x1fb"):
        with pytest.raises(BadLine):
            reference(bad)


def test_a_mask_keeps_the_form_alone() -> None:
    assert masked("Ada-Zoë 12,50 ß;DE89") == "xxx-xxx 99,99 x;xx99"
