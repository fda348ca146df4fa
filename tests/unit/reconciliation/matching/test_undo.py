"""A match that a person took back is not made again, by any pass; what stands, stays."""

from __future__ import annotations

import pytest

from services.reconciliation.domain.matching.causes import Cause
from services.reconciliation.domain.matching.passes import match
from services.reconciliation.domain.matching.shape import Match, Pass
from services.reconciliation.domain.matching.undo import MatchNotFound, Undone, UndoReasonInvalid, undo
from tests.unit.reconciliation.matching.samples import FEE, Books, booked, given, moved, part

MADE = given(moved("m", ref="X")).against(booked("l", ref="X")).result.matches[0]
UNDONE = Undone(
    match_id=str(MADE.match_id), movements=("m",), lines=("l",), reason="another customer's", undone_by="anna"
)


def test_an_undo_says_who_what_and_why() -> None:
    assert undo(MADE, None, "  another customer's ", "anna") == (UNDONE,)


def test_undone_twice_is_undone_once() -> None:
    assert undo(None, UNDONE, "", "boris") == ()


def test_what_does_not_stand_cannot_be_undone() -> None:
    with pytest.raises(MatchNotFound):
        undo(None, None, "another customer's", "anna")


@pytest.mark.parametrize("reason", ["", "  wrong  ", "x" * 501])
def test_an_undo_has_a_reason(reason: str) -> None:
    with pytest.raises(UndoReasonInvalid):
        undo(MADE, None, reason, "anna")


BATCH = booked("l", 300, details=(part("X", 100), part("Y", 200)))
CASES = {
    Pass.EXACT_KEY: (given(moved("m", partner_reference="P")), [booked("l", own="P")]),
    Pass.REFERENCE_AND_AMOUNT: (given(moved("m", ref="X")), [booked("l", ref="X")]),
    Pass.AMOUNT_AND_DATE: (given(moved("m", ref="X")), [booked("l")]),
    Pass.BATCH_DETAILS: (given(moved("x", 100, ref="X"), moved("y", 200, ref="Y")), [BATCH]),
    Pass.REFERENCE_SUM: (given(moved("m", 100, ref="X")), [booked("a", 30, ref="X"), booked("b", 70, ref="X")]),
    Pass.MANY_TO_ONE: (given(moved("a", 11), moved("b", 23)), [booked("l", 34)]),
    Pass.ONE_TO_MANY: (given(moved("m", 34)), [booked("a", 11), booked("b", 23)]),
    Pass.FEE_TAKEN_OFF: (given(moved("m", ref="X")), [booked("l", 9_900, ref="X")]),
}


@pytest.mark.parametrize("found_by", CASES)
def test_what_was_undone_is_not_made_again(found_by: Pass) -> None:
    books, lines = CASES[found_by]
    (made,) = Books(*books.movements).against(*lines).result.matches
    assert made.found_by == found_by
    again = Books(*books.movements).undone(made).against(*lines).nothing_matched()
    assert {d.cause for d in again.result.differences} == {Cause.UNDONE}


def test_the_next_best_is_taken_instead() -> None:
    books = given(moved("m", ref="X")).undone(MADE).against(booked("l", ref="X"), booked("other", ref="X"))
    books.matched(Pass.REFERENCE_AND_AMOUNT, "m", "other")


def test_an_undone_pair_stays_apart_in_a_group_too() -> None:
    pair = Match(found_by=Pass.AMOUNT_AND_DATE, sheet=moved("a").sheet, movements=("a",), lines=("l",), evidence=())
    given(moved("a", 11), moved("b", 23)).undone(pair).against(booked("l", 34)).nothing_matched()


def test_a_line_that_is_no_fee_may_still_be_something_else() -> None:
    assert FEE.own_line
    fee = Match(found_by=Pass.FEE_LINE, sheet=moved("a").sheet, movements=(), lines=("l",), evidence=())
    given(moved("m", ref="X")).undone(fee).against(booked("l", ref="X")).matched(Pass.REFERENCE_AND_AMOUNT, "m", "l")


def test_an_id_follows_from_what_is_matched_and_not_from_how() -> None:
    other = given(moved("m", partner_reference="P")).against(booked("l", own="P")).result.matches[0]
    assert other.match_id == MADE.match_id


def test_what_stands_is_not_made_otherwise_by_what_comes_later() -> None:
    silent = given(moved("m", ref="X")).against(booked("l")).result
    later = match([moved("m", ref="X")], [booked("l"), booked("named", ref="X")], standing=silent.matches)
    assert later.matches == silent.matches
    assert [d.cause for d in later.differences] == [Cause.BOOKED_TWICE]
