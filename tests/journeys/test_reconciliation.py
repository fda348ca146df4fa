"""The demo's story, kills, duplicates and faults and all; its books agree. Until one of them is bent."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import psutil
import pytest
from rich.console import Console

from scripts.demo.__main__ import SHORTENED
from scripts.demo.board import Board
from scripts.demo.client import Client, Log
from scripts.demo.story import Story
from scripts.stack import broker
from scripts.system import leftovers
from scripts.system.home import Home
from scripts.system.system import System
from tests.support.fakes import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PATIENCE = {
    "RECON_INTERVAL_SECONDS": "0", "RECON_GRACE_SECONDS": "3", "RECON_QUIET_SECONDS": "5",
    "RECON_PROVIDER_GRACE_SECONDS": "10",
}  # fmt: skip
REASON = {"reason": "daily reconciliation"}
WAIT_SECONDS = 90.0


class Ops:
    """An operator at the door."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.headers = {"Authorization": f"Bearer {system.facts.tokens['operator']}"}

    async def ask(self, method: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, Any]:
        headers = self.headers | ({"Idempotency-Key": key or str(uuid4())} if method == "POST" else {})
        limit = aiohttp.ClientTimeout(total=60)
        url = f"{self.system.facts.base_url}/v1/recon/{path}"
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.request(method, url, json=body, headers=headers) as answer,
        ):
            return answer.status, await answer.json()

    async def run(self) -> Any:
        """A run, to its end."""
        status, run = await self.ask("POST", "runs", REASON)
        assert status in {201, 202}, run

        async def ended() -> bool:
            nonlocal run
            _, run = await self.ask("GET", f"runs/{run['run_id']}")
            return bool(run["status"] != "running")

        await until(ended, WAIT_SECONDS)
        assert run["status"] == "completed", run
        return run

    async def whole_run(self) -> Any:
        """A run that had nothing left out."""
        run: Any = None

        async def whole() -> bool:
            nonlocal run
            run = await self.run()
            return bool(run["not_judged"] == 0)

        await until(whole, WAIT_SECONDS)
        return run

    def process(self) -> psutil.Process:
        """The one of reconciliation."""
        return psutil.Process(next(each["pid"] for each in self.system.processes() if each["name"] == "reconciliation"))


@pytest.fixture(scope="module")
def ops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ops]:
    """The story has been told."""
    home = Home(tmp_path_factory.mktemp("recon") / "var")
    home.make()
    own = {name: dict(values) for name, values in SHORTENED.items()} | {"reconciliation": PATIENCE}
    system = System(home, broker.kind(), overrides=own)
    try:
        system.start()
        asyncio.run(told(system, home))
        yield Ops(system)
    finally:
        system.stop()
        leftovers.end_all(home)


async def told(system: System, home: Home) -> None:
    board, log, facts = Board(Console(file=StringIO())), Log(home.path / "client.jsonl"), system.facts
    async with Client(facts.base_url, facts.sandbox_url) as client, asyncio.timeout(400):
        for login in ("customer", "operator"):
            await client.log_in(login, system.installation.logins[login])
        telling = asyncio.create_task(Story(client, log, board, system).tell())
        async for _ in killing(Ops(system), telling):
            pass
        await telling


async def killing(ops: Ops, telling: asyncio.Task[None]) -> AsyncIterator[None]:
    """Reconciliation dies too, and what it read twice counts once."""
    for _ in range(3):
        await asyncio.wait({telling}, timeout=6)
        if not telling.done():
            ops.process().kill()
        yield


@contextmanager
def bent(ops: Ops, statement: str) -> Iterator[str]:
    """One payment of the bank's own book, changed behind its back until the end; the transfer that it is for."""
    with closing(sqlite3.connect(Path(ops.system.home.sandbox) / "book.sqlite", timeout=10)) as book:
        row = book.execute("SELECT seq, amount_minor, status, remittance_information FROM payment "
                           "WHERE status = 'ACSC' ORDER BY seq LIMIT 1").fetchone()  # fmt: skip
        with book:
            book.execute(f"{statement} WHERE seq = ?", (row[0],))
        try:
            yield str(row[3])
        finally:
            with book:
                book.execute("UPDATE payment SET amount_minor = ?, status = ? WHERE seq = ?", (row[1], row[2], row[0]))


async def open_issues(ops: Ops) -> list[tuple[str, str | None]]:
    _, page = await ops.ask("GET", "issues?state=open")
    return [(issue["code"], issue["transfer_id"]) for issue in page["items"]]


async def test_books_agree_after_kills_duplicates_and_faults(ops: Ops) -> None:
    run = await ops.whole_run()
    assert (await open_issues(ops), run["issues_by_code"]) == ([], {})
    assert run["transfers"] >= 200
    assert {each["name"] for each in run["totals"]} >= {"deposits", "funding", "fees", "payouts", "settlements"}
    assert [each for each in run["totals"] if each["expected_minor"] != each["actual_minor"]] == []


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("UPDATE payment SET amount_minor = amount_minor + 1", "PROVIDER_AMOUNT_DIFFERS"),
        ("UPDATE payment SET status = 'RJCT'", "PROVIDER_STATE_DIFFERS"),
    ],
)
async def test_a_bent_entry_of_the_bank_is_that_one_issue_until_it_is_straight(
    ops: Ops, statement: str, code: str
) -> None:
    with bent(ops, statement) as transfer:
        await ops.whole_run()
        assert await open_issues(ops) == [(code, transfer)]
        connection = await asyncpg.connect(ops.system.facts.oncall_database_url)
        try:
            (row,) = await connection.fetch(
                "SELECT code, transfer_id::text FROM app.reconciliation_issue WHERE state = 'open'"
            )
        finally:
            await connection.close()
        assert tuple(row) == (code, transfer)
    run = await ops.whole_run()
    assert (run["issues_cleared"], await open_issues(ops)) == (1, [])


async def test_two_at_once_are_one_run_and_a_refusal(ops: Ops) -> None:
    answers = await asyncio.gather(*(ops.ask("POST", "runs", REASON) for _ in range(2)))
    assert sorted(status for status, _ in answers) == [201, 409]


async def test_a_run_that_is_killed_is_said_to_have_failed_and_the_next_goes_on(ops: Ops) -> None:
    killed = ops.process()
    asking = asyncio.create_task(ops.ask("POST", "runs", REASON))

    async def under_way() -> bool:
        _, page = await ops.ask("GET", "runs?limit=1")
        return bool(page["items"][0]["status"] == "running")

    await until(under_way, WAIT_SECONDS)
    killed.kill()
    await asyncio.gather(asking, return_exceptions=True)
    answered = False

    async def again() -> bool:
        nonlocal answered
        status, _ = await ops.ask("GET", "runs?limit=1")
        answered = status == 200
        return answered and ops.process().pid != killed.pid

    await until(again, WAIT_SECONDS)
    await ops.run()
    _, page = await ops.ask("GET", "runs?limit=2")
    assert [run["status"] for run in page["items"]] == ["completed", "failed"]
    assert page["items"][1]["error"].startswith("INTERRUPTED")


async def test_it_gives_way_to_the_money(ops: Ops) -> None:
    assert ops.process().nice() == min(19, psutil.Process().nice() + 15)
