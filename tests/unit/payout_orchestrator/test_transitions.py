"""The table of states against what decide and evolve really do, in both directions."""

from dataclasses import replace
from datetime import timedelta

import pytest

from contracts.payout.v1 import PayoutApproved
from services.payout_orchestrator.domain import states as s
from tests.unit.payout_orchestrator import samples as t

PASTS = (
    (), t.WAITING, t.READY, t.OUT, (*t.READY, t.submitting(8)), t.DEFERRED_ONCE, t.ACCEPTED, t.LOST,
    (*t.READY, t.submitting(8), t.UNKNOWN), t.REVIEWED, t.REFUSED_ONCE, t.DONE,
)  # fmt: skip
COMMANDS = (
    t.REQUEST, t.BEGIN, t.ACCEPT, t.PENDING, t.DEFER, t.REFUSE, t.REFUSE_LATER, t.LOSE, t.UNREADABLE, t.DENY, t.CONFIRM,
    t.OTHER_AMOUNT, *(replace(command, attempt=8) for command in (t.DEFER, t.REFUSE, t.LOSE)), *map(t.wake, t.AFTER),
)  # fmt: skip
TIMES = (t.AT, t.AT + timedelta(days=2))


def taken() -> set[tuple[str, type, str]]:
    """Every step that some past, command and time lead to, events of one decision after each other."""
    steps = set()
    for past in PASTS:
        for command in COMMANDS:
            for at in TIMES:
                when = t.given(*past).when(command, at)
                state = when.given.state
                for event in when.decide():
                    after = t.SPEC.decider.evolve(state, event)
                    steps.add((state.state if state else "-", type(event), after.state))
                    state = after
    return steps


def test_the_table_holds_exactly_the_steps_that_are_taken() -> None:
    approved_by_rule = ("REQUESTED", PayoutApproved, "APPROVED")
    assert taken() == {(state, event, after) for state, event, after, _ in s.TRANSITIONS}
    assert approved_by_rule in taken()


def test_every_state_is_in_the_table() -> None:
    assert {after for _, _, after, _ in s.TRANSITIONS} == {stage.state for stage in s.STAGES}


def test_every_state_that_waits_says_what_ends_the_waiting() -> None:
    assert all(text for _, _, after, text in s.TRANSITIONS if after != "CONFIRMED")


def test_an_event_outside_the_table_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        t.given(*t.DONE, t.SENT)
