"""Maintenance: who began it and why stays, until somebody ends it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.customer.v1 import MaintenanceEnded, MaintenanceStarted
from services.core_api.domain import maintenance as d
from services.core_api.handlers import MAINTENANCE, maintenance_id
from tests.support.spec import Spec
from tests.unit.core_api.samples import AT, OTHER_ID, USER_ID

STREAM = maintenance_id("corridor")
ON = d.SwitchMaintenance(maintenance_id=STREAM, enabled=True, by=USER_ID, reason="upgrade")
OFF = replace(ON, enabled=False, reason="done")
STARTED = MaintenanceStarted(maintenance_id=STREAM, started_by=USER_ID, reason="upgrade", started_at=AT)
ENDED = MaintenanceEnded(maintenance_id=STREAM, ended_by=USER_ID, reason="done", ended_at=AT)
given = Spec(MAINTENANCE, AT).given


@pytest.mark.parametrize("before", [(), (STARTED, ENDED)])
def test_it_begins_with_who_and_why(before: tuple[d.MaintenanceEvent, ...]) -> None:
    given(*before).when(ON).then(STARTED)


def test_it_ends_with_who_and_why() -> None:
    given(STARTED).when(OFF).then(ENDED)


def test_what_is_on_stays_on_for_its_first_reason() -> None:
    given(STARTED).when(replace(ON, by=OTHER_ID, reason="another")).then_nothing()


@pytest.mark.parametrize("before", [(), (STARTED, ENDED)])
def test_what_is_off_stays_off(before: tuple[d.MaintenanceEvent, ...]) -> None:
    given(*before).when(OFF).then_nothing()


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_blank_reason_is_refused_also_where_nothing_would_change(reason: str) -> None:
    for events in ((), (STARTED,)):
        given(*events).when(replace(ON, reason=reason)).then_rejected(d.ReasonRequired)


def test_the_table_holds_exactly_the_steps_that_are_taken() -> None:
    taken = []
    for events, command in (((), ON), ((STARTED, ENDED), ON), ((STARTED,), OFF)):
        state = given(*events)
        (event,) = state.when(command).decide()
        before = "-" if state.state is None else state.state.state
        taken.append((before, type(event), MAINTENANCE.evolve(state.state, event).state))  # type: ignore[union-attr]
    assert [step[:3] for step in d.TRANSITIONS] == taken
