"""The review service on a real database and broker: events of the other services in, its HTTP out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from contracts import topics
from services.deposit_watcher import handlers as deposit
from services.deposit_watcher.domain.states import Deadlines as DepositDeadlines
from services.kernel.bus import KafkaPublisher
from services.kernel.decider import Ask, Decider, Meta, Unit
from services.kernel.engine import Engine, Units
from services.kernel.event_store import PostgresStore, connector
from services.kernel.http import App, create_app
from services.kernel.ids import new_id
from services.kernel.outbox import PostgresOutbox
from services.kernel.relay import Relay
from services.kernel.service import Runtime
from services.kernel.settings import load
from services.kernel.tokens import Principal, Tokens
from services.payout_orchestrator import handlers as payout
from services.payout_orchestrator.domain.policy import Deadlines as PayoutDeadlines
from services.payout_orchestrator.domain.policy import rules
from services.reconciliation import handlers as reconciliation
from services.review import __main__ as review
from services.review import api
from services.review.adapters.parked import AskedParked
from services.review.adapters.stories import Stories
from services.review.api.cursors import Cursors
from services.review.ports import OwnerUnavailable
from services.review.projections import queue
from services.transfer import handlers as transfer
from services.transfer.domain.states import Deadlines as TransferDeadlines
from tests.support.fakes import until
from tests.unit.kernel.door import Answer, send

PARTITIONS = 2
STAFF_ID = UUID(int=77)  # a cursor is good for who was given it
ADDRESS = "http://127.0.0.1:1"
NAMES = ("CORE", "QUOTE", "TRANSFER", "DEPOSIT", "PAYOUT", "LEDGER", "RECON")
SOURCES: Mapping[str, tuple[str, topics.Topic, Decider[Any, Any, Any]]] = {
    "deposit_watcher": ("deposit", topics.DEPOSIT, deposit.decider(DepositDeadlines())),
    "payout_orchestrator": (
        "payout", topics.PAYOUT, payout.decider(rules({"ETB": 2_000_000}), PayoutDeadlines()),
    ),
    "transfer": ("transfer", topics.TRANSFER, transfer.decider(TransferDeadlines())),
    "reconciliation": ("recon", topics.RECON, reconciliation.issue_decider()),
}  # fmt: skip


@dataclass
class SaidByOwners:
    """Other services with what they would answer; who is not in it is away, except for what is parked: that is none."""

    answers: dict[tuple[str, str], Any] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    async def get(self, service: str, path: str, bearer: str) -> Any:
        self.asked.append(service)
        assert bearer
        if service in self.away:
            raise OwnerUnavailable("planted")
        return self.answers.get((service, path), {"items": []} if "/parked" in path else None)


class World:
    """One database, one broker, and the service in this process."""

    def __init__(self, dsn: str, bootstrap: str) -> None:
        self.dsn, self.bootstrap = dsn, bootstrap
        self.owners = SaidByOwners()
        self.settings = load(
            review.Settings,
            "review",
            {
                "ENV": "dev", "DATABASE_URL": dsn, "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
                "KAFKA_PARTITIONS": str(PARTITIONS), "JWT_SECRET": uuid4().hex,
                **{f"{name}_URL": ADDRESS for name in NAMES},
            },
        )  # fmt: skip
        self.tokens = Tokens.from_settings(self.settings)
        self.app: App | None = None

    def bearer(self, role: str = "operator", tenant: str = "corridor") -> str:
        return self.tokens.issue(Principal(STAFF_ID, tenant, frozenset({role})), 600)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The read tables follow their topics, and HTTP answers."""
        async with AsyncExitStack() as opened:
            runtime = Runtime(review.service(), self.settings)
            opened.push_async_callback(runtime.close)
            self.app = self._app(runtime)
            task = asyncio.create_task(dict(runtime.tasks())["projections"]())
            opened.push_async_callback(_ended, task)
            yield

    def _app(self, runtime: Runtime) -> App:
        own = partial(queue.own_parked, runtime.reads)
        parked = AskedParked(self.owners, lambda: "a service", own, clock=_always_later())
        reviews = api.Reviews(runtime.reads, parked, Stories(self.owners), lambda: datetime.now(UTC))
        routes = api.routes(reviews, self.tokens, Cursors.from_settings(self.settings), self.settings.tenant)
        return create_app(self.settings, [routes])

    async def get(self, path: str, query: str = "", bearer: str | None = None) -> Answer:
        headers = [("authorization", f"Bearer {bearer or self.bearer()}")]
        assert self.app is not None
        return await send(self.app, "GET", path, headers=headers, query=query)

    async def queue(self, query: str = "") -> Any:
        answer = await self.get("/v1/reviews", query)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    async def item(self, reason: str, subject: UUID, state: str = "open") -> dict[str, Any]:
        """The item of a reason whose link names the subject, once it is there."""
        found: list[dict[str, Any]] = []

        async def there() -> bool:
            shown = await self.queue(f"reason={reason}&state={state}&limit=200")
            found[:] = [item for item in shown["items"] if str(subject) in item["link"]]
            return len(found) == 1

        await until(there)
        return found[0]

    async def is_gone(self, reason: str, subject: UUID) -> None:
        """Wait until nothing is open for that reason of that subject."""

        async def gone() -> bool:
            shown = await self.queue(f"reason={reason}&limit=200")
            return not any(str(subject) in item["link"] for item in shown["items"])

        await until(gone)

    async def say(self, service: str, stream_id: UUID, *commands: Any) -> None:
        """What the service decides, on its topic."""
        schema, topic, decider = SOURCES[service]
        store = PostgresStore(connector(self.dsn, schema, "test"))
        engine = Engine(store, (decider,), topic.name, new_id)
        meta = Meta("corridor", "tester", stream_id)
        for command in commands:
            (outcome,) = await engine.run(Units([Unit((Ask(stream_id, command),), meta)]))
            assert outcome.events, f"{command} caused nothing: {outcome}"
        await store.drop()
        await self.relay(service)

    async def relay(self, service: str) -> None:
        outbox = PostgresOutbox(connector(self.dsn, SOURCES[service][0], "test relay"))
        publisher = KafkaPublisher(self.bootstrap, f"/corridor/{service}", PARTITIONS, 1)
        await until(outbox.lead)
        while await Relay(outbox, publisher).step():
            pass
        await publisher.stop()
        if outbox._connection is not None:
            outbox._connection.terminate()

    async def execute(self, sql: str, *values: Any, role: str | None = None) -> list[Any]:
        connection = await asyncpg.connect(self.dsn)
        try:
            if role:
                await connection.execute(f"SET ROLE {role}")
            return list(await connection.fetch(sql, *values))
        finally:
            await connection.close()


def _always_later() -> Callable[[], float]:
    """A clock by which every answer is old."""
    seconds = iter(range(0, 10**9, 60))
    return lambda: float(next(seconds))


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
