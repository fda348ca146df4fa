"""Payouts for staff and services, on PostgreSQL: the list, its states, and what was asked of the provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import asyncpg
import pytest

import services.payout_orchestrator.domain.commands as c
from services.kernel import pages
from services.kernel.cursors import Cursors
from services.kernel.decider import Ask, Meta, Unit
from services.kernel.engine import Engine, Units
from services.kernel.event_store import PostgresStore, connector
from services.kernel.http import App, create_app
from services.kernel.ids import new_id
from services.kernel.internal import Callers
from services.kernel.pages import Lists
from services.kernel.settings import Kernel, load
from services.kernel.tokens import Principal, ServiceTokens, Tokens
from services.payout_orchestrator.api import lists
from services.payout_orchestrator.api.lists import PayoutQuery, list_routes, wish_of
from services.payout_orchestrator.domain.policy import Deadlines, rules
from services.payout_orchestrator.handlers import decider, payout_id
from tests.support.plans import indexes_of, planned
from tests.unit.kernel.door import Answer, send
from tests.unit.payout_orchestrator.samples import AMOUNT, REQUEST

TENANT = "main"
EMPTY = "SET session_replication_role = replica; TRUNCATE event, stream_state, outbox, side_effect"


@dataclass
class Desk:
    """The service's lists over a schema."""

    engine: Engine
    app: App
    settings: Kernel

    async def request(self, transfer_id: UUID, n: int = 1, minor: int = AMOUNT.minor) -> UUID:
        named = payout_id(transfer_id, n)
        amount = replace(AMOUNT, minor=minor)
        await self.say(replace(REQUEST, payout_id=named, transfer_id=transfer_id, n=n, amount=amount))
        return named

    async def submit(self, named: UUID, outcome: Any) -> None:
        await self.say(c.BeginSubmit(payout_id=named))
        await self.say(outcome)

    async def say(self, command: Any) -> None:
        meta = Meta(TENANT, "tester", uuid4(), None, None, f"00-{'a' * 32}-{'b' * 16}-01")
        (outcome,) = await self.engine.run(Units([Unit((Ask(command.payout_id, command),), meta)]))
        assert outcome.error is outcome.refusal is None, outcome
        assert outcome.events, command

    async def get(self, path: str = "", role: str = "operator", **query: Any) -> Answer:
        issuer = ServiceTokens if role == "service" else Tokens
        token = issuer.from_settings(self.settings).issue(Principal(UUID(int=9), TENANT, frozenset({role})), 600)
        headers = [("authorization", f"Bearer {token}")]
        return await send(self.app, "GET", f"/v1/payouts{path}", headers=headers, query=urlencode(query, doseq=True))

    async def ids(self, **query: Any) -> list[UUID]:
        answer = await self.get(**query)
        assert answer.status == 200, answer.body
        return [UUID(item["payout_id"]) for item in answer.json["items"]]


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Desk]:
    owner = await asyncpg.connect(database, server_settings={"search_path": "payout"})
    await owner.execute(EMPTY)
    await owner.close()
    store = PostgresStore(connector(database, "payout", "test"))
    engine = Engine(store, (decider(rules({"ETB": 2_000_000}), Deadlines()),), "payouts", new_id)
    environ = {"ENV": "test", "DATABASE_URL": database, "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
               "JWT_SECRET": "0f9d1c3b5a7e88420f9d1c3b5a7e8842"}  # fmt: skip
    settings = load(Kernel, "payout_orchestrator", environ)
    listed = Lists(engine, Cursors.from_settings(settings))
    yield Desk(engine, create_app(settings, [list_routes(listed, Callers.from_settings(settings))]), settings)
    await store.drop()


def refused(named: UUID) -> c.RecordRefused:
    return c.RecordRefused(payout_id=named, reason_code="AC04", attempt=1)


async def test_payouts_are_listed_newest_first_and_by_state(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "SCANNED_MAX", 3)
    made = [await desk.request(uuid4()) for _ in range(8)]
    by_hand = await desk.request(uuid4(), minor=2_000_001)
    await desk.submit(made[0], refused(made[0]))
    await desk.submit(made[4], c.RecordUnknown(payout_id=made[4], reason="no answer", attempt=1))
    await desk.submit(made[3], c.RecordSent(payout_id=made[3], partner_status="ACSP", partner_reference="B-1"))
    everything = [by_hand, *reversed(made)]
    assert await desk.ids() == everything
    assert await desk.ids(limit=2) == everything[:2]
    assert await desk.ids(state="MANUAL_REVIEW") == [made[0]]
    assert await desk.ids(state=["UNKNOWN", "MANUAL_REVIEW", "REQUESTED"]) == [by_hand, made[4], made[0]]
    assert await desk.ids(state="REQUESTED") == [by_hand]
    assert await desk.ids(state="SENT") == []  # beyond the window: the next page has it
    assert (await desk.get(state="SENT")).json["next_cursor"] is not None
    found, cursor = [], None
    for _ in range(5):
        page = (await desk.get(state="SENT", **({"cursor": cursor} if cursor else {}))).json
        found += [UUID(item["payout_id"]) for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert (found, cursor) == ([made[3]], None)


async def test_no_list_reads_a_table_from_end_to_end(database: str) -> None:
    session = await connector(database, "payout", "test")()
    for state, index in (("SENT", "event_requested"), ("UNKNOWN", "event_waited"), ("REQUESTED", "event_waited")):
        wish = wish_of(PayoutQuery(state=(state,)), Principal(UUID(int=9), TENANT, frozenset({"operator"})))
        found = await planned(session, *pages.page_statement(wish))
        assert index in indexes_of(found)
        assert not [node for node in found if node["Node Type"] == "Seq Scan"], found
    await session.close()


async def test_a_history_that_is_cut_off_says_how_it_stands_today(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "EVENTS_MAX", 1)
    named = await desk.request(uuid4())
    await desk.submit(named, refused(named))
    told = (await desk.get(f"/{named}/timeline")).json
    (now,) = (await desk.get()).json["items"]
    assert len(told["events"]) == 1
    assert (told["state"], told["version"]) == (now["state"], now["version"]) == ("MANUAL_REVIEW", now["version"])


async def test_the_payouts_of_a_transfer_are_found_by_it(desk: Desk) -> None:
    transfer_id = uuid4()
    first = await desk.request(transfer_id)
    await desk.submit(first, refused(first))
    second = await desk.request(transfer_id, 2)
    await desk.request(uuid4())
    assert await desk.ids(transfer_id=transfer_id) == [second, first]
    assert await desk.ids(transfer_id=transfer_id, state="MANUAL_REVIEW") == [first]
    assert await desk.ids(transfer_id=uuid4()) == []
    (item,) = (await desk.get(transfer_id=transfer_id, limit=1)).json["items"]
    assert (item["state"], item["attempts"], item["transfer_id"]) == ("APPROVED", 0, str(transfer_id))
    assert "creditor" not in str(item)


async def test_a_timeline_has_the_events_and_the_requests_to_the_provider(desk: Desk) -> None:
    transfer_id = uuid4()
    named = await desk.request(transfer_id)
    await desk.submit(named, refused(named))
    whole = (await desk.get(f"/{named}/timeline", "service")).json
    assert [event["to"] for event in whole["events"]] == ["REQUESTED", "APPROVED", "SUBMITTING", "MANUAL_REVIEW"]
    assert whole["events"][0]["data"]["creditor_account"] == {"sealed": True}
    assert whole["events"][0]["trace_id"] == "a" * 32
    (attempt,) = whole["attempts"]
    (answer,) = attempt["answers"]
    assert (attempt["attempt"], attempt["request_reference"]) == (1, str(named))
    assert (answer["answer"], answer["error_code"]) == ("refused", "AC04")
    assert whole["state"] == "MANUAL_REVIEW"
    joined = (await desk.get("/timeline", transfer_id=transfer_id)).json
    assert joined["events"] == whole["events"]
    assert joined["attempts"] == whole["attempts"]
    assert [each["payout_id"] for each in joined["payouts"]] == [str(named)]
    assert (await desk.get("/timeline", transfer_id=uuid4())).json["events"] == []
    assert (await desk.get(f"/{uuid4()}/timeline")).status == 404


@pytest.mark.parametrize("path", ["", "/timeline", f"/{UUID(int=1)}/timeline"])
async def test_customers_see_none_of_it(desk: Desk, path: str) -> None:
    assert (await desk.get(path, "customer", transfer_id=uuid4())).status == 403
