"""The transfer service's HTTP over a schema of its own, and what happens in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import asyncpg

from contracts.deposit.routes import route_id, route_reference
from services.kernel.cursors import Cursors
from services.kernel.decider import Ask, Meta, Unit
from services.kernel.engine import Engine, Units
from services.kernel.event_store import PostgresStore, connector
from services.kernel.group_commit import GroupCommit
from services.kernel.http import App, create_app
from services.kernel.ids import new_id
from services.kernel.internal import Callers
from services.kernel.money import Money, iso4217
from services.kernel.pages import Lists
from services.kernel.settings import Kernel, load
from services.kernel.tokens import Principal, ServiceTokens, Tokens
from services.transfer import api, handlers
from services.transfer.api.lists import list_routes
from services.transfer.domain.commands import CancelTransfer, ConfirmFunding, RequireReview
from services.transfer.domain.states import Deadlines
from tests.unit.kernel.door import Answer, send
from tests.unit.transfer.samples import OPEN, RECEIVER, SENDER, TERMS

TENANT = "main"
ANNA, BERT = (UUID(int=number) for number in (71, 72))
CUSTOMERS = {name: Principal(each, TENANT, frozenset({"customer"})) for name, each in (("anna", ANNA), ("bert", BERT))}
STAFF = CUSTOMERS | {
    "olga": Principal(UUID(int=73), TENANT, frozenset({"operator"})),
    "adam": Principal(UUID(int=74), TENANT, frozenset({"admin"})),
}
LATER = datetime(2099, 1, 1, tzinfo=UTC)


def settings_of(dsn: str) -> Kernel:
    environ = {"ENV": "test", "DATABASE_URL": dsn, "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
               "JWT_SECRET": "0f9d1c3b5a7e88420f9d1c3b5a7e8842"}  # fmt: skip
    return load(Kernel, "transfer", environ)


@dataclass
class Shop:
    """The service's HTTP over a schema, and what happens in it."""

    engine: Engine
    app: App
    settings: Kernel
    opened: list[UUID] = field(default_factory=list)

    async def open(self, customer: UUID, corridor: str = "GB-ET", receives: str = "ETB") -> UUID:
        transfer_id = uuid4()
        route = route_reference(transfer_id)
        terms = replace(
            TERMS, quote_id=uuid4(), customer_id=customer, corridor=corridor, expires_at=LATER,
            receive=Money(5, iso4217(receives)),
        )  # fmt: skip
        wish = replace(
            OPEN, transfer_id=transfer_id, customer_id=customer, terms=terms, route=route,
            sender=replace(SENDER, customer_id=customer), receiver=replace(RECEIVER, customer_id=customer),
            route_id=route_id(TENANT, route),
        )  # fmt: skip
        await self.run(Unit((handlers.open_transfer(wish),), self.meta(transfer_id)))
        self.opened.append(transfer_id)
        return transfer_id

    async def review(self, transfer_id: UUID) -> None:
        for command in (
            ConfirmFunding(transfer_id=transfer_id, received=TERMS.send),
            RequireReview(transfer_id=transfer_id, payout_id=uuid4(), reason="refused:AC01"),
        ):
            await self.run(Unit((Ask(transfer_id, command),), self.meta(transfer_id)))

    async def cancel(self, transfer_id: UUID, customer: UUID) -> None:
        command = CancelTransfer(transfer_id=transfer_id, customer_id=customer, reason="no")
        await self.run(Unit((Ask(transfer_id, command),), self.meta(transfer_id, str(customer), "no")))

    def meta(self, transfer_id: UUID, actor: str = "olga", reason: str | None = None) -> Meta:
        return Meta(TENANT, actor, transfer_id, uuid4(), reason, f"00-{'a' * 32}-{'b' * 16}-01")

    async def run(self, unit: Unit) -> None:
        (outcome,) = await self.engine.run(Units([unit]))
        assert outcome.error is None, outcome
        assert outcome.refusal is None, outcome

    async def get(self, who: str, path: str = "/v1/transfers", **query: Any) -> Answer:
        issuer = ServiceTokens if who == "review" else Tokens
        principal = STAFF.get(who) or Principal(uuid4(), TENANT, frozenset({"service"}))
        token = issuer.from_settings(self.settings).issue(principal, 600)
        return await send(
            self.app, "GET", path, headers=[("authorization", f"Bearer {token}")], query=urlencode(query, doseq=True)
        )

    async def ids(self, who: str, **query: Any) -> list[UUID]:
        answer = await self.get(who, **query)
        assert answer.status == 200, answer.body
        return [UUID(item["transfer_id"]) for item in answer.json["items"]]

    async def walk(self, who: str, **query: Any) -> list[UUID]:
        """All pages."""
        found, cursor = [], None
        for _ in range(100):
            answer = await self.get(who, **query | ({"cursor": cursor} if cursor else {}))
            assert answer.status == 200, answer.body
            assert len(answer.json["items"]) <= query.get("limit", 50)
            found += [UUID(item["transfer_id"]) for item in answer.json["items"]]
            cursor = answer.json["next_cursor"]
            if cursor is None:
                return found
        raise AssertionError("no end")


async def no_facts(*_: object) -> Any:
    raise AssertionError("not asked here")


EMPTY = """
    SET session_replication_role = replica;
    TRUNCATE event, stream_state, claim, outbox, side_effect"""


@asynccontextmanager
async def opened(dsn: str) -> AsyncIterator[Shop]:
    """On empty tables."""
    await owner(dsn, EMPTY)
    store = PostgresStore(connector(dsn, "transfer", "test"))
    engine = Engine(store, (handlers.decider(Deadlines()),), "transfers", new_id)
    settings = settings_of(dsn)
    callers, lists = Callers.from_settings(settings), Lists(engine, Cursors.from_settings(settings))
    transfers = api.Transfers(GroupCommit(engine), engine, no_facts, no_facts)  # type: ignore[arg-type]
    routers = [
        api.routes(transfers, Tokens.from_settings(settings), callers),
        list_routes(lists, callers, api.view),
    ]
    yield Shop(engine, create_app(settings, routers), settings)
    await store.drop()


async def owner(dsn: str, *statements: str) -> None:
    """Run them past all rights and triggers."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "transfer"})
    for statement in statements:
        await connection.execute(statement)
    await connection.close()
