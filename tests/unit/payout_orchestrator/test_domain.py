"""What a payout makes of what is said to it. Every rung of every decision, and the edge of every number."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

import services.payout_orchestrator.domain.commands as c
from contracts.payout.v1 import (
    PayoutDeferred,
    PayoutReviewRequired,
)
from services.kernel.money import Money, iso4217
from services.payout_orchestrator.domain import states as s
from services.payout_orchestrator.domain.decide import CONTRADICTIONS_MAX
from services.payout_orchestrator.domain.policy import Deadlines, backoff, rules
from services.payout_orchestrator.handlers import decider
from tests.support.spec import Spec
from tests.unit.payout_orchestrator.samples import (
    ACCEPT,
    ACCEPTED,
    AFTER,
    AMOUNT,
    APPROVED,
    AT,
    BEGIN,
    BY_HAND,
    CONFIRM,
    CONFIRMED,
    DEFER,
    DEFERRED,
    DEFERRED_ONCE,
    DENY,
    DONE,
    ETB,
    LIMITS,
    LOSE,
    LOST,
    NOT_KNOWN,
    NOT_SENT,
    OTHER_AMOUNT,
    OUT,
    OVERDUE,
    PAYOUT,
    PENDING,
    READY,
    REFUSE,
    REFUSE_LATER,
    REFUSED,
    REFUSED_ONCE,
    REQUEST,
    REQUESTED,
    REVIEWED,
    SECOND,
    SENT,
    SUBMITTING,
    TICK,
    UNKNOWN,
    UNREADABLE,
    UNSENT,
    WAITING,
    WAITS,
    contradiction,
    given,
    review,
    submitting,
    unknown_at,
    unsaid,
    unsent,
    wake,
)

# request


def test_a_payout_at_the_limit_is_approved_by_the_rule_in_the_same_decision() -> None:
    given().when(REQUEST).then(REQUESTED, APPROVED)


def test_a_minor_unit_above_the_limit_waits_for_somebody() -> None:
    more = Money(2_000_001, ETB)
    given().when(replace(REQUEST, amount=more)).then(replace(BY_HAND, amount=more))


def test_a_currency_without_a_limit_always_waits_for_somebody() -> None:
    kes = Money(1, iso4217("KES"))
    given().when(replace(REQUEST, amount=kes)).then(replace(BY_HAND, amount=kes))


@pytest.mark.parametrize("past", [WAITING, READY, OUT, DONE])
def test_requesting_again_changes_nothing(past: tuple[object, ...]) -> None:
    given(*past).when(REQUEST).then_nothing()


# begin submit


def test_an_approved_payout_is_submitted_under_a_lease() -> None:
    given(*READY).when(BEGIN).then(SUBMITTING)


def test_a_submission_after_a_deferral_is_the_next_attempt() -> None:
    given(*OUT, DEFERRED).when(BEGIN).then(submitting(2))


def test_a_second_worker_stays_away_while_the_lease_lives() -> None:
    given(*OUT).when(BEGIN, SUBMITTING.lease_until - TICK).then_nothing()


def test_a_second_worker_after_the_lease_finds_the_outcome_unknown_and_never_sends_again() -> None:
    at = SUBMITTING.lease_until
    given(*OUT).when(BEGIN, at).then(unknown_at(at, "lease over"))


def test_a_moment_before_its_deadline_it_is_still_submitted() -> None:
    at = AT + LIMITS.submission - TICK
    given(*DEFERRED_ONCE).when(BEGIN, at).then(replace(submitting(2), submitting_at=at, lease_until=at + LIMITS.lease))


@pytest.mark.parametrize("past", [READY, DEFERRED_ONCE, unsent(3)])
def test_from_its_deadline_on_nothing_is_submitted_and_a_person_decides(past: tuple[object, ...]) -> None:
    at = AT + LIMITS.submission
    given(*past).when(BEGIN, at).then(review("not submitted in time", at))


@pytest.mark.parametrize("past", [(), WAITING, ACCEPTED, LOST, REVIEWED, REFUSED_ONCE, DONE])
def test_nothing_else_is_ever_submitted(past: tuple[object, ...]) -> None:
    given(*past).when(BEGIN, AT + timedelta(days=2)).then_nothing()


@pytest.mark.parametrize("past", [(), WAITING, READY, OUT, ACCEPTED, LOST, REVIEWED, DONE])
def test_beginning_to_ask_writes_nothing(past: tuple[object, ...]) -> None:
    given(*past).when(c.BeginAsk(payout_id=PAYOUT)).then_nothing()


# the answer to a submission


def test_an_accepted_payout_is_sent() -> None:
    given(*OUT).when(ACCEPT).then(SENT)


def test_an_acceptance_that_comes_after_the_lease_still_counts() -> None:
    given(*LOST).when(ACCEPT).then(SENT)


@pytest.mark.parametrize("past", [(), WAITING, READY, ACCEPTED, REVIEWED, REFUSED_ONCE, DONE])
def test_an_acceptance_changes_nothing_elsewhere(past: tuple[object, ...]) -> None:
    given(*past).when(ACCEPT).then_nothing()


def test_a_deferred_payout_waits_for_its_next_retry() -> None:
    given(*OUT).when(DEFER).then(DEFERRED)


def test_the_pause_doubles_with_each_attempt() -> None:
    given(*READY, submitting(3)).when(replace(DEFER, attempt=3)).then(
        replace(DEFERRED, attempts=3, next_retry_at=AT + 20 * SECOND)
    )


def test_a_partner_that_names_a_later_time_gets_it() -> None:
    given(*OUT).when(replace(DEFER, retry_after_seconds=6)).then(replace(DEFERRED, next_retry_at=AT + 6 * SECOND))


def test_a_partner_that_names_an_earlier_time_does_not_shorten_our_pause() -> None:
    given(*OUT).when(replace(DEFER, retry_after_seconds=4)).then(DEFERRED)


def test_a_partner_cannot_ask_for_more_than_our_longest_pause() -> None:
    given(*OUT).when(replace(DEFER, retry_after_seconds=10**6)).then(
        replace(DEFERRED, next_retry_at=AT + LIMITS.retry_max)
    )


def test_the_last_attempt_but_one_is_tried_again() -> None:
    events = given(*READY, submitting(7)).when(replace(DEFER, attempt=7)).decide()
    assert [type(event) for event in events] == [PayoutDeferred]


def test_the_last_attempt_falls_to_a_person_in_the_same_decision() -> None:
    events = given(*READY, submitting(8)).when(replace(DEFER, attempt=8)).decide()
    assert [type(event) for event in events] == [PayoutDeferred, PayoutReviewRequired]


def test_the_late_deferral_of_an_older_attempt_says_nothing_about_the_one_that_is_out() -> None:
    given(*READY, submitting(2)).when(DEFER).then_nothing()


def test_an_attempt_of_which_nothing_left_us_is_told_apart() -> None:
    given(*OUT).when(NOT_SENT).then(UNSENT)


@pytest.mark.parametrize("times", [7, 8, 50])
def test_a_partner_that_cannot_be_reached_spends_no_attempts(times: int) -> None:
    last = times + 1
    events = given(*unsent(times), submitting(last)).when(replace(NOT_SENT, attempt=last)).decide()
    assert [type(event) for event in events] == [PayoutDeferred]


def test_an_attempt_that_left_us_counts_whatever_did_not_leave_us_before() -> None:
    seven = [event for number in range(51, 58) for event in (submitting(number), replace(DEFERRED, attempts=number))]
    past = (*unsent(50), *seven, submitting(58))
    events = given(*past).when(replace(DEFER, attempt=58)).decide()
    assert [type(event) for event in events] == [PayoutDeferred, PayoutReviewRequired]
    events = given(*past).when(replace(NOT_SENT, attempt=58)).decide()
    assert [type(event) for event in events] == [PayoutDeferred]


def test_an_attempt_that_may_have_left_us_counts_and_stays_unknown_until_it_was_asked_for() -> None:
    past = (*unsent(50), submitting(51))
    given(*past).when(replace(LOSE, attempt=51)).then(UNKNOWN)
    given(*past, UNKNOWN).when(DENY).then(NOT_KNOWN)
    assert given(*past, UNKNOWN, NOT_KNOWN).state.attempts - given(*past, UNKNOWN, NOT_KNOWN).state.unsent == 1


@pytest.mark.parametrize("fact", [NOT_SENT, DEFER])
def test_a_deferral_at_the_deadline_falls_to_a_person_in_the_same_decision(fact: c.RecordDeferred) -> None:
    at = AT + LIMITS.submission
    events = given(*OUT).when(fact, at).decide()
    assert events[1:] == (review("not submitted in time", at),)
    assert [type(event) for event in given(*OUT).when(fact, at - TICK).decide()] == [PayoutDeferred]


def test_a_deferral_leaves_the_deadline_where_it_was() -> None:
    later = replace(UNSENT, deferred_at=AT + SECOND, next_retry_at=AT + 6 * SECOND)
    assert given(*OUT, later).state.deadline == AT + LIMITS.submission


@pytest.mark.parametrize("past", [(), WAITING, READY, ACCEPTED, LOST, REVIEWED, DONE])
def test_only_what_is_being_submitted_can_be_deferred(past: tuple[object, ...]) -> None:
    given(*past).when(DEFER).then_nothing()


def test_no_usable_answer_means_unknown() -> None:
    given(*OUT).when(LOSE).then(UNKNOWN)


def test_an_older_attempt_without_an_answer_says_nothing_about_the_one_that_is_out() -> None:
    given(*READY, submitting(2)).when(LOSE).then_nothing()


def test_an_unreadable_callback_on_a_sent_payout_changes_nothing_so_that_its_deadline_comes() -> None:
    given(*ACCEPTED).when(UNREADABLE).then_nothing()


def test_an_unreadable_callback_waits_for_the_call_that_is_out() -> None:
    given(*OUT).when(UNREADABLE).then_nothing()


def test_an_attempt_without_an_answer_does_not_unsay_an_acceptance() -> None:
    given(*ACCEPTED).when(LOSE).then_nothing()


@pytest.mark.parametrize("past", [(), WAITING, READY, LOST, REVIEWED, DONE])
def test_elsewhere_no_answer_is_no_news(past: tuple[object, ...]) -> None:
    given(*past).when(UNREADABLE).then_nothing()


# refusals


@pytest.mark.parametrize("past", [OUT, ACCEPTED, LOST, REVIEWED])
def test_a_definite_refusal_falls_to_a_person(past: tuple[object, ...]) -> None:
    given(*past).when(REFUSE).then(REFUSED)
    assert given(*past).when(REFUSE).then_state(s.ManualReview).refusal == "AC04"


@pytest.mark.parametrize("past", [ACCEPTED, LOST, REVIEWED])
def test_a_refusal_by_callback_or_poll_counts_like_one_by_answer(past: tuple[object, ...]) -> None:
    given(*past).when(REFUSE_LATER).then(REFUSED)


def test_a_refusal_by_callback_waits_for_the_call_that_is_out() -> None:
    given(*OUT).when(REFUSE_LATER).then_nothing()


@pytest.mark.parametrize("last", [submitting(2), replace(SENT)])
def test_the_refusal_of_an_older_attempt_is_dropped(last: object) -> None:
    given(*OUT, DEFERRED, submitting(2), *([last] if last == SENT else [])).when(REFUSE).then_nothing()


def test_a_refusal_of_what_will_be_sent_again_is_dropped_because_the_same_key_hears_it_again() -> None:
    given(*READY).when(REFUSE_LATER).then_nothing()


def test_a_second_refusal_changes_nothing() -> None:
    given(*REFUSED_ONCE).when(REFUSE_LATER).then_nothing()


def test_refusing_what_was_confirmed_is_a_contradiction_and_stays_confirmed() -> None:
    given(*DONE).when(REFUSE_LATER).then(contradiction("refused AC04", "CONFIRMED"))
    given(*DONE).when(REFUSE_LATER).then_state(s.Confirmed)


def test_refusing_what_nobody_approved_is_a_contradiction() -> None:
    given(*WAITING).when(REFUSE_LATER).then(contradiction("refused AC04", "REQUESTED"))


def test_a_refusal_of_no_payout_of_ours_is_nothing() -> None:
    given().when(REFUSE_LATER).then_nothing()


# asking


def test_asked_and_pending_the_unknown_payout_was_sent() -> None:
    given(*LOST).when(PENDING).then(SENT)


@pytest.mark.parametrize("past", [(), WAITING, READY, OUT, ACCEPTED, REVIEWED, DONE])
def test_pending_is_no_news_elsewhere(past: tuple[object, ...]) -> None:
    given(*past).when(PENDING).then_nothing()


def test_not_known_after_the_settling_delay_is_sent_again_with_the_same_key() -> None:
    given(*LOST).when(DENY).then(NOT_KNOWN)
    given(*LOST, NOT_KNOWN).when(BEGIN).then(submitting(2))


def test_not_known_a_moment_before_the_settling_delay_is_not_believed() -> None:
    given(*LOST).when(replace(DENY, asked_at=DENY.asked_at - TICK)).then_nothing()


def test_what_the_partner_does_not_know_gets_a_new_time_to_be_submitted_in() -> None:
    at = AT + LIMITS.unknown_deadline - TICK
    given(*LOST).when(DENY, at).then(replace(NOT_KNOWN, deadline=at + LIMITS.submission))


def test_what_is_not_known_when_the_wait_is_over_is_not_sent_again_by_itself() -> None:
    at = AT + LIMITS.unknown_deadline
    told = replace(NOT_KNOWN, deadline=at + LIMITS.submission)
    given(*LOST).when(DENY, at).then(told, replace(review("not submitted in time"), required_at=at))


def test_not_known_after_the_last_attempt_falls_to_a_person() -> None:
    given(*READY, submitting(8), UNKNOWN).when(DENY).then(NOT_KNOWN, review("attempts spent"))


@pytest.mark.parametrize("past", [(), WAITING, READY, OUT, ACCEPTED, REVIEWED, DONE])
def test_not_known_is_believed_only_of_an_unknown_outcome(past: tuple[object, ...]) -> None:
    given(*past).when(DENY).then_nothing()


# confirmation


@pytest.mark.parametrize("past", [DEFERRED_ONCE, OUT, ACCEPTED, LOST, REVIEWED, REFUSED_ONCE])
def test_a_settled_payout_is_confirmed_from_wherever_it_stands(past: tuple[object, ...]) -> None:
    given(*past).when(CONFIRM).then(CONFIRMED)


def test_a_partner_that_names_no_time_settled_when_we_heard_of_it() -> None:
    given(*ACCEPTED).when(replace(CONFIRM, settled_at=None)).then(CONFIRMED)


def test_confirming_twice_changes_nothing() -> None:
    given(*DONE).when(CONFIRM).then_nothing()


@pytest.mark.parametrize(
    ("past", "state"), [(DEFERRED_ONCE, "APPROVED"), (OUT, "SUBMITTING"), (ACCEPTED, "SENT"), (LOST, "UNKNOWN")]
)
def test_another_amount_never_confirms_and_stops_for_a_person(past: tuple[object, ...], state: str) -> None:
    said = contradiction("settled 19999.99 ETB", state)
    given(*past).when(OTHER_AMOUNT).then(said, review("contradicted"))


def test_another_currency_never_confirms() -> None:
    other = replace(CONFIRM, amount=Money(AMOUNT.minor, iso4217("KES")))
    given(*ACCEPTED).when(other).then(contradiction("settled 20000.00 KES", "SENT"), review("contradicted"))


def test_another_amount_after_the_confirmation_is_a_contradiction_alone() -> None:
    given(*DONE).when(OTHER_AMOUNT).then(contradiction("settled 19999.99 ETB", "CONFIRMED"))


def test_another_amount_in_review_is_shown_to_the_person_who_looks() -> None:
    given(*REVIEWED).when(OTHER_AMOUNT).then(contradiction("settled 19999.99 ETB", "MANUAL_REVIEW"))


def test_the_same_contradiction_is_kept_once() -> None:
    told = contradiction("settled 19999.99 ETB", "SENT")
    given(*ACCEPTED, told, review("contradicted")).when(OTHER_AMOUNT).then_nothing()


def test_contradictions_are_bounded() -> None:
    told = [contradiction(f"refused {n}", "CONFIRMED") for n in range(CONTRADICTIONS_MAX)]
    given(*DONE, *told).when(REFUSE_LATER).then_nothing()
    given(*DONE, *told[1:]).when(REFUSE_LATER).then(contradiction("refused AC04", "CONFIRMED"))


@pytest.mark.parametrize(
    ("fact", "said"), [(CONFIRM, "settled before it was submitted"), (OTHER_AMOUNT, "settled 19999.99 ETB")]
)
def test_what_was_never_submitted_cannot_be_settled_and_is_not_sent_by_itself(fact: c.ConfirmPayout, said: str) -> None:
    given(*READY).when(fact).then(contradiction(said, "APPROVED"), review("contradicted"))
    given(*WAITING).when(fact).then(contradiction(said, "REQUESTED"))  # a person decides on it anyway
    given(*WAITING, contradiction(said, "REQUESTED")).when(fact).then_nothing()


@pytest.mark.parametrize("times", [1, 9])
def test_what_never_left_us_cannot_be_settled_and_stops_for_a_person(times: int) -> None:
    said = contradiction("settled before it was submitted", "APPROVED")
    given(*unsent(times)).when(CONFIRM).then(said, review("contradicted"))


def test_what_left_us_at_last_is_confirmed_whatever_did_not_leave_us_before() -> None:
    given(*unsent(9), submitting(10)).when(CONFIRM).then(CONFIRMED)


def test_what_was_said_before_does_not_keep_it_from_being_submitted() -> None:
    given(*READY, contradiction("settled before it was submitted", "APPROVED")).when(BEGIN).then(SUBMITTING)


def test_a_settlement_of_no_payout_of_ours_is_nothing() -> None:
    given().when(CONFIRM).then_nothing()


# deadlines


def test_a_payout_that_nobody_approves_is_overdue() -> None:
    given(*WAITING).when(wake("approval"), AT + LIMITS.approval).then(OVERDUE)


def test_a_lease_that_ends_without_an_outcome_leaves_it_unknown() -> None:
    at = AT + LIMITS.lease
    given(*OUT).when(wake("lease"), at).then(unknown_at(at, "lease over"))


@pytest.mark.parametrize("past", [READY, DEFERRED_ONCE, unsent(9)])
def test_a_payout_that_is_not_submitted_falls_to_a_person(past: tuple[object, ...]) -> None:
    at = AT + LIMITS.submission
    given(*past).when(wake("submission"), at).then(review("not submitted in time", at))


def test_the_time_to_submit_does_not_end_a_call_that_is_out() -> None:
    given(*OUT).when(wake("submission"), AT + LIMITS.submission).then_nothing()


def test_a_payout_that_does_not_settle_falls_to_a_person() -> None:
    at = AT + LIMITS.settlement
    given(*ACCEPTED).when(wake("settlement"), at).then(review("settlement overdue", at))


def test_an_outcome_that_stays_unknown_falls_to_a_person() -> None:
    at = AT + LIMITS.unknown_deadline
    given(*LOST).when(wake("unknown_deadline"), at).then(review("outcome unknown", at))


@pytest.mark.parametrize("name", AFTER)
def test_a_deadline_does_nothing_a_moment_too_early(name: c.DeadlineName) -> None:
    past, wait = AFTER[name]
    given(*past).when(wake(name), AT + wait - TICK).then_nothing()


LATER = AT + timedelta(hours=5)
AGAIN = (*LOST, replace(NOT_KNOWN, deadline=LATER))
LOST_AGAIN = (*AGAIN, submitting(2), unknown_at(LATER))


@pytest.mark.parametrize(
    ("past", "name", "earlier", "own"),
    [
        (AGAIN, "submission", AT + LIMITS.submission, LATER),
        (LOST_AGAIN, "unknown_deadline", AT + LIMITS.unknown_deadline, LATER + LIMITS.unknown_deadline),
    ],
)
def test_the_wake_of_an_earlier_wait_is_stale_in_a_later_one(
    past: tuple[object, ...], name: c.DeadlineName, earlier: datetime, own: datetime
) -> None:
    given(*past).when(wake(name), earlier).then_nothing()
    assert len(given(*past).when(wake(name), own).decide()) == 1


def every_wait(each: timedelta) -> Deadlines:
    return replace(LIMITS, approval=each, submission=each, settlement=each, unknown_deadline=each)


@pytest.mark.parametrize("since", [every_wait(timedelta(days=9)), every_wait(TICK)], ids=["lengthened", "shortened"])
@pytest.mark.parametrize("name", WAITS)
def test_a_wait_ends_when_its_event_said_whatever_is_configured_since(name: c.DeadlineName, since: Deadlines) -> None:
    past, wait = AFTER[name]
    restarted = Spec(decider(rules({"ETB": 2_000_000}), since), AT)
    restarted.given(*past).when(wake(name), AT + wait - TICK).then_nothing()
    assert len(restarted.given(*past).when(wake(name), AT + wait).decide()) == 1


@pytest.mark.parametrize("name", AFTER)
def test_where_an_older_release_said_no_deadline_its_wake_is_believed(name: c.DeadlineName) -> None:
    past, wait = AFTER[name]
    assert len(given(*unsaid(*past)).when(wake(name), AT + wait).decide()) == 1


def test_where_an_older_release_said_no_deadline_all_attempts_count_and_it_is_submitted_at_any_time() -> None:
    past = unsaid(*unsent(7))
    given(*past).when(BEGIN, AT + timedelta(days=1)).then_state(s.Submitting)
    events = given(*past, submitting(8)).when(replace(NOT_SENT, attempt=8)).decide()
    assert [type(event) for event in events] == [PayoutDeferred, PayoutReviewRequired]


@pytest.mark.parametrize("past", [(), WAITING, READY, OUT, ACCEPTED, LOST, REVIEWED, DONE])
@pytest.mark.parametrize("name", AFTER)
def test_a_stale_deadline_does_nothing(name: c.DeadlineName, past: tuple[object, ...]) -> None:
    if past != AFTER[name][0]:
        given(*past).when(wake(name), AT + timedelta(days=365)).then_nothing()


# the pause between attempts


@pytest.mark.parametrize(("attempt", "seconds"), [(0, 5), (1, 5), (2, 10), (3, 20), (4, 40), (5, 60), (99, 60)])
def test_the_pause_doubles_up_to_its_longest(attempt: int, seconds: int) -> None:
    assert backoff(5 * SECOND, 60 * SECOND, attempt) == seconds * SECOND
