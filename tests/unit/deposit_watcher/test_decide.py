"""Which money is for whom, rung by rung, at each edge."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deposit.v1 import DepositConfirmed, DepositMismatched, DepositObserved, Mismatch
from services.deposit_watcher.domain.commands import ObserveDeposit, content_of
from services.deposit_watcher.domain.decide import decide
from services.deposit_watcher.domain.states import (
    ARRIVALS_MAX,
    TRANSITIONS,
    Closed,
    Confirmed,
    Deadlines,
    Expected,
    Mismatched,
    Unexpected,
    Unmatched,
    evolve,
)
from services.deposit_watcher.handlers import decider
from services.kernel.money import MINOR_MAX, Money
from tests.support.spec import Spec
from tests.unit.deposit_watcher.samples import (
    AT,
    AWAITED,
    CLOSE,
    CLOSED,
    CONFIRMED,
    DEADLINE,
    ENDED,
    ENDED_PAID,
    ENDED_SHORT,
    EUR,
    EXPECT,
    EXPECTED,
    GBP,
    GRACE_OVER,
    OTHER_ID,
    SHORT,
    STREAMS,
    TRANSFER_ID,
    UNEXPECTED,
    UNMATCHED,
    arrival,
    confirmed,
    early,
    eur,
    gbp,
    mismatched,
    observe,
    observed,
    reference_mismatched,
    taken,
    unknown,
)

route = Spec(decider(Deadlines()), AT)
Stream = tuple[Any, ...]


# --- the same money is counted once


@pytest.mark.parametrize("stream", STREAMS)
def test_the_same_report_again_changes_nothing_in_any_later_state(stream: Stream) -> None:
    report = observe(1, gbp(100_00))
    route.given(*stream).when(replace(report, seen=taken(report.content))).then_nothing()


@pytest.mark.parametrize("stream", STREAMS)
def test_a_reference_used_again_for_other_content_moves_no_money_in_any_state(stream: Stream) -> None:
    report = replace(observe(1, gbp(99_00)), seen=taken("other content"))
    given = route.given(*stream)
    given.when(report).then(reference_mismatched(1))
    assert evolve(given.state, reference_mismatched(1)) == given.state


@pytest.mark.parametrize("stream", STREAMS)
def test_the_same_other_content_again_is_not_said_twice(stream: Stream) -> None:
    report = replace(observe(1, gbp(99_00)), seen=taken("other content", conflicted=True))
    route.given(*stream).when(report).then_nothing()


def test_another_time_of_booking_is_the_same_deposit() -> None:
    report = observe(1, gbp(100_00))
    again = replace(report, booked_at=AT + timedelta(days=1), seen=taken(report.content))
    route.given(*CONFIRMED).when(again).then_nothing()


@pytest.mark.parametrize(
    "other",
    [
        content_of("other-bank", "R1", "RF18", gbp(1)),
        content_of("bank", "R2", "RF18", gbp(1)),
        content_of("bank", "R1", "RF19", gbp(1)),
        content_of("bank", "R1", "RF18", gbp(2)),
        content_of("bank", "R1", "RF18", eur(1)),
    ],
)
def test_partner_reference_route_amount_and_currency_are_the_content(other: str) -> None:
    assert content_of("bank", "R1", "RF18", gbp(1)) != other


def test_the_spelling_of_a_route_is_not_content() -> None:
    assert content_of("bank", "R1", "rf18 5390", gbp(1)) == content_of("bank", "R1", "RF185390", gbp(1))


# --- expected money


@pytest.mark.parametrize("minor", [99_50, 100_00, 100_50])
def test_money_inside_the_tolerance_is_confirmed(minor: int) -> None:
    route.given(*AWAITED).when(observe(1, gbp(minor))).then(observed(1, gbp(minor)), confirmed(gbp(minor), 1))
    route.given(*AWAITED).when(observe(1, gbp(minor))).then_state(Confirmed)


@pytest.mark.parametrize(("minor", "reason"), [(99_49, "short"), (100_51, "over"), (0, "short")])
def test_money_outside_the_tolerance_is_mismatched(minor: int, reason: Mismatch) -> None:
    route.given(*AWAITED).when(observe(1, gbp(minor))).then(observed(1, gbp(minor)), mismatched(reason, gbp(minor), 1))
    route.given(*AWAITED).when(observe(1, gbp(minor))).then_state(Mismatched)


def test_without_tolerance_only_the_exact_amount_confirms() -> None:
    strict = replace(EXPECTED, tolerance=gbp(0))
    route.given(strict).when(observe(1, gbp(100_00))).then_state(Confirmed)
    route.given(strict).when(observe(1, gbp(100_01))).then_state(Mismatched)


def test_money_in_another_currency_is_mismatched() -> None:
    route.given(*AWAITED).when(observe(1, eur(100_00))).then(
        observed(1, eur(100_00)), mismatched("wrong_currency", eur(100_00), 1)
    )


def test_money_at_the_deadline_is_late() -> None:
    route.given(*AWAITED).when(observe(1, gbp(100_00)), DEADLINE).then(
        observed(1, gbp(100_00), observed_at=DEADLINE), mismatched("late", gbp(100_00), 1, at=DEADLINE)
    )


def test_money_just_before_the_deadline_is_in_time() -> None:
    route.given(*AWAITED).when(observe(1, gbp(100_00)), DEADLINE - timedelta(microseconds=1)).then_state(Confirmed)


# --- split payments


def test_the_rest_of_a_split_payment_confirms_the_sum() -> None:
    route.given(*SHORT).when(observe(2, gbp(40_00))).then(observed(2, gbp(40_00)), confirmed(gbp(100_00), 1, 2))


def test_a_second_part_that_is_not_enough_is_judged_on_the_sum() -> None:
    route.given(*SHORT).when(observe(2, gbp(20_00))).then(
        observed(2, gbp(20_00)), mismatched("short", gbp(80_00), 1, 2)
    )


def test_a_second_part_that_is_too_much_is_judged_on_the_sum() -> None:
    route.given(*SHORT).when(observe(2, gbp(60_00))).then(
        observed(2, gbp(60_00)), mismatched("over", gbp(120_00), 1, 2)
    )


def test_a_late_second_part_makes_the_sum_late() -> None:
    route.given(*SHORT).when(observe(2, gbp(40_00)), DEADLINE).then(
        observed(2, gbp(40_00), observed_at=DEADLINE), mismatched("late", gbp(100_00), 1, 2, at=DEADLINE)
    )


def test_foreign_money_is_kept_apart_and_does_not_hinder_the_right_one() -> None:
    foreign = (EXPECTED, observed(1, eur(100_00)), mismatched("wrong_currency", eur(100_00), 1))
    route.given(*foreign).when(observe(2, gbp(100_00))).then(observed(2, gbp(100_00)), confirmed(gbp(100_00), 2))
    left = route.given(*foreign).when(observe(2, gbp(100_00))).then_state(Confirmed)
    assert [(pile.amount, pile.arrivals) for pile in left.piles] == [(eur(100_00), (arrival(1),))]


def test_foreign_money_beside_a_first_part_leaves_the_first_part_alone() -> None:
    route.given(*SHORT).when(observe(2, eur(40_00))).then(
        observed(2, eur(40_00)), mismatched("wrong_currency", eur(40_00), 2)
    )


# --- money after the end


def test_money_after_the_confirmation_is_surplus() -> None:
    route.given(*CONFIRMED).when(observe(2, gbp(100_00))).then(
        observed(2, gbp(100_00)), mismatched("surplus", gbp(100_00), 2)
    )
    route.given(*CONFIRMED).when(observe(2, gbp(100_00))).then_state(Confirmed)


def test_foreign_money_after_the_confirmation_is_surplus_too() -> None:
    route.given(*CONFIRMED).when(observe(2, eur(1))).then(observed(2, eur(1)), mismatched("surplus", eur(1), 2))


@pytest.mark.parametrize("stream", [ENDED, ENDED_PAID])
def test_money_on_a_closed_route_is_late_and_never_matched(stream: Stream) -> None:
    route.given(*stream).when(observe(2, gbp(100_00))).then(
        observed(2, gbp(100_00)), mismatched("late", gbp(100_00), 2)
    )
    route.given(*stream).when(observe(2, gbp(100_00))).then_state(Closed)


def test_the_missing_part_on_a_closed_route_confirms_nothing() -> None:
    route.given(*ENDED_SHORT).when(observe(2, gbp(40_00))).then(
        observed(2, gbp(40_00)), mismatched("late", gbp(100_00), 1, 2)
    )


@pytest.mark.parametrize("stream", [AWAITED, SHORT, CONFIRMED])
def test_the_end_of_the_transfer_closes_its_route(stream: Stream) -> None:
    route.given(*stream).when(CLOSE).then(CLOSED)
    route.given(*stream).when(CLOSE).then_state(Closed)


def test_a_route_is_closed_once() -> None:
    route.given(*ENDED).when(CLOSE).then_nothing()


@pytest.mark.parametrize("stream", [(), UNEXPECTED, UNMATCHED])
def test_the_end_of_a_transfer_that_nobody_expected_is_our_own_bug(stream: Stream) -> None:
    with pytest.raises(AssertionError):
        route.given(*stream).when(CLOSE).decide()


@pytest.mark.parametrize("stream", [AWAITED, ENDED])
def test_the_end_of_another_transfer_is_our_own_bug(stream: Stream) -> None:
    with pytest.raises(AssertionError):
        route.given(*stream).when(replace(CLOSE, transfer_id=OTHER_ID)).decide()


# --- money before its transfer


def test_money_that_nobody_expects_waits_in_its_grace() -> None:
    route.given().when(observe(1, gbp(100_00))).then(early(1, gbp(100_00)))
    route.given().when(observe(1, gbp(100_00))).then_state(Unexpected)


def test_more_of_it_waits_with_it() -> None:
    route.given(*UNEXPECTED).when(observe(2, gbp(1))).then(early(2, gbp(1)))


def test_after_its_grace_it_is_shown_to_a_person() -> None:
    route.given(*UNEXPECTED).when(GRACE_OVER).then(unknown(gbp(100_00), 1))
    route.given(*UNEXPECTED).when(GRACE_OVER).then_state(Unmatched)


def test_after_its_grace_each_currency_is_shown() -> None:
    route.given(*UNEXPECTED, early(2, eur(7)), early(3, gbp(1))).when(GRACE_OVER).then(
        unknown(eur(7), 2), unknown(gbp(100_01), 1, 3)
    )


@pytest.mark.parametrize("stream", [(), UNMATCHED, AWAITED, SHORT, CONFIRMED, ENDED])
def test_a_stale_grace_does_nothing(stream: Stream) -> None:
    route.given(*stream).when(GRACE_OVER).then_nothing()


def test_money_after_the_grace_is_shown_at_once_with_the_sum() -> None:
    route.given(*UNMATCHED).when(observe(2, gbp(5))).then(early(2, gbp(5)), unknown(gbp(100_05), 1, 2))
    route.given(*UNMATCHED).when(observe(2, gbp(5))).then_state(Unmatched)


def test_a_transfer_is_expected() -> None:
    route.given().when(EXPECT).then(EXPECTED)
    route.given().when(EXPECT).then_state(Expected)


@pytest.mark.parametrize("stream", [UNEXPECTED, UNMATCHED])
def test_waiting_money_is_confirmed_when_its_transfer_comes(stream: Stream) -> None:
    route.given(*stream).when(EXPECT).then(EXPECTED, confirmed(gbp(100_00), 1))
    route.given(*stream).when(EXPECT).then_state(Confirmed)


def test_waiting_money_that_does_not_fit_is_mismatched_when_its_transfer_comes() -> None:
    route.given(early(1, gbp(60_00))).when(EXPECT).then(EXPECTED, mismatched("short", gbp(60_00), 1))
    route.given(early(1, gbp(60_00))).when(EXPECT).then_state(Mismatched)


def test_foreign_waiting_money_does_not_hide_the_right_one() -> None:
    stream = (early(1, gbp(100_00)), early(2, eur(5)))
    route.given(*stream).when(EXPECT).then(EXPECTED, mismatched("wrong_currency", eur(5), 2), confirmed(gbp(100_00), 1))
    route.given(*stream).when(EXPECT).then_state(Confirmed)


def test_waiting_money_is_judged_by_the_time_it_came_not_by_the_time_we_heard_of_the_transfer() -> None:
    heard_late = DEADLINE + timedelta(hours=1)
    events = route.given(*UNEXPECTED).when(EXPECT, heard_late).decide()
    assert isinstance(events[1], DepositConfirmed)


def test_waiting_money_that_came_after_the_deadline_is_late() -> None:
    late = observed(1, gbp(100_00), transfer_id=None, observed_at=DEADLINE)
    events = route.given(late).when(EXPECT, DEADLINE + timedelta(hours=1)).decide()
    assert isinstance(events[1], DepositMismatched)
    assert events[1].reason == "late"


@pytest.mark.parametrize("stream", [AWAITED, SHORT, CONFIRMED, ENDED, ENDED_PAID])
def test_a_transfer_is_expected_once_in_any_later_state(stream: Stream) -> None:
    route.given(*stream).when(EXPECT).then_nothing()


def test_two_transfers_on_one_route_are_our_own_bug() -> None:
    with pytest.raises(AssertionError):
        route.given(*AWAITED).when(replace(EXPECT, transfer_id=OTHER_ID)).decide()


# --- bounds


def many(count: int, *, transfer: bool) -> Stream:
    """A route with `count` unresolved arrivals of one penny."""
    transfer_id = TRANSFER_ID if transfer else None
    money = tuple(observed(number, gbp(1), transfer_id=transfer_id) for number in range(count))
    return (EXPECTED, *money, mismatched("short", gbp(count), *range(count))) if transfer else money


def test_the_last_arrival_that_a_route_adds_up_is_in_the_sum() -> None:
    stream = many(ARRIVALS_MAX - 1, transfer=True)
    rest = 100_00 - (ARRIVALS_MAX - 1)
    events = route.given(*stream).when(observe(500, gbp(rest))).decide()
    assert isinstance(events[1], DepositConfirmed)
    assert len(events[1].arrivals) == ARRIVALS_MAX


def test_an_arrival_beyond_is_observed_and_stands_alone_before_a_person() -> None:
    given = route.given(*many(ARRIVALS_MAX, transfer=True))
    rest = gbp(100_00 - ARRIVALS_MAX)
    given.when(observe(500, rest)).then(observed(500, rest), mismatched("surplus", rest, 500))
    assert given.when(observe(500, rest)).then_state(Mismatched) == given.state


def test_an_arrival_beyond_on_an_unexpected_route_ends_the_grace_of_all() -> None:
    given = route.given(*many(ARRIVALS_MAX, transfer=False))
    given.when(observe(500, gbp(7))).then(
        early(500, gbp(7)), unknown(gbp(ARRIVALS_MAX), *range(ARRIVALS_MAX)), unknown(gbp(7), 500)
    )
    given.when(observe(500, gbp(7))).then_state(Unmatched)


def test_an_arrival_beyond_on_an_unmatched_route_stands_alone() -> None:
    stream = (*many(ARRIVALS_MAX, transfer=False), unknown(gbp(ARRIVALS_MAX), *range(ARRIVALS_MAX)))
    route.given(*stream).when(observe(500, gbp(7))).then(early(500, gbp(7)), unknown(gbp(7), 500))


def test_an_arrival_beyond_on_a_closed_route_is_late() -> None:
    stream = (*many(ARRIVALS_MAX, transfer=True), CLOSED)
    route.given(*stream).when(observe(500, gbp(7))).then(observed(500, gbp(7)), mismatched("late", gbp(7), 500))


def test_a_sum_beyond_what_money_can_be_is_not_added_up_and_not_refused() -> None:
    huge = gbp(MINOR_MAX)
    stream = (EXPECTED, observed(1, huge), mismatched("over", huge, 1))
    route.given(*stream).when(observe(2, gbp(1))).then(observed(2, gbp(1)), mismatched("surplus", gbp(1), 2))


def test_a_tolerance_at_the_end_of_the_range_is_no_overflow() -> None:
    expected = replace(EXPECTED, amount=gbp(MINOR_MAX), tolerance=gbp(MINOR_MAX))
    route.given(expected).when(observe(1, gbp(MINOR_MAX))).then_state(Confirmed)


# --- over any history


@given(st.lists(st.tuples(st.sampled_from((GBP, EUR)), st.integers(min_value=1, max_value=150_00)), max_size=12))
def test_all_money_is_observed_and_is_either_confirmed_once_or_unresolved(money: list[tuple[Any, int]]) -> None:
    state: Any = route.given(EXPECTED).state
    events: list[Any] = []
    for number, (currency, minor) in enumerate(money):
        for event in decide(state, observe(number, Money(minor, currency)), AT):
            state = evolve(state, event)
            events.append(event)

    confirmations = [event for event in events if isinstance(event, DepositConfirmed)]
    seen = sum(event.amount.minor for event in events if isinstance(event, DepositObserved))
    resolved = sum(event.amount.minor for event in confirmations)
    unresolved = sum(pile.amount.minor for pile in state.piles)
    assert seen == sum(minor for _, minor in money) == resolved + unresolved
    assert len(confirmations) <= 1


# --- the table


def test_the_table_of_states_is_what_the_code_does() -> None:
    reused = replace(observe(7, gbp(1)), seen=taken("other"))
    commands = (EXPECT, CLOSE, GRACE_OVER, reused, observe(8, gbp(40_00)), observe(9, gbp(1)), observe(9, gbp(100_00)))
    seen = set()
    for stream in STREAMS:
        for command in commands:
            state: Any = route.given(*stream).state
            try:
                events = decide(state, command, AT)
            except AssertionError:
                continue
            for event in events:
                after = evolve(state, event)
                seen.add((getattr(state, "state", "-"), type(event), getattr(after, "state", "-")))
                state = after

    assert seen == {row[:3] for row in TRANSITIONS}


def test_every_transition_is_listed_once() -> None:
    assert len(TRANSITIONS) == len({row[:3] for row in TRANSITIONS})


def test_observing_is_the_only_command_with_a_claim() -> None:
    assert [command for command in decider(Deadlines()).commands if hasattr(command, "seen")] == [ObserveDeposit]


@pytest.mark.parametrize("event", [confirmed(gbp(1), 1), CLOSED])
@pytest.mark.parametrize("stream", [(), UNEXPECTED])
def test_an_event_that_cannot_follow_is_our_own_bug(stream: Stream, event: Any) -> None:
    with pytest.raises(AssertionError):
        route.given(*stream, event)
