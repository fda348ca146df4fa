"""A posting is changed behind everybody's back: its currency stands still, facts are booked, two people lift it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import aiohttp
import asyncpg
import pytest

from scripts.demo.client import Client
from scripts.stack import broker, postgres
from scripts.system import leftovers
from scripts.system.database import DATABASE
from scripts.system.home import Home
from scripts.system.system import System
from tests.support.fakes import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
EAGER = {"LEDGER_BLOCK_SECONDS": "1", "LEDGER_BLOCK_ENTRIES": "5"}
WAIT_SECONDS = 90.0
BEND = """BEGIN; ALTER TABLE posting DISABLE TRIGGER ALL;
    UPDATE posting SET amount_minor = amount_minor + 1
    WHERE (entry_seq, line) = (SELECT entry_seq, line FROM posting WHERE account_id = 'payout_clearing:ETB'
                               ORDER BY entry_seq LIMIT 1);
    ALTER TABLE posting ENABLE TRIGGER ALL; COMMIT"""


@dataclass
class Town:
    """A system, and people in it."""

    system: System
    home: Home
    client: Client
    people: tuple[str, str] = ("", "")

    async def meet(self) -> None:
        for login in ("customer", "operator", "second_operator"):
            await self.client.log_in(login, self.system.installation.logins[login])
        self.people = (
            await self._person("sender", "GB", "Anna Example"),
            await self._person("receiver", "ET", "Abebe Example", "1000123456789"),
        )

    async def _person(self, kind: str, country: str, name: str, account: str | None = None) -> str:
        wish = {"kind": kind, "country": country, "name": name} | ({"account": account} if account else {})
        profile = await self.client.post("/v1/profiles", wish)
        verdict = {"verdict": "approved", "reason": "documents seen"}
        await self.client.post(f"/v1/profiles/{profile['profile_id']}/kyc", verdict, who="operator")
        return str(profile["profile_id"])

    async def ask(
        self, method: str, path: str, body: Any = None, who: str = "operator", key: str | None = None
    ) -> tuple[int, Any]:
        """Once, whatever comes."""
        headers = {"Authorization": f"Bearer {self.client.tokens[who]}"}
        headers |= {"Idempotency-Key": key or str(uuid4())} if method == "POST" else {}
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.client.base_url}{path}", json=body, headers=headers) as answer,
        ):
            return answer.status, await answer.json()

    async def wish(self) -> dict[str, str]:
        quote = await self.client.post(
            "/v1/quotes", {"corridor": "GB-ET", "send_minor": 10_000, "send_currency": "GBP"}
        )
        return {"quote_id": quote["quote_id"], "sender_id": self.people[0], "receiver_id": self.people[1]}

    async def pay_in(self, opened: dict[str, Any]) -> None:
        deposit = {
            "reference": f"H-{opened['transfer_id'][:8]}", "route": opened["route"],
            "amount_minor": opened["send_minor"], "currency": opened["send_currency"], "transport": "webhook",
            "copies": 1,
        }  # fmt: skip
        await self.client.sandbox("POST", "/collect", {"deposits": [deposit], "bulk": False})

    async def is_in(self, opened: dict[str, Any], state: str) -> None:
        async def there() -> bool:
            return bool((await self.client.get(f"/v1/transfers/{opened['transfer_id']}"))["state"] == state)

        await until(there, WAIT_SECONDS)

    async def halt(self, state: str) -> dict[str, Any]:
        """The one of ETB, once it is so and its journals are known."""
        found: list[dict[str, Any]] = []

        async def there() -> bool:
            halts = (await self.client.get("/v1/ledger/halts", who="operator"))["halts"]
            found[:] = [each for each in halts if (each["currency"], each["state"]) == ("ETB", state)]
            return bool(found and found[0]["journals"])

        await until(there, WAIT_SECONDS)
        return found[0]

    async def sql(self, text: str, schema: str = "ledger") -> list[Any]:
        """As the superuser."""
        server = postgres.server(self.home.postgres).start().address
        dsn = urlunsplit(urlsplit(server)._replace(path=f"/{DATABASE}"))
        connection = await asyncpg.connect(dsn, server_settings={"search_path": schema})
        try:
            if text.startswith("SELECT"):
                return list(await connection.fetch(text))
            await connection.execute(text)
            return []
        finally:
            await connection.close()

    async def payouts(self, opened: dict[str, Any]) -> list[Any]:
        """(stage, how often its submission was taken) of a transfer's payouts."""
        return await self.sql(
            f"""SELECT s.stage, coalesce(max(e.attempts), 0) FROM stream_state s
                LEFT JOIN side_effect e ON e.stream_id = s.stream_id AND e.name = 'submit'
                WHERE s.category = 'payout' AND s.record_key = '{opened["transfer_id"]}' GROUP BY s.stage""",  # noqa: S608 - ours
            "payout",
        )

    def ops_cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"CORRIDOR_VAR": str(self.home.path), "PATH": "/usr/bin:/bin", "HOME": str(self.home.path)}
        return subprocess.run(
            [sys.executable, "-m", "services.ops_cli", *arguments], capture_output=True, text=True, check=False,
            env=environment, timeout=60,
        )  # fmt: skip


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, Home]]:
    home = Home(tmp_path_factory.mktemp("halts") / "var")
    home.make()
    system = System(home, broker.kind(), overrides={"ledger": EAGER})
    try:
        system.start()
        yield system, home
    finally:
        system.stop()
        leftovers.end_all(home)


async def test_a_breach_stops_new_money_in_its_currency_until_two_people_let_it_go_on(
    system: tuple[System, Home],
) -> None:
    async with AsyncExitStack() as stack:
        running, home = system
        facts = running.facts
        client = await stack.enter_async_context(Client(facts.base_url, facts.sandbox_url))
        town = Town(running, home, client)
        await town.meet()
        first, before = [await client.post("/v1/transfers", await town.wish()) for _ in range(2)]
        await town.pay_in(first)
        await town.is_in(first, "PAYOUT_COMPLETED")

        await town.sql(BEND)
        halt = await town.halt("HALTED")
        assert halt["difference_minor"] == 1
        assert len(halt["journals"]) == 1
        assert await asyncio.to_thread(lambda: town.ops_cli("ledger", "halt", "list").returncode) == 6
        await _refuses_new_transfers(town)
        await _books_facts_and_holds_payouts_back(town, before)
        await _takes_two_people(town)
        await town.is_in(before, "PAYOUT_COMPLETED")
        after = await client.post("/v1/transfers", await town.wish())
        await town.pay_in(after)
        await town.is_in(after, "PAYOUT_COMPLETED")
        submitted = await town.sql(
            "SELECT stream_id FROM event WHERE event_type = 'corridor.payout.submitting.v1'", "payout"
        )
        assert len(submitted) == len({row[0] for row in submitted}) == 3


async def _refuses_new_transfers(town: Town) -> None:
    wish, key, answers = await town.wish(), str(uuid4()), list[tuple[int, Any]]()

    async def refused() -> bool:
        answers.append(await town.ask("POST", "/v1/transfers", await town.wish(), "customer"))
        return answers[-1][0] == 503

    await until(refused, WAIT_SECONDS)
    assert answers[-1][1]["code"] == "CURRENCY_HALTED"
    assert (await town.ask("POST", "/v1/transfers", wish, "customer", key))[0] == 503
    status, bulk = await town.ask("POST", "/v1/transfers/batch", {"transfers": [wish]}, "customer")
    assert (status, bulk["results"][0]["body"]["code"]) == (200, "CURRENCY_HALTED")


async def _books_facts_and_holds_payouts_back(town: Town, opened: dict[str, Any]) -> None:
    await town.pay_in(opened)
    await town.is_in(opened, "FUNDING_CONFIRMED")

    async def asked() -> bool:
        return bool([tuple(row) for row in await town.payouts(opened) if row[0] == "Approved" and row[1] >= 1])

    await until(asked, WAIT_SECONDS)
    town.system.kill("payout_orchestrator")
    await asyncio.to_thread(town.system.wait_ready, "payout_orchestrator")
    (before,) = await town.payouts(opened)

    async def asked_again() -> bool:
        (row,) = await town.payouts(opened)
        assert row[0] == "Approved"
        return bool(row[1] > before[1])

    await until(asked_again, WAIT_SECONDS)
    entries = (await town.client.get(f"/v1/ledger/transfers/{opened['transfer_id']}/entries", who="operator"))[
        "entries"
    ]
    assert [each["kind"] for each in entries][-1] == "transfer.funding_confirmed"


async def _takes_two_people(town: Town) -> None:
    path, why = "/v1/ledger/halts/ETB", {"reason": "posting restored from its event"}
    assert (await town.ask("POST", f"{path}/lift-approvals", why))[1]["code"] == "LIFT_NOT_REQUESTED"
    assert (await town.ask("POST", f"{path}/lift-requests", {"reason": " "}))[0] == 400
    assert (await town.ask("POST", f"{path}/lift-requests", why, "customer"))[0] == 403
    assert (await town.ask("POST", f"{path}/lift-requests", why))[1]["state"] == "LIFT_REQUESTED"
    status, problem = await town.ask("POST", f"{path}/lift-approvals", why)
    assert (status, problem["code"]) == (403, "SECOND_PERSON_REQUIRED")
    await town.sql(BEND)
    await town.halt("HALTED")
    assert (await town.ask("POST", f"{path}/lift-approvals", why, "second_operator"))[1]["code"] == "LIFT_NOT_REQUESTED"
    assert (await town.ask("POST", f"{path}/lift-requests", why))[1]["state"] == "LIFT_REQUESTED"
    assert (await town.ask("POST", f"{path}/lift-approvals", why, "second_operator"))[1]["state"] == "RESUMED"
    assert (await town.ask("POST", f"{path}/lift-approvals", why, "second_operator"))[1][
        "code"
    ] == "CURRENCY_NOT_HALTED"
