"""What becomes of an open transfer, rung by rung."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.transfer.domain.commands import IllegalTransition, ReportOverdue, TransferNotFound
from services.transfer.domain.decide import decide
from services.transfer.domain.states import (
    TRANSITIONS,
    Completed,
    Deadlines,
    Funded,
    PayingOut,
    ReviewSent,
    ReviewUnsent,
    evolve,
)
from services.transfer.handlers import decider
from tests.support.spec import Spec
from tests.unit.transfer.samples import (
    AT,
    AWAITING,
    CANCEL,
    CANCELLED,
    COMMANDS,
    COMPLETE,
    COMPLETED,
    DONE,
    EXPIRE,
    EXPIRED,
    FUND,
    FUNDED,
    INITIATE,
    INITIATED,
    LATE,
    OPEN,
    OPENED,
    OTHER_ID,
    OVER,
    OVER_PAID,
    OVERDUE,
    PAID_IN,
    PAYING,
    REVIEW,
    REVIEWED,
    SENT,
    STREAMS,
    TERMS,
    TRANSFER_ID,
    UNSENT,
    WAKES,
    WITHDRAWN,
    WITHDRAWN_PAID,
)

transfer = Spec(decider(Deadlines()), AT)
Stream = tuple[Any, ...]

NEVER_FUNDED = [(), AWAITING, WITHDRAWN, OVER, WITHDRAWN_PAID, OVER_PAID]
WAITS = [
    (PAID_IN, "payout_overdue", "FUNDING_CONFIRMED", "payout"),
    (PAYING, "settlement_overdue", "PAYOUT_INITIATED", "settlement"),
    (UNSENT, "review_overdue", "PAYOUT_REVIEW_REQUIRED", "payout_review"),
    (SENT, "review_overdue", "PAYOUT_REVIEW_REQUIRED", "payout_review"),
    (WITHDRAWN_PAID, "late_funding_overdue", "CANCELLED", "late_funding"),
    (OVER_PAID, "late_funding_overdue", "EXPIRED", "late_funding"),
]


# --- cancel


def test_a_customer_withdraws_before_paying_in() -> None:
    transfer.given(*AWAITING).when(CANCEL).then(CANCELLED)


def test_withdrawing_twice_changes_nothing() -> None:
    transfer.given(*WITHDRAWN).when(CANCEL).then_nothing()


@pytest.mark.parametrize("stream", [PAID_IN, PAYING, UNSENT, SENT, DONE, OVER, OVER_PAID])
def test_a_customer_cannot_withdraw_later(stream: Stream) -> None:
    refusal = transfer.given(*stream).when(CANCEL).then_rejected(IllegalTransition)
    assert (refusal.code, refusal.status) == ("ILLEGAL_TRANSITION", 409)


@pytest.mark.parametrize("stream", STREAMS)
def test_the_transfer_of_another_customer_does_not_exist_for_us(stream: Stream) -> None:
    transfer.given(*stream).when(replace(CANCEL, customer_id=OTHER_ID)).then_rejected(TransferNotFound)


def test_a_transfer_that_was_never_opened_cannot_be_withdrawn() -> None:
    transfer.given().when(CANCEL).then_rejected(TransferNotFound)


# --- funding


def test_confirmed_money_funds_the_transfer() -> None:
    transfer.given(*AWAITING).when(FUND).then(FUNDED)
    transfer.given(*AWAITING).when(FUND).then_state(Funded)


def test_money_that_was_judged_in_time_funds_a_transfer_that_has_not_expired_yet() -> None:
    late_news = OPENED.funding_deadline + timedelta(seconds=30)
    transfer.given(*AWAITING).when(FUND, late_news).then(replace(FUNDED, confirmed_at=late_news))


@pytest.mark.parametrize("stream", [PAID_IN, PAYING, UNSENT, SENT, DONE])
def test_the_same_money_funds_once_in_any_later_state(stream: Stream) -> None:
    transfer.given(*stream).when(FUND).then_nothing()


@pytest.mark.parametrize("stream", [WITHDRAWN, OVER])
def test_money_for_a_transfer_that_has_ended_is_recorded(stream: Stream) -> None:
    transfer.given(*stream).when(FUND).then(LATE)


@pytest.mark.parametrize("stream", [WITHDRAWN_PAID, OVER_PAID])
def test_late_money_is_recorded_once_and_the_transfer_stays_ended(stream: Stream) -> None:
    transfer.given(*stream).when(FUND).then_nothing()
    assert transfer.given(*stream).state.state == transfer.given(*stream[:2]).state.state


def test_money_for_a_transfer_that_was_never_opened_is_our_own_bug() -> None:
    with pytest.raises(AssertionError):
        transfer.given().when(FUND).decide()


# --- payout


@pytest.mark.parametrize("stream", [PAID_IN, UNSENT])
def test_a_payout_that_may_have_left_is_an_initiation(stream: Stream) -> None:
    transfer.given(*stream).when(INITIATE).then(INITIATED)
    transfer.given(*stream).when(INITIATE).then_state(PayingOut)


@pytest.mark.parametrize("stream", [PAYING, SENT, DONE])
def test_an_initiation_is_said_once(stream: Stream) -> None:
    transfer.given(*stream).when(INITIATE).then_nothing()


@pytest.mark.parametrize("command", [INITIATE, COMPLETE])
@pytest.mark.parametrize("stream", [PAYING, SENT, DONE])
def test_a_second_payout_beside_the_first_is_our_own_bug(stream: Stream, command: Any) -> None:
    with pytest.raises(AssertionError):
        transfer.given(*stream).when(replace(command, payout_id=OTHER_ID)).decide()


@pytest.mark.parametrize("stream", [PAYING, SENT])
def test_a_confirmed_payout_completes_the_transfer(stream: Stream) -> None:
    transfer.given(*stream).when(COMPLETE).then(COMPLETED)
    transfer.given(*stream).when(COMPLETE).then_state(Completed)


@pytest.mark.parametrize("stream", [PAID_IN, UNSENT])
def test_a_confirmation_without_an_initiation_brings_it_along(stream: Stream) -> None:
    transfer.given(*stream).when(COMPLETE).then(INITIATED, COMPLETED)


def test_a_completed_transfer_is_completed_once() -> None:
    transfer.given(*DONE).when(COMPLETE).then_nothing()


def test_a_payout_that_needs_a_person_before_it_left_is_reviewed_as_unsent() -> None:
    transfer.given(*PAID_IN).when(REVIEW).then(REVIEWED)
    transfer.given(*PAID_IN).when(REVIEW).then_state(ReviewUnsent)


def test_a_payout_that_needs_a_person_after_it_left_is_reviewed_as_sent() -> None:
    transfer.given(*PAYING).when(REVIEW).then(REVIEWED)
    transfer.given(*PAYING).when(REVIEW).then_state(ReviewSent)


@pytest.mark.parametrize("stream", [UNSENT, SENT])
def test_a_person_is_called_once(stream: Stream) -> None:
    transfer.given(*stream).when(replace(REVIEW, reason="another")).then_nothing()


def test_a_later_word_takes_no_completion_back() -> None:
    transfer.given(*DONE).when(REVIEW).then_nothing()


@pytest.mark.parametrize("command", [INITIATE, COMPLETE, REVIEW])
@pytest.mark.parametrize("stream", NEVER_FUNDED)
def test_a_payout_of_a_transfer_that_was_never_funded_is_our_own_bug(stream: Stream, command: Any) -> None:
    with pytest.raises(AssertionError):
        transfer.given(*stream).when(command).decide()


# --- deadlines


def test_a_transfer_expires_at_its_funding_deadline() -> None:
    transfer.given(*AWAITING).when(EXPIRE, OPENED.funding_deadline).then(EXPIRED)


def test_a_wake_before_the_funding_deadline_does_nothing() -> None:
    transfer.given(*AWAITING).when(EXPIRE, OPENED.funding_deadline - timedelta(microseconds=1)).then_nothing()


@pytest.mark.parametrize("stream", [stream for stream in STREAMS if stream != AWAITING])
def test_a_stale_funding_deadline_does_nothing(stream: Stream) -> None:
    transfer.given(*stream).when(EXPIRE, OPENED.funding_deadline + timedelta(days=1)).then_nothing()


@pytest.mark.parametrize(("stream", "wake", "state", "queue"), WAITS)
def test_a_wait_that_lasted_too_long_calls_a_person_and_changes_no_state(
    stream: Stream, wake: str, state: str, queue: str
) -> None:
    given = transfer.given(*stream)
    amount = TERMS.receive if queue in {"settlement", "payout_review"} else FUNDED.received
    overdue = replace(OVERDUE, state=state, queue=queue, amount=amount)
    given.when(ReportOverdue(transfer_id=TRANSFER_ID, wake=wake)).then(overdue)
    assert given.when(ReportOverdue(transfer_id=TRANSFER_ID, wake=wake)).then_state(type(given.state)) == given.state


@pytest.mark.parametrize("wake", WAKES)
@pytest.mark.parametrize("stream", STREAMS)
def test_a_stale_wake_does_nothing(stream: Stream, wake: str) -> None:
    if (stream, wake) not in {(waiting[0], waiting[1]) for waiting in WAITS}:
        transfer.given(*stream).when(ReportOverdue(transfer_id=TRANSFER_ID, wake=wake)).then_nothing()


# --- the table


def test_the_table_of_states_is_what_the_code_does() -> None:
    seen = set()
    commands: tuple[Any, ...] = COMMANDS
    for stream in STREAMS:
        for command in commands:
            state: Any = transfer.given(*stream).state
            try:
                events = decide(state, command, AT if command is OPEN else OPENED.funding_deadline)
            except (AssertionError, IllegalTransition, TransferNotFound):
                continue
            for event in events:
                after = evolve(state, event)
                seen.add((getattr(state, "state", "-"), type(event), getattr(after, "state", "-")))
                state = after

    assert seen == {row[:3] for row in TRANSITIONS}


def test_every_transition_is_listed_once() -> None:
    assert len(TRANSITIONS) == len({row[:3] for row in TRANSITIONS})


@pytest.mark.parametrize("event", [FUNDED, CANCELLED, INITIATED, OVERDUE, LATE])
def test_an_event_before_the_opening_is_our_own_bug(event: Any) -> None:
    with pytest.raises(AssertionError):
        evolve(None, event)


@pytest.mark.parametrize(("stream", "event"), [(AWAITING, INITIATED), (AWAITING, COMPLETED), (PAID_IN, LATE)])
def test_an_event_that_cannot_follow_is_our_own_bug(stream: Stream, event: Any) -> None:
    with pytest.raises(AssertionError):
        transfer.given(*stream, event)
