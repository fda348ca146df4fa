"""Who decides on an account has it, and the head of the book, until the end of their transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.kernel.account import Standing
from services.kernel.decider import Meta, Outcome, Unit
from services.kernel.engine import Engine, Units
from services.kernel.event_store import PostgresStore, connector
from services.kernel.store import Wanted
from services.ledger.__main__ import service
from tests.support.fakes import until
from tests.support.ledger_asks import answer, ask
from tests.support.ledger_model import Fact, Op, Place

SQL = Path(__file__).parents[3] / "services/kernel/sql"
SCRIPTS = ("kernel.sql", "checkpoint.sql", "expiry.sql", "lookups.sql", "book.sql", "books.sql")
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'"
CUSTOMER = UUID(int=1)
ACCOUNT = f"customer:{CUSTOMER}:available:GBP"


class Lanes:
    """Two lanes on one ledger, and who looks at them."""

    def __init__(self, dsn: str, name: str) -> None:
        ledger = service()
        self.name = name
        self.stores = [
            PostgresStore(connector(dsn, name, f"{name}-{lane}"), ledger.parts, ledger.read_accounts)
            for lane in range(3)
        ]
        self.engine = Engine(
            self.stores[1], ledger.deciders, ledger.topic, uuid4, also_of=ledger.also_of, moved=ledger.moved
        )

    async def do(self, op: Op) -> str:
        """On the second lane."""
        outcomes: list[Outcome] = await self.engine.run(Units([Unit((ask(op, {}),), Meta("corridor", "t", uuid4()))]))
        return answer(outcomes[0])

    async def waits(self, task: asyncio.Task[str]) -> bool:
        """Whether the second lane stands behind a lock rather than having done its work."""

        async def settled() -> bool:
            return task.done() or bool((await self.stores[2].fetch(WAITING, f"{self.name}-1"))[0][0])

        await until(settled)
        return not task.done()


@pytest.fixture
async def lanes(postgres_dsn: str) -> AsyncIterator[Lanes]:
    name = f"locks_{uuid4().hex}"
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(f"CREATE SCHEMA {name}; SET search_path = {name}")
    for script in SCRIPTS:
        await connection.execute((SQL / script).read_text())
    made = Lanes(postgres_dsn, name)
    yield made
    for store in made.stores:
        await store.drop()
    await connection.execute(f"DROP SCHEMA {name} CASCADE")
    await connection.close()


def gift(minor: int) -> Fact:
    return Fact("wallet.topped_up", uuid4(), {"customer": str(CUSTOMER)}, {"amount": (minor, "GBP")})


def place(minor: int) -> Place:
    return Place(uuid4(), CUSTOMER, minor, "GBP", uuid4())


@pytest.mark.parametrize("before", [0, 100], ids=["no balance yet", "a balance"])
@pytest.mark.parametrize("op", [gift(7), place(60)], ids=["money comes", "a hold"])
async def test_what_a_decision_reads_stays_so_until_it_is_written(lanes: Lanes, before: int, op: Op) -> None:
    if before:
        assert await lanes.do(gift(before)) == "EntryPosted"
    async with lanes.stores[0].transaction() as transaction:
        known = await transaction.read(Wanted(accounts={ACCOUNT}))
        assert known.accounts[ACCOUNT] == Standing(0, before)
        other = asyncio.create_task(lanes.do(op))
        assert await lanes.waits(other), "another lane moves what was just read"
    assert await other in ("EntryPosted", "HoldPlaced", "HoldRefused")
