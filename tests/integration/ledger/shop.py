"""A ledger with money in it: entries through the engine, a watch with a clock of its own, and the superuser's hand."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from contracts import topics
from contracts.ledger.v1 import BOOKED
from services.kernel.account import standings_after
from services.kernel.book import PARTS, read_standings, writer
from services.kernel.decider import Ask, Meta, Outcome, Unit
from services.kernel.engine import Engine, Units
from services.kernel.event_store import PostgresStore, connector
from services.kernel.ids import derive, new_id
from services.kernel.money import Money, iso4217
from services.ledger import handlers
from services.ledger.adapters import block_rows
from services.ledger.adapters.watch import Limits, Watch
from services.ledger.domain.chart import account_kind
from services.ledger.domain.entries import PostEntry
from services.ledger.domain.halts import Halt, halt_id
from services.ledger.domain.templates import lines

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
TENANT = "corridor"
GUARDS = ("account", "entry", "posting", "balance", "book_head", "block", "balance_at", "event", "chart")


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Shop:
    """One database."""

    dsn: str
    clock: Clock = field(default_factory=Clock)
    lanes: list[PostgresStore] = field(default_factory=list)
    sessions: list[Watch] = field(default_factory=list)

    def engine(self) -> Engine:
        """On a lane of its own."""
        store = PostgresStore(
            connector(self.dsn, "ledger", "shop"), (*PARTS, *block_rows.PARTS), read_accounts=read_standings
        )
        self.lanes.append(store)
        return Engine(
            store, handlers.deciders(), topics.LEDGER.name, new_id,
            also_of=dict.fromkeys(BOOKED, writer(account_kind)) | block_rows.ALSO_OF,
            moved=lambda event, look: standings_after(event, look) if isinstance(event, BOOKED) else {},
        )  # fmt: skip

    def watch(self, entries: int = 1, seconds: float = 30.0) -> Watch:
        """A process's, which closes a block of any entries at once."""
        watch = Watch(
            connector(self.dsn, "ledger", "shop snapshot"), self.engine(), TENANT, {"GBP", "ETB"},
            Limits(entries=entries, seconds=seconds), self.clock,
        )  # fmt: skip
        self.sessions.append(watch)
        return watch

    async def sql(self, text: str, *values: Any) -> list[Any]:
        """As the superuser."""
        connection = await asyncpg.connect(self.dsn, server_settings={"search_path": "ledger"})
        try:
            return list(await connection.fetch(text, *values)) if values else [await connection.execute(text)]
        finally:
            await connection.close()

    async def rows(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query finds."""
        connection = await asyncpg.connect(self.dsn, server_settings={"search_path": "ledger"})
        try:
            return [tuple(row) for row in await connection.fetch(text, *values)]
        finally:
            await connection.close()

    async def tamper(self, text: str) -> None:
        """As the superuser, with every trigger of the book off."""
        off = "".join(f"ALTER TABLE {table} DISABLE TRIGGER ALL;" for table in GUARDS)
        on = "".join(f"ALTER TABLE {table} ENABLE TRIGGER ALL;" for table in GUARDS)
        await self.sql(f"BEGIN; {off} {text}; {on} COMMIT")

    async def halt(self, currency: str) -> Halt:
        """How it stands."""
        engine = self.engine()
        return (await engine.heads([halt_id(currency)])).get(halt_id(currency), (None, None))[1]

    async def close(self) -> None:
        """End all sessions."""
        for watch in self.sessions:
            watch._drop()
        for lane in self.lanes:
            await lane.drop()


def deposit(minor: int = 500, currency: str = "GBP") -> Ask:
    """Money has come."""
    return _ask("deposit.observed", {"partner": "bank"}, {"amount": money(minor, currency)})


def fund(minor: int = 500, currency: str = "GBP", customer: str = "c") -> Ask:
    """It is a customer's."""
    nothing, amount = money(0, currency), money(minor, currency)
    return _ask(
        "transfer.funding_confirmed", {"customer": customer},
        {"received": amount, "send": amount, "short": nothing, "over": nothing},
    )  # fmt: skip


def money(minor: int, currency: str) -> Money:
    return Money(minor, iso4217(currency))


def _ask(kind: str, names: dict[str, str], amounts: dict[str, Money]) -> Ask:
    cause, transfer = uuid4(), uuid4()
    entry_id: UUID = derive("entry", cause, kind)
    command = PostEntry(
        entry_id=entry_id, kind=kind, cause_id=cause, transfer_id=transfer, lines=lines(kind, names, amounts),
        caused_at=AT,
    )  # fmt: skip
    return Ask(entry_id, command)


async def post(engine: Engine, asks: Sequence[Ask]) -> list[Outcome]:
    """Each a unit of its own, in one batch."""
    outcomes = await engine.run(Units([Unit((ask,), Meta(TENANT, "shop", ask.stream_id)) for ask in asks]))
    for outcome in outcomes:
        assert outcome.error is None, outcome.error
        assert outcome.refusal is None, outcome.refusal
    return outcomes


def some(count: int, seed: int = 1) -> list[Ask]:
    """Deposits in two currencies, each followed by the customer's money."""
    dice = random.Random(seed)
    asks: list[Ask] = []
    for _ in range(count):
        minor, currency = dice.randint(1, 900), dice.choice(["GBP", "ETB"])
        asks += [deposit(minor, currency), fund(minor, currency, f"c{dice.randint(1, 5)}")]
    return asks


@asynccontextmanager
async def opened(dsn: str) -> AsyncIterator[Shop]:
    """Ended at the end."""
    shop = Shop(dsn)
    try:
        yield shop
    finally:
        await shop.close()
