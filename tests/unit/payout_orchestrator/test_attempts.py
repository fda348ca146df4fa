"""What was asked of the provider and what it said, from the events of a payout."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from contracts.payout.v1 import PayoutRequested
from services.payout_orchestrator.api.lists import LED, RARE
from services.payout_orchestrator.domain.states import TRANSITIONS
from services.payout_orchestrator.projections.attempts import attempts_of
from tests.unit.payout_orchestrator.samples import (
    APPROVED,
    AT,
    CONFIRMED,
    DEFERRED,
    DONE,
    LIMITS,
    LOST,
    NOT_KNOWN,
    PAYOUT,
    READY,
    REFUSED,
    REQUESTED,
    SENT,
    UNSENT,
    contradiction,
    submitting,
)


def told(*events: Any) -> list[tuple[int, list[tuple[str, str | None]]]]:
    return [(each.attempt, [(one.answer, one.error_code) for one in each.answers]) for each in attempts_of(events)]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((), []),
        (READY, []),
        (DONE, [(1, [("accepted", None), ("settled", None)])]),
        ((*READY, submitting(1), DEFERRED, submitting(2), REFUSED),
         [(1, [("deferred", "HTTP 429")]), (2, [("refused", "AC04")])]),
        ((*READY, submitting(1), UNSENT), [(1, [("not_sent", "not connected")])]),
        ((*LOST, NOT_KNOWN, submitting(2), SENT),
         [(1, [("unknown", "no answer"), ("not_known", None)]), (2, [("accepted", None)])]),
        ((*DONE, contradiction("refused AC04", "CONFIRMED")),
         [(1, [("accepted", None), ("settled", None), ("contradicted", "refused AC04")])]),
        ((REQUESTED, APPROVED, CONFIRMED), [(0, [("settled", None)])]),
    ],
)  # fmt: skip
def test_each_answer_belongs_to_the_request_before_it(events: Any, expected: Any) -> None:
    assert told(*events) == expected


def test_an_attempt_names_its_request_and_what_came_back() -> None:
    (attempt,) = attempts_of((*READY, submitting(1), replace(SENT, partner_status="PDNG")))
    assert (attempt.request_reference, attempt.submitted_at, attempt.lease_until) == (PAYOUT, AT, AT + LIMITS.lease)
    (answer,) = attempt.answers
    assert (answer.partner_status, answer.partner_reference, answer.at) == ("PDNG", "B-1", AT)


def test_who_is_in_a_rare_state_was_led_there_by_an_event_that_is_indexed() -> None:
    entries = {event for before, event, after, _ in TRANSITIONS if after in RARE and before not in RARE}
    assert entries == {*LED, PayoutRequested}
