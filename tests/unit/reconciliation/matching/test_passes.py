"""What each pass matches, rung by rung, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest

from services.kernel.money import Money
from services.reconciliation.domain.matching.causes import Cause
from services.reconciliation.domain.matching.passes import PASSES, match
from services.reconciliation.domain.matching.shape import Evidence, KeyTwice, Pass
from tests.unit.reconciliation.matching.samples import GBP, booked, given, moved, part


def test_every_pass_stands_in_the_table_once_and_in_its_order() -> None:
    assert [step.name for step in PASSES] == list(Pass)


def test_the_partners_own_key_is_enough() -> None:
    made = given(moved("m", partner_reference="P1", ref="X")).against(booked("l", own="P1", days=40)).matched(
        Pass.EXACT_KEY, "m", "l"
    )  # fmt: skip
    assert made.evidence == (
        Evidence("partner_reference", "P1", "P1"),
        Evidence("amount", "100.00 EUR", "100.00 EUR"),
        Evidence("date", "2026-11-23", "2027-01-02", 40),
    )


def test_a_key_with_another_amount_is_no_match() -> None:
    books = given(moved("m", partner_reference="P1")).against(booked("l", 10_001, own="P1")).nothing_matched()
    assert books.differs() == {(Cause.AMOUNT_DIFFERS, "m", "l")}


def test_our_reference_and_the_amount() -> None:
    given(moved("m", ref="X")).against(booked("l", ref="X", days=None)).matched(Pass.REFERENCE_AND_AMOUNT, "m", "l")


@pytest.mark.parametrize("other", ["X1", "х12", "X12 ", "x12"], ids=["cut", "homoglyph", "space", "case"])
def test_a_reference_that_looks_alike_is_left_to_a_person(other: str) -> None:
    books = given(moved("m", ref="X12")).against(booked("l", ref=other)).nothing_matched()
    assert books.differs() == {(Cause.REFERENCE_DIFFERS, "m", "l")}


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"amount": Money(10_000, GBP)}, Cause.CURRENCY_DIFFERS),
        ({"account": "B"}, Cause.ACCOUNT_DIFFERS),
        ({"side": "debit"}, Cause.SIDE_DIFFERS),
    ],
)
def test_never_across_currencies_accounts_or_sides(change: dict[str, Any], cause: Cause) -> None:
    books = given(moved("m", ref="X", partner_reference="P")).against(booked("l", ref="X", own="P", **change))
    assert books.nothing_matched().differs() == {(cause, "m", "l")}


@pytest.mark.parametrize("change", [{"account": "B"}, {"side": "debit"}, {"partner": "rail"}, {"reversal": True}])
def test_nor_where_nothing_is_named(change: dict[str, Any]) -> None:
    given(moved("m")).against(booked("l", **change)).nothing_matched()


@pytest.mark.parametrize("days", [-1, 0, 5])
def test_amount_and_day_within_the_window(days: int) -> None:
    made = given(moved("m", ref="X")).against(booked("l", days=days)).matched(Pass.AMOUNT_AND_DATE, "m", "l")
    assert made.evidence[-1].difference == days


@pytest.mark.parametrize("days", [-2, 6])
def test_a_day_outside_of_it_is_a_difference(days: int) -> None:
    books = given(moved("m", ref="X")).against(booked("l", days=days)).nothing_matched()
    assert books.differs() == {(Cause.DATE_DIFFERS, "m", "l")}


def test_two_that_it_could_be_are_left_with_both() -> None:
    books = given(moved("m1"), moved("m2", days=1)).against(booked("l")).nothing_matched()
    assert books.differs() == {(Cause.AMBIGUOUS, "m1 m2", "l")}


def test_one_that_two_could_be_is_left_with_both() -> None:
    books = given(moved("m")).against(booked("l1"), booked("l2", days=3)).nothing_matched()
    assert books.differs() == {(Cause.AMBIGUOUS, "m", "l1 l2")}


def test_who_is_called_by_name_is_not_taken_by_a_stranger_of_its_amount() -> None:
    books = given(moved("m", ref="X")).against(booked("half", 4_000, ref="X"), booked("rest", 6_000, ref="X"),
                                              booked("stranger"))  # fmt: skip
    assert books.found() == {(Pass.REFERENCE_SUM, "m", "half rest")}
    assert books.differs() == {(Cause.NOT_IN_OUR_BOOKS, "", "stranger")}


def test_a_batch_that_says_what_it_is_made_of() -> None:
    line = booked("l", 300, details=(part("X", 100), part("Y", 200)))
    given(moved("x", 100, ref="X"), moved("y", 200, ref="Y")).against(line).matched(Pass.BATCH_DETAILS, "x y", "l")


def test_a_batch_with_a_part_that_is_not_ours_is_left_whole() -> None:
    line = booked("l", 300, details=(part("X", 100), part("Z", 200)))
    books = given(moved("x", 100, ref="X"), moved("y", 200, ref="Y")).against(line).nothing_matched()
    assert (Cause.SUM_DIFFERS, "x", "l") in books.differs()


def test_a_batch_whose_parts_are_not_all_there_is_left_whole() -> None:
    line = booked("l", 300, details=(part("X", 100), part("Y", 200)), details_left_out=1)
    given(moved("x", 100, ref="X"), moved("y", 200, ref="Y")).against(line).nothing_matched()


def test_a_batch_names_one_movement_twice_and_it_counts_once() -> None:
    line = booked("l", 200, details=(part("X", 100), part("X", 100)))
    given(moved("x", 100, ref="X")).against(line).nothing_matched()


def test_a_split_settlement_under_one_name() -> None:
    made = given(moved("m", 100, ref="X")).against(booked("a", 30, ref="X"), booked("b", 70, ref="X"))
    assert made.matched(Pass.REFERENCE_SUM, "m", "a b").evidence[1] == Evidence("sum", "1.00 EUR", "1.00 EUR")


def test_parts_under_one_name_that_are_not_the_whole() -> None:
    books = given(moved("m", 100, ref="X")).against(booked("a", 30, ref="X"), booked("b", 69, ref="X"))
    assert books.nothing_matched().differs() == {(Cause.SUM_DIFFERS, "m", "a b")}


def test_all_of_a_day_in_one_line() -> None:
    day = [moved(f"m{n:02}", 100 + n, ref=f"R{n}") for n in range(40)]
    keys = " ".join(movement.key for movement in day)
    line = booked("l", sum(movement.amount.minor for movement in day), days=1)
    given(*day, moved("next", 77, days=1)).against(line).matched(Pass.MANY_TO_ONE, keys, "l")


def test_the_only_few_that_make_the_sum() -> None:
    given(moved("a", 11), moved("b", 23), moved("c", 41), moved("d", 85)).against(booked("l", 52)).matched(
        Pass.MANY_TO_ONE, "a c", "l"
    )  # fmt: skip


def test_two_ways_to_make_the_sum_are_none() -> None:
    given(moved("a", 10), moved("b", 40), moved("c", 20), moved("d", 30)).against(booked("l", 50)).nothing_matched()


def test_a_sum_that_two_lines_want_is_nobodys() -> None:
    movements = [moved("a", 11), moved("b", 23), moved("c", 41)]
    given(*movements).against(booked("l1", 34), booked("l2", 64)).nothing_matched()


def test_the_bound_of_a_search() -> None:
    movements = [moved(f"m{n:02}", 2**n) for n in range(12)]
    given(*movements).against(booked("l", 2**5 + 2**9)).matched(Pass.MANY_TO_ONE, "m05 m09", "l")
    given(*movements, moved("one more", 2**12)).against(booked("l", 2**5 + 2**9)).nothing_matched()


def test_one_movement_in_lines_that_name_nothing() -> None:
    lines = [booked("a", 11), booked("b", 23), booked("c", 41)]
    given(moved("m", 64, ref="X")).against(*lines).matched(Pass.ONE_TO_MANY, "m", "b c")


@pytest.mark.parametrize(("side", "minor"), [("credit", 9_700), ("debit", 10_300)])
def test_a_fee_taken_off_what_came_in_and_put_on_what_went_out(side: str, minor: int) -> None:
    made = given(moved("m", ref="X", side=side)).against(booked("l", minor, ref="X", side=side)).matched(
        Pass.FEE_TAKEN_OFF, "m", "l"
    )  # fmt: skip
    assert made.fee is not None
    assert made.fee.minor == 300


@pytest.mark.parametrize(
    ("ours", "theirs"), [(10_000, 9_699), (10_000, 10_001), (40_000, 39_499)], ids=["share", "more", "most"]
)
def test_a_fee_beyond_the_policy_is_a_difference(ours: int, theirs: int) -> None:
    books = given(moved("m", ours, ref="X")).against(booked("l", theirs, ref="X")).nothing_matched()
    assert books.differs() == {(Cause.AMOUNT_DIFFERS, "m", "l")}


def test_charges_that_the_line_states_are_the_fee_or_it_is_none() -> None:
    given(moved("m", ref="X")).against(booked("l", 9_900, ref="X", charges=Money(100, moved("m").amount.currency))
                                       ).matched(Pass.FEE_TAKEN_OFF, "m", "l")  # fmt: skip
    given(moved("m", ref="X")).against(booked("l", 9_900, ref="X", charges=Money(90, moved("m").amount.currency))
                                       ).nothing_matched()  # fmt: skip


def test_stated_charges_beyond_the_policy_have_their_own_cause() -> None:
    line = booked("l", 9_000, ref="X", charges=Money(1_000, moved("m").amount.currency))
    assert given(moved("m", ref="X")).against(line).differs() == {(Cause.FEE_BEYOND_POLICY, "m", "l")}


def test_a_fee_is_never_guessed_without_a_name() -> None:
    given(moved("m", ref="X")).against(booked("l", 9_900)).nothing_matched()


FEE_LINE: dict[str, Any] = {"side": "debit", "ref": "X", "bank_transaction_code": "CHRG"}


def test_a_fee_by_a_line_of_its_own() -> None:
    books = given(moved("m", ref="X")).against(booked("l", ref="X"), booked("f", 200, **FEE_LINE))
    assert books.found() == {(Pass.REFERENCE_AND_AMOUNT, "m", "l"), (Pass.FEE_LINE, "", "f")}
    assert books.differs() == set()


@pytest.mark.parametrize(
    "change", [{"bank_transaction_code": "PMNT"}, {"reversal": True}, {"side": "credit"}, {"ref": "Y"}]
)
def test_what_is_no_fee_line(change: dict[str, Any]) -> None:
    given(moved("m", ref="X")).against(booked("l", ref="X"), booked("f", 200, **{**FEE_LINE, **change})).matched(
        Pass.REFERENCE_AND_AMOUNT, "m", "l"
    )


def test_one_fee_for_one_payment() -> None:
    books = given(moved("m", ref="X")).against(
        booked("l", ref="X"), booked("f1", 200, **FEE_LINE), booked("f2", 200, days=1, **FEE_LINE)
    )
    assert (Pass.FEE_LINE, "", "f1") in books.found()
    assert books.differs() == {(Cause.EXTRA_LINE, "", "f2")}


def test_one_key_twice_is_refused() -> None:
    with pytest.raises(KeyTwice):
        match([moved("m"), moved("m", 7)], [])
    with pytest.raises(KeyTwice):
        match([], [booked("l"), booked("l")])
