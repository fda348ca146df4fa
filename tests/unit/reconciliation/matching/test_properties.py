"""What holds for any books and any statements."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.money import Money
from services.reconciliation.domain.matching.causes import Cause
from services.reconciliation.domain.matching.left import Difference
from services.reconciliation.domain.matching.passes import PASSES, Result, match
from services.reconciliation.domain.matching.shape import Line, Match, Movement, Sheet
from services.reconciliation.domain.matching.undo import Undone
from tests.unit.reconciliation.matching.samples import EUR, GBP, POLICIES, booked, moved, part

NAMES = st.sampled_from([None, "X", "Y", "Z"])
WHERE: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"account": st.sampled_from("AAAB"), "side": st.sampled_from(["credit", "credit", "debit"]),
     "reversal": st.sampled_from([False, False, False, True])}
)  # fmt: skip
AMOUNTS = st.sampled_from([100, 97, 200, 300, 40, 60, 11, 23, 1])
MONEY = st.builds(Money, AMOUNTS, st.sampled_from([EUR, EUR, EUR, GBP]))


@st.composite
def movements(draw: st.DrawFn) -> tuple[Movement, ...]:
    return tuple(
        moved(f"m{n}", days=draw(st.integers(-2, 8)), ref=draw(NAMES), partner_reference=draw(NAMES),
              **{**draw(WHERE), "amount": draw(MONEY)})
        for n in range(draw(st.integers(0, 14)))
    )  # fmt: skip


@st.composite
def lines(draw: st.DrawFn) -> tuple[Line, ...]:
    return tuple(
        booked(f"l{n}", days=draw(st.none() | st.integers(-2, 8)), ref=draw(NAMES), own=draw(NAMES),
               **{**draw(WHERE), "amount": draw(MONEY), **draw(DETAILS)})
        for n in range(draw(st.integers(0, 14)))
    )  # fmt: skip


DETAILS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}, {}, {}, {"details": (part("X", 40), part("Y", 60))}, {"bank_transaction_code": "CHRG"}]
)
BOOKS = settings(max_examples=80, deadline=None)


def run(ours: tuple[Movement, ...], theirs: tuple[Line, ...], **other: Any) -> Result:
    return match(ours, theirs, POLICIES, **other)


@BOOKS
@given(ours=movements(), theirs=lines(), order=st.randoms())
def test_the_order_of_what_comes_in_changes_nothing(ours: Any, theirs: Any, order: Any) -> None:
    first = run(ours, theirs)
    assert run(tuple(order.sample(ours, len(ours))), tuple(order.sample(theirs, len(theirs)))) == first


@BOOKS
@given(ours=movements(), theirs=lines())
def test_each_is_in_one_match_or_in_one_difference(ours: Any, theirs: Any) -> None:
    result = run(ours, theirs)
    groups: tuple[Match | Difference, ...] = (*result.matches, *result.differences)
    assert Counter(key for group in groups for key in group.movements) == Counter(m.key for m in ours)
    assert Counter(key for group in groups for key in group.lines) == Counter(line.key for line in theirs)


def sums(entries: Any) -> Counter[Sheet]:
    found: Counter[Sheet] = Counter()
    for entry in entries:
        found[entry.sheet] += entry.amount.minor
    return found


@BOOKS
@given(ours=movements(), theirs=lines())
def test_no_money_is_lost_or_made(ours: Any, theirs: Any) -> None:
    result = run(ours, theirs)
    matched = {key for made in result.matches for key in (*made.movements, *made.lines)}
    for all_of, left in ((ours, result.movements), (theirs, result.lines)):
        assert sums(all_of) == sums(e for e in all_of if e.key in matched) + sums(left)


@BOOKS
@given(ours=movements(), theirs=lines())
def test_a_match_is_of_one_sheet_and_of_one_sum_but_for_its_fee(ours: Any, theirs: Any) -> None:
    known = {entry.key: entry for entry in (*ours, *theirs)}
    for made in run(ours, theirs).matches:
        assert {known[key].sheet for key in (*made.movements, *made.lines)} == {made.sheet}
        apart = sum(known[k].amount.minor for k in made.lines) - sum(known[k].amount.minor for k in made.movements)
        fee = made.fee.minor if made.fee else 0
        assert apart == (-fee if made.sheet.side == "credit" else fee)


@pytest.mark.parametrize("passes", range(1, len(PASSES)))
@settings(max_examples=25, deadline=None)
@given(ours=movements(), theirs=lines())
def test_no_pass_takes_what_a_surer_one_would_match(passes: int, ours: Any, theirs: Any) -> None:
    surer = PASSES[:passes]
    found = run(ours, theirs).matches
    done = {key for made in found if made.found_by in {step.name for step in surer} for key in made.movements}
    booked_already = {key for made in found if made.found_by in {step.name for step in surer} for key in made.lines}
    rest = tuple(m for m in ours if m.key not in done), tuple(x for x in theirs if x.key not in booked_already)
    assert run(*rest, passes=surer).matches == ()


@BOOKS
@given(ours=movements(), theirs=lines(), choice=st.randoms())
def test_what_was_undone_is_made_by_no_pass(ours: Any, theirs: Any, choice: Any) -> None:
    made = run(ours, theirs).matches
    undone = [
        Undone(match_id=str(m.match_id), movements=m.movements, lines=m.lines, reason="not ours", undone_by="anna")
        for m in made
        if choice.random() < 0.5
    ]
    again = {m.match_id for m in run(ours, theirs, undone=undone).matches}
    assert again.isdisjoint(m.match_id for m in made if str(m.match_id) in {u.match_id for u in undone})


@BOOKS
@given(ours=movements(), theirs=lines())
def test_a_second_run_leaves_what_stands(ours: Any, theirs: Any) -> None:
    first = run(ours[: len(ours) // 2], theirs[: len(theirs) // 2])
    assert run(ours, theirs, standing=first.matches).matches[: len(first.matches)] == first.matches


def test_many_that_could_be_each_other_are_one_difference_and_none_is_called_missing() -> None:
    ours = tuple(moved(f"m{n}", 100, days=n % 9) for n in range(60))
    theirs = tuple(booked(f"l{n}", 100, days=n % 9) for n in range(60))
    assert {d.cause for d in run(ours, theirs).differences} == {Cause.AMBIGUOUS}
