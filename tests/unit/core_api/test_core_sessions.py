"""How long a login lasts, and what a refresh token that comes twice means."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from contracts.customer.v1 import SessionEnded, SessionOpened, SessionRefreshed
from services.core_api.domain import sessions as d
from services.core_api.handlers import SESSION
from tests.support.spec import Spec
from tests.unit.core_api.samples import AT, USER_ID

SESSION_ID = UUID(int=9)
HOUR = timedelta(hours=1)
OPEN = d.OpenSession(
    session_id=SESSION_ID, user_id=USER_ID, family_digest="f", refresh_digest="r1", lifetime_seconds=3_600
)
OPENED = SessionOpened(
    session_id=SESSION_ID,
    user_id=USER_ID,
    family_digest="f",
    refresh_digest="r1",
    opened_at=AT,
    expires_at=AT + HOUR,
)
REFRESH = d.RefreshSession(session_id=SESSION_ID, family_digest="f", refresh_digest="r1", next_digest="r2")
REFRESHED = SessionRefreshed(session_id=SESSION_ID, user_id=USER_ID, refresh_digest="r2", refreshed_at=AT)
END = d.EndSession(session_id=SESSION_ID, family_digest="f")
REUSED = SessionEnded(session_id=SESSION_ID, user_id=USER_ID, cause="refresh_token_reused", ended_at=AT)
LOGGED_OUT = replace(REUSED, cause="logged_out")
given = Spec(SESSION, AT).given


def test_a_login_opens_a_session_that_ends_at_a_known_time() -> None:
    given().when(OPEN).then(OPENED)


def test_the_newest_token_is_replaced() -> None:
    given(OPENED).when(REFRESH).then(REFRESHED)


def test_the_token_that_replaced_it_is_good() -> None:
    again = replace(REFRESH, refresh_digest="r2", next_digest="r3")
    given(OPENED, REFRESHED).when(again).then(replace(REFRESHED, refresh_digest="r3"))


def test_a_replaced_token_ends_the_session() -> None:
    given(OPENED, REFRESHED).when(REFRESH).then(REUSED)


def test_no_token_of_an_ended_session_is_good() -> None:
    newest = replace(REFRESH, refresh_digest="r2")
    given(OPENED, REFRESHED, REUSED).when(newest).then_rejected(d.RefreshTokenInvalid)


def test_a_guess_ends_nothing() -> None:
    given(OPENED).when(replace(REFRESH, family_digest="g")).then_rejected(d.RefreshTokenInvalid)
    given(OPENED).when(replace(END, family_digest="g")).then_rejected(d.RefreshTokenInvalid)


@pytest.mark.parametrize("command", [REFRESH, END])
def test_an_unknown_session_is_refused(command: d.SessionCommand) -> None:
    given().when(command).then_rejected(d.RefreshTokenInvalid)


def test_a_session_is_dead_at_the_instant_of_its_end_however_often_it_was_refreshed() -> None:
    newest = replace(REFRESH, refresh_digest="r2")
    before = AT + HOUR - timedelta(microseconds=1)
    state = given(OPENED, REFRESHED)
    assert state.when(newest, before).decide()
    state.when(newest, AT + HOUR).then_rejected(d.RefreshTokenInvalid)


def test_a_replaced_token_after_the_end_tells_nobody_that_it_was_one() -> None:
    given(OPENED, REFRESHED).when(REFRESH, AT + HOUR).then_rejected(d.RefreshTokenInvalid)


def test_a_logout_ends_the_session() -> None:
    given(OPENED, REFRESHED).when(END).then(LOGGED_OUT)


@pytest.mark.parametrize("ended", [LOGGED_OUT, REUSED])
def test_a_second_logout_changes_nothing(ended: SessionEnded) -> None:
    given(OPENED, ended).when(END).then_nothing()


def test_the_table_holds_exactly_the_steps_that_are_taken() -> None:
    steps = [((), OPEN), ((OPENED,), REFRESH), ((OPENED,), END)]
    taken = []
    for events, command in steps:
        state = given(*events)
        (event,) = state.when(command).decide()
        before = "-" if state.state is None else state.state.state
        taken.append((before, type(event), SESSION.evolve(state.state, event).state))  # type: ignore[union-attr]
    assert [step[:3] for step in d.TRANSITIONS] == taken
