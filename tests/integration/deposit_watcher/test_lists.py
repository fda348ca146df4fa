"""Routes for staff and services, on PostgreSQL: the list, waiting money, and the reports that touched a route."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import asyncpg
import pytest

from contracts.deposit.routes import route_id, route_reference
from services.deposit_watcher import api, handlers
from services.deposit_watcher.api.lists import DepositQuery, list_routes, wish_of
from services.deposit_watcher.api.reports import verdict
from services.deposit_watcher.domain.states import Deadlines
from services.deposit_watcher.projections.arrivals import ARRIVALS
from services.kernel.cursors import Cursors
from services.kernel.decider import Arrival, Ask, Meta, Unit
from services.kernel.engine import Engine, Units
from services.kernel.event_store import PostgresStore, connector
from services.kernel.group_commit import GroupCommit
from services.kernel.http import App, create_app
from services.kernel.ids import new_id
from services.kernel.internal import Callers
from services.kernel.money import Money, iso4217
from services.kernel.pages import Lists, page_statement
from services.kernel.sealed import Box
from services.kernel.settings import Kernel, load
from services.kernel.tokens import Principal, ServiceTokens, Tokens
from tests.support.plans import indexes_of, planned
from tests.unit.deposit_watcher.samples import EXPECT
from tests.unit.kernel.door import Answer, send

TENANT = "main"
LATER = datetime(2099, 1, 1, tzinfo=UTC)
GBP = iso4217("GBP")
EMPTY = "SET session_replication_role = replica; TRUNCATE event, stream_state, claim, outbox, side_effect, raw_arrival"


@dataclass
class Desk:
    """The service's lists over a schema, and money that arrives."""

    engine: Engine
    app: App
    settings: Kernel

    async def expect(self, transfer_id: UUID) -> UUID:
        route = route_reference(transfer_id)
        named = route_id(TENANT, route)
        wish = replace(EXPECT, route_id=named, route=route, transfer_id=transfer_id, deadline=LATER)
        await self.run(Unit((Ask(named, wish),), self.meta()))
        return named

    async def report(self, reference: str, route: str, minor: int = 100_00) -> UUID:
        arrival_id = uuid4()
        ask = handlers.observe(
            TENANT, arrival_id=arrival_id, partner="acme", reference=reference, route=route, amount=Money(minor, GBP),
            booked_at=LATER,
        )  # fmt: skip
        known = (reference, ask.command.content)
        kept = Arrival(arrival_id, "acme", "webhook", Box(b"sealed bytes"), Box(b"h"), "accepted", *known)
        await self.run(Unit((ask,), self.meta(), arrival=kept, verdict=verdict))
        return arrival_id

    def meta(self) -> Meta:
        return Meta(TENANT, "partner:acme", uuid4())

    async def run(self, unit: Unit) -> None:
        (outcome,) = await self.engine.run(Units([unit]))
        assert outcome.error is outcome.refusal is None, outcome

    async def get(self, path: str = "", role: str = "operator", **query: Any) -> Answer:
        issuer = ServiceTokens if role == "service" else Tokens
        token = issuer.from_settings(self.settings).issue(Principal(UUID(int=9), TENANT, frozenset({role})), 600)
        headers = [("authorization", f"Bearer {token}")]
        return await send(self.app, "GET", f"/v1/deposits{path}", headers=headers, query=urlencode(query, doseq=True))

    async def ids(self, **query: Any) -> list[UUID]:
        answer = await self.get(**query)
        assert answer.status == 200, answer.body
        return [UUID(item["route_id"]) for item in answer.json["items"]]


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Desk]:
    owner = await asyncpg.connect(database, server_settings={"search_path": "deposit"})
    await owner.execute(EMPTY)
    await owner.close()
    store = PostgresStore(connector(database, "deposit", "test"))
    engine = Engine(store, (handlers.decider(Deadlines()),), "deposits", new_id)
    environ = {"ENV": "test", "DATABASE_URL": database, "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
               "JWT_SECRET": "0f9d1c3b5a7e88420f9d1c3b5a7e8842"}  # fmt: skip
    settings = load(Kernel, "deposit_watcher", environ)
    callers = Callers.from_settings(settings)
    deposits = api.Deposits(GroupCommit(engine), engine, None, new_id)  # type: ignore[arg-type]  # never asked
    lists = Lists(engine, Cursors.from_settings(settings))
    routers = [api.routes(deposits, callers), list_routes(lists, callers, api.view)]
    yield Desk(engine, create_app(settings, routers), settings)
    await store.drop()


async def test_routes_are_listed_newest_first_by_state_transfer_and_route(desk: Desk) -> None:
    transfers = [uuid4() for _ in range(3)]
    known = [await desk.expect(each) for each in transfers]
    await desk.report("R1", route_reference(transfers[0]))
    await desk.report("R2", route_reference(transfers[1]), 60_00)
    await desk.report("R3", "anna from leeds")
    await desk.report("R1", "a reference used again")
    unexpected = route_id(TENANT, "anna from leeds")
    assert await desk.ids() == [unexpected, *reversed(known)]
    assert await desk.ids(state="CONFIRMED") == [known[0]]
    assert await desk.ids(state="MISMATCHED") == [known[1]]
    assert await desk.ids(state=["UNEXPECTED", "MISMATCHED"]) == [unexpected, known[1]]
    assert await desk.ids(transfer_id=transfers[2]) == [known[2]]
    assert await desk.ids(route="Anna from Leeds") == [unexpected]
    assert await desk.ids(route="Anna from Leeds", transfer_id=transfers[2]) == []
    (item,) = (await desk.get(route=route_reference(transfers[1]))).json["items"]
    assert (item["state"], item["needs_a_person"], item["unresolved"][0]["amount_minor"]) == ("MISMATCHED", True, 60_00)
    assert item["version"] == 3
    assert item["created_at"] < item["changed_at"]


async def test_no_list_reads_a_table_from_end_to_end(database: str) -> None:
    session = await connector(database, "deposit", "test")()
    for state, index in (("CONFIRMED", "event_first"), ("UNEXPECTED", "event_unmatched")):
        wish = wish_of(DepositQuery(state=(state,)), Principal(UUID(int=9), TENANT, frozenset({"operator"})))
        found = await planned(session, *page_statement(wish))
        assert index in indexes_of(found)
        assert not [node for node in found if node["Node Type"] == "Seq Scan"], found
    waiting = await planned(session, api.WAITING, [TENANT, 5])
    arrivals = await planned(session, ARRIVALS, [[uuid4()], ["acme"], ["R1"], 5, TENANT])
    assert "event_unmatched" in indexes_of(waiting)
    assert {"raw_arrival_pkey", "raw_arrival_repeated"} <= set(indexes_of(arrivals))
    await session.close()


async def test_waiting_money_is_told_oldest_first(desk: Desk) -> None:
    transfer_id = uuid4()
    short = await desk.expect(transfer_id)
    await desk.report("R1", route_reference(transfer_id), 60_00)
    await desk.report("R2", "anna from leeds")
    await desk.expect(uuid4())
    waiting = (await desk.get("/waiting", "service")).json["deposits"]
    assert [each["route_id"] for each in waiting] == [str(short), str(route_id(TENANT, "anna from leeds"))]


async def test_a_timeline_has_the_events_and_every_report_that_touched_the_route(desk: Desk) -> None:
    transfer_id = uuid4()
    route = route_reference(transfer_id)
    named = await desk.expect(transfer_id)
    first = await desk.report("R1", route)
    again = await desk.report("R1", route)
    elsewhere = await desk.report("R1", "bert from york", 5)
    await desk.report("R9", "somebody else")
    whole = (await desk.get(f"/routes/{named}/timeline", "service")).json
    assert [event["to"] for event in whole["events"]] == ["EXPECTED", "EXPECTED", "CONFIRMED"]
    assert [(UUID(each["arrival_id"]), each["verdict"]) for each in whole["arrivals"]] == [
        (first, "accepted"), (again, "duplicate"), (elsewhere, "reference_mismatch"),
    ]  # fmt: skip
    arrival = whole["arrivals"][0]
    told = ("source", "transport", "reference", "size_bytes")
    assert [arrival[name] for name in told] == ["acme", "webhook", "R1", len(b"sealed bytes")]
    assert arrival["content"] == whole["arrivals"][1]["content"] != whole["arrivals"][2]["content"]
    assert "sealed bytes" not in str(whole)
    joined = (await desk.get("/timeline", transfer_id=transfer_id)).json
    assert (joined["events"], joined["arrivals"]) == (whole["events"], whole["arrivals"])
    nothing = (await desk.get("/timeline", transfer_id=uuid4())).json
    assert (nothing["events"], nothing["arrivals"]) == ([], [])
    assert (await desk.get(f"/routes/{uuid4()}/timeline")).status == 404


@pytest.mark.parametrize("path", ["", "/timeline", "/waiting", f"/routes/{UUID(int=1)}/timeline"])
async def test_customers_see_none_of_it(desk: Desk, path: str) -> None:
    assert (await desk.get(path, "customer", transfer_id=uuid4())).status == 403
