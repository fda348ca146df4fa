"""The views of the on-call: what runbooks call them, made of what the services really write."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from scripts.migrate import ROOT
from services.kernel.decider import Ask, Decider, Meta, Unit
from services.kernel.engine import Engine, Units
from services.kernel.event_store import PostgresStore, connector
from services.kernel.ids import new_id
from services.kernel.migrations.run import OWNER
from services.payout_orchestrator import handlers as payout
from services.payout_orchestrator.domain.policy import rules
from services.payout_orchestrator.domain.states import TRANSITIONS as PAYOUTS
from services.transfer import handlers as transfer
from services.transfer.domain.commands import ReportOverdue
from services.transfer.domain.states import TRANSITIONS, Deadlines
from tests.integration.ledger.reading import funded, opened
from tests.unit.payout_orchestrator import samples as p
from tests.unit.transfer import samples as t

ANNA = "0195560f-2f3a-7c41-9d2e-5b7f0a8c1e0a"
DECIDERS: dict[str, Decider[Any, Any, Any]] = {
    "payout": payout.decider(rules({"ETB": 2_000_000}), p.LIMITS), "transfer": transfer.decider(Deadlines()),
}  # fmt: skip
OPEN = replace(t.OPEN, terms=replace(t.OPEN.terms, expires_at=t.AT.replace(year=2100)))
LIVES = [
    (OPEN, t.FUND, t.INITIATE, t.COMPLETE),
    (OPEN, t.FUND, ReportOverdue(transfer_id=t.TRANSFER_ID, wake="payout_overdue"), t.REVIEW, t.INITIATE, t.COMPLETE),
    (OPEN, t.FUND, t.INITIATE, t.REVIEW, t.COMPLETE),
    (OPEN, t.CANCEL, t.FUND),
    (OPEN, t.FUND, t.REVIEW, t.COMPLETE),
]


async def say(dsn: str, schema: str, commands: Sequence[Any], actor: str = "service:x", reason: str = "") -> UUID:
    """A new stream with what these commands decide."""
    named = uuid4()
    own = {"payout": "payout_id", "transfer": "transfer_id"}[schema]
    store = PostgresStore(connector(dsn, schema, "test"))
    engine = Engine(store, (DECIDERS[schema],), "", new_id)
    meta = Meta("corridor", actor, named, None, reason or None)
    for command in commands:
        (outcome,) = await engine.run(Units([Unit((Ask(named, replace(command, **{own: named})),), meta)]))
        assert outcome.events, outcome
    await store.drop()
    return named


async def as_role(role: str, dsn: str, statement: str, *values: Any, path: str = "public") -> list[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"SET search_path = {path}")
        await connection.execute(f"SET SESSION AUTHORIZATION {role}")
        return list(await connection.fetch(statement, *values))
    finally:
        await connection.close()


async def oncall(dsn: str, statement: str, *values: Any) -> list[Any]:
    return await as_role("corridor_oncall", dsn, statement, *values)


async def test_a_payout_shows_what_the_partner_last_said_also_after_it_went_well(database: str) -> None:
    unknown = await say(database, "payout", (p.REQUEST, p.BEGIN, p.LOSE))
    settled = await say(database, "payout", (p.REQUEST, p.BEGIN, p.LOSE, p.CONFIRM))
    well = await say(database, "payout", (p.REQUEST, p.BEGIN, p.ACCEPT))
    sql = """SELECT state, amount_minor, currency, partner, attempts, last_error, last_error_type, last_error_at
             FROM app.payout_instruction WHERE payout_id = $1"""
    (row,) = await oncall(database, sql, unknown)
    assert tuple(row)[:7] == ("UNKNOWN", 2_000_000, "ETB", "dashen", 1, "no answer", "corridor.payout.unknown.v1")
    assert row["last_error_at"] is not None
    assert [each["last_error"] for each in await oncall(database, sql, settled)] == ["no answer"]
    assert [tuple(each)[0:1] + tuple(each)[5:] for each in await oncall(database, sql, well)] == [
        ("SENT", None, None, None)
    ]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("AC04", "AC04"),
        ("no account 1000123456789 here", "no account *** here"),
        ("IBAN GB29NWBK60161331926819 closed", "IBAN *** closed"),
    ],
)
async def test_an_account_in_the_partners_words_is_masked(database: str, said: str, shown: str) -> None:
    refused = replace(p.REFUSE, reason_code=said)
    named = await say(database, "payout", (p.REQUEST, p.BEGIN, refused))
    rows = await oncall(database, "SELECT state, last_error FROM app.payout_instruction WHERE payout_id = $1", named)
    assert [tuple(row) for row in rows] == [("MANUAL_REVIEW", shown)]


@pytest.mark.parametrize("commands", LIVES)
async def test_the_transitions_of_a_transfer_have_no_gap_and_end_in_its_state(
    database: str, commands: tuple[Any, ...]
) -> None:
    named = await say(database, "transfer", commands, actor=ANNA)
    state: Any = None
    walked: list[tuple[str | None, str]] = []
    for command in commands:
        decider = DECIDERS["transfer"]
        for event in decider.decide(state, replace(command, transfer_id=named), t.AT):
            before, state = getattr(state, "state", None), decider.evolve(state, event)
            if before != state.state:
                walked.append((before, state.state))
    sql = "SELECT * FROM app.transfer_transition WHERE transfer_id = $1 ORDER BY version"
    rows = await oncall(database, sql, named)
    assert [(row["from_state"], row["to_state"]) for row in rows] == walked
    assert all(ANNA in row["metadata"] and row["at"] for row in rows)


def test_the_lives_walked_here_take_every_transition_that_a_transfer_has() -> None:
    taken = {("-", "TransferExpired")}  # as cancelled; its time cannot be waited for here
    for commands in LIVES:
        state: Any = None
        for command in commands:
            for event in DECIDERS["transfer"].decide(state, replace(command, transfer_id=t.TRANSFER_ID), t.AT):
                before, state = state, DECIDERS["transfer"].evolve(state, event)
                taken.add((getattr(before, "state", "-"), type(event).__name__))
    moving = {(before, event.__name__) for before, event, after, _ in TRANSITIONS if before != after}
    assert moving - taken == {("AWAITING_FUNDING", "TransferExpired")}


async def test_the_audit_log_says_who_did_what_to_what_and_why(database: str) -> None:
    named = await say(database, "transfer", (OPEN, t.CANCEL), actor=ANNA, reason="changed their mind")
    rows = await oncall(
        database,
        """SELECT actor, action, entity_type, entity_id, reason, service, at IS NOT NULL FROM app.audit_log
           WHERE entity_id = $1 ORDER BY version""",
        named,
    )
    assert [tuple(row) for row in rows] == [
        (ANNA, f"corridor.transfer.{what}.v1", "transfer", named, "changed their mind", "transfer", True)
        for what in ("opened", "cancelled")
    ]


@pytest.mark.parametrize("commands", LIVES)
async def test_the_audit_log_has_every_change_of_a_state_and_of_services_nothing_else(
    database: str, commands: tuple[Any, ...]
) -> None:
    named = await say(database, "transfer", commands)
    audit = "SELECT from_state, to_state, at FROM app.audit_log WHERE entity_id = $1 ORDER BY version"
    walked = "SELECT from_state, to_state, at FROM app.transfer_transition WHERE transfer_id = $1 ORDER BY version"
    rows = await oncall(database, audit, named)
    assert rows == await oncall(database, walked, named)
    assert rows[0]["from_state"] is None


@pytest.mark.parametrize(
    ("said", "shown"), [("AC04", "AC04"), ("no account 1000123456789 here", "no account *** here")]
)
async def test_the_move_to_review_is_in_the_audit_log_with_what_the_partner_said(
    database: str, said: str, shown: str
) -> None:
    named = await say(database, "payout", (p.REQUEST, p.BEGIN, replace(p.REFUSE, reason_code=said)))
    sql = "SELECT actor, from_state, to_state, reason FROM app.audit_log WHERE entity_id = $1 ORDER BY version"
    assert [tuple(row) for row in await oncall(database, sql, named)][-2:] == [
        ("service:x", "APPROVED", "SUBMITTING", None), ("service:x", "SUBMITTING", "MANUAL_REVIEW", shown)
    ]  # fmt: skip


async def test_the_database_knows_the_state_behind_every_event(database: str) -> None:
    rows: list[tuple[str, Any, str, str]] = [*TRANSITIONS, *PAYOUTS]
    moving = {(event.type, after) for before, event, after, _ in rows if before != after}
    staying = {event.type for _, event, _, _ in rows} - {name for name, _ in moving}
    for name, after in moving:
        assert [tuple(row) for row in await oncall(database, "SELECT app.state_after($1)", name)] == [(after,)]
    for name in staying:
        assert [tuple(row) for row in await oncall(database, "SELECT app.state_after($1)", name)] == [(None,)]
    assert staying


async def test_the_books_are_lines_with_a_direction_and_the_event_that_caused_them(database: str) -> None:
    async with opened(database) as desk:
        cause, transfer = uuid4(), uuid4()
        (entry_id,) = await desk.post(funded("c", 5), cause=cause, transfer=transfer)
    sql = """SELECT entry_seq, line, entry_id, cause_id, transfer_id, direction, account_id, amount_minor, currency,
                    at IS NOT NULL FROM app.entries ORDER BY entry_seq, line"""
    same = (entry_id, cause, transfer)
    assert [tuple(row) for row in await oncall(database, sql)] == [
        (1, 1, *same, "debit", "suspense:deposits:GBP", 5, "GBP", True),
        (1, 2, *same, "credit", "customer:c:held:GBP", 5, "GBP", True),
    ]


# what the guide asks, word for word

QUERY = re.compile(r'^db "(.*?)"(.*)$', re.MULTILINE)
NAMED = {"$refused": "0195560f-2f3a-7c41-9d2e-5b7f0a8c1e0a", "$key": "a-key"}
QUERIES = QUERY.findall((ROOT / "docs" / "guides" / "oncall.md").read_text())


def test_the_guide_asks_all_the_names_that_runbooks_use() -> None:
    asked = " ".join(sql for sql, _ in QUERIES)
    for name in ("FROM entries", "FROM audit_log", "FROM reconciliation_issue", "app.payout_instruction"):
        assert name in asked


@pytest.mark.parametrize(("sql", "after"), QUERIES)
async def test_a_query_of_the_guide_runs_as_it_stands(database: str, sql: str, after: str) -> None:
    ((path,),) = await as_role(OWNER, database, ROLE_PATH)
    for name, value in NAMED.items():
        sql = sql.replace(name, value)
    assert "$" not in sql
    asked = as_role("corridor_oncall", database, sql, path=path)
    if "as it should be" in after:
        with pytest.raises(asyncpg.PostgresError) as refused:
            await asked
        assert refused.value.sqlstate in {"25006", "42501", "55000"}
    else:
        await asked


ROLE_PATH = """SELECT split_part(setting, '=', 2) FROM pg_db_role_setting, unnest(setconfig) AS setting
               WHERE setrole = 'corridor_oncall'::regrole AND setdatabase = 0 AND setting LIKE 'search_path=%'"""


VIEWS = {"audit_log": "version", "entries": "line", "payout_instruction": "version", "transfer_transition": "version"}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("change", ["UPDATE app.{0} SET {1} = {1}", "DELETE FROM app.{0}"])
async def test_nobody_changes_what_the_views_show(database: str, view: str, change: str) -> None:
    for role in ("corridor_oncall", "corridor_transfer", OWNER):
        with pytest.raises(asyncpg.PostgresError) as refused:
            await as_role(role, database, change.format(view, VIEWS[view]))
        assert refused.value.sqlstate in {"25006", "42501", "55000"}  # read-only, no right, not an updatable view


async def test_the_on_call_sees_what_the_sessions_of_services_do_and_since_when(database: str) -> None:
    asking = "SELECT state, xact_start, query FROM pg_stat_activity WHERE application_name = $1"
    connection = await asyncpg.connect(database, server_settings={"application_name": "corridor somebody http"})
    try:
        async with connection.transaction():
            await connection.execute("SELECT 1 AS in_hand")
            (row,) = await oncall(database, asking, "corridor somebody http")
    finally:
        await connection.close()
    assert row["state"] == "idle in transaction"
    assert row["xact_start"] is not None
    assert "in_hand" in row["query"]
