"""Trouble of each kind on a running system: in the queue with its amount and link, and gone where it has healed."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.request import urlopen
from uuid import uuid4

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaProducer

from scripts.demo.client import Client, Json, Refused
from scripts.demo.story import PAIRS
from scripts.stack import broker
from scripts.system import leftovers
from scripts.system.home import Home
from scripts.system.system import System
from tests.support.fakes import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
OVERRIDES = {
    "*": {"CORRIDOR_EFFECT_LEASE_SECONDS": "10"},
    "deposit_watcher": {"UNKNOWN_ROUTE_GRACE_SECONDS": "1"},
    "payout_orchestrator": {
        "BANK_TIMEOUT_SECONDS": "2", "PAYOUT_LEASE_SECONDS": "5", "PAYOUT_UNKNOWN_ASK_SECONDS": "1",
        "PAYOUT_FIRST_POLL_SECONDS": "1", "PAYOUT_SETTLING_DELAY_SECONDS": "600",
    },
}  # fmt: skip
PATIENCE_SECONDS = 60.0
PAIR = PAIRS[0]
WHO_LISTENS = {"quote", "deposit_watcher", "payout_orchestrator", "ledger", "reconciliation", "review"}  # to transfers
END = {"entry:payout.confirmed", "corridor.transfer.payout_completed.v1", "corridor.deposit.route_closed.v1"}
LANES = {"transfer", "deposit", "payout", "attempt", "arrival", "ledger"}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    home = Home(tmp_path_factory.mktemp("review") / "var")
    found = System(home, broker.kind(), overrides=OVERRIDES)
    try:
        found.start()
        yield found
    finally:
        found.stop()
        leftovers.end_all(home)


class Desk:
    """A customer, an operator and the banks."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def queue(self, query: str = "") -> Json:
        return await self.client.get(f"/v1/reviews?limit=200{query}", who="operator")

    async def found(self, reason: str, about: str, state: str = "open") -> Json:
        """The item of a reason that has to do with an id, once it is there."""
        items: list[Json] = []

        async def there() -> bool:
            shown = await self.queue(f"&reason={reason}&state={state}")
            items[:] = [each for each in shown["items"] if about in {each["transfer_id"], *each["link"].split("/")}]
            return len(items) == 1

        await until(there, PATIENCE_SECONDS)
        return items[0]

    async def gone(self, reason: str, review_id: str) -> Json:
        """The item once it is closed."""

        async def closed() -> bool:
            shown = await self.queue(f"&reason={reason}&state=closed")
            return review_id in {each["review_id"] for each in shown["items"]}

        await until(closed, PATIENCE_SECONDS)
        return await self.client.get(f"/v1/reviews/{review_id}", who="operator")

    async def opened(self) -> Json:
        """A transfer that waits for its money."""
        people = [await self._profile(*each) for each in (("sender", *PAIR.sender), ("receiver", *PAIR.receiver))]
        wish = {"corridor": PAIR.corridor, "send_minor": PAIR.least_minor, "send_currency": PAIR.currency}
        quote = await self.client.post("/v1/quotes", wish)
        taking = {"quote_id": quote["quote_id"], "sender_id": people[0], "receiver_id": people[1]}
        return await self.client.post("/v1/transfers", taking)

    async def _profile(self, kind: str, country: str, name: str, account: str | None = None) -> str:
        wish = {"kind": kind, "country": country, "name": name} | ({"account": account} if account else {})
        profile = await self.client.post("/v1/profiles", wish)
        verdict = {"verdict": "approved", "reason": "documents seen"}
        await self.client.post(f"/v1/profiles/{profile['profile_id']}/kyc", verdict, who="operator")
        return str(profile["profile_id"])

    async def pays_in(self, route: str, amount_minor: int) -> None:
        deposit = {
            "reference": f"J-{uuid4().hex[:12]}", "route": route, "amount_minor": amount_minor,
            "currency": PAIR.currency, "transport": "webhook", "copies": 1,
        }  # fmt: skip
        await self.client.sandbox("POST", "/collect", {"deposits": [deposit], "bulk": False})

    async def story(self, transfer_id: str) -> Json:
        return await self.client.get(f"/v1/reviews/transfers/{transfer_id}/timeline", who="operator")


@asynccontextmanager
async def desk_of(system: System) -> AsyncIterator[Desk]:
    facts = system.facts
    async with Client(facts.base_url, facts.sandbox_url) as client, asyncio.timeout(200):
        for login in ("customer", "operator"):
            await client.log_in(login, system.installation.logins[login])
        yield Desk(client)


async def test_money_for_nobody_is_in_the_queue(system: System) -> None:
    async with desk_of(system) as desk:
        await desk.pays_in("RF00NOBODYKNOWSTHISROUTE", 12_345)

        async def there() -> bool:
            return bool((await desk.queue("&reason=unmatched_deposit"))["items"])

        await until(there, PATIENCE_SECONDS)
        shown = await desk.queue("&reason=unmatched_deposit")
        (item,) = shown["items"]
        assert (item["amount_minor"], item["amount_decimal"], item["currency"]) == (12_345, "123.45", "GBP")
        assert shown["totals"] == [{"currency": "GBP", "amount_minor": 12_345, "amount_decimal": "123.45"}]
        route = await desk.client.get(item["link"], who="operator")
        assert [pile["amount_minor"] for pile in route["unresolved"]] == [12_345]
        assert item["link"] in (await desk.client.get(f"/v1/reviews/{item['review_id']}", who="operator"))["what_to_do"]


async def test_a_wrong_amount_waits_and_heals_with_the_rest(system: System) -> None:
    async with desk_of(system) as desk:
        transfer = await desk.opened()
        await desk.pays_in(transfer["route"], 2_000)
        item = await desk.found("deposit_mismatch", transfer["transfer_id"])
        assert (item["amount_minor"], item["currency"]) == (2_000, "GBP")
        assert item["detail"] == "short: 20.00 GBP came, expected 50.00 GBP"
        assert (await desk.client.get(item["link"], who="operator"))["transfer_id"] == transfer["transfer_id"]
        await desk.pays_in(transfer["route"], transfer["send_minor"] - 2_000)
        closed = await desk.gone("deposit_mismatch", item["review_id"])
        assert (closed["state"], closed["closed_by"]) == ("closed", "corridor.deposit.confirmed.v1")
        assert {entry["type"] for entry in closed["timeline"]} >= {"corridor.deposit.mismatched.v1"}


async def test_a_payout_without_an_answer_waits_and_heals_and_its_story_is_whole(system: System) -> None:
    async with desk_of(system) as desk:
        transfer = await desk.opened()
        transfer_id = transfer["transfer_id"]
        match = {"remittance_information": transfer_id}
        lost = {"on": "submit", "fault": "drop_after_accept", "match": match, "times": 1}
        silent = {"on": "status", "fault": "error_503"}
        mute = {"on": "callback", "fault": "no_callback"}
        await desk.client.sandbox("PUT", "/faults", {"rules": [lost, silent, mute]})
        await desk.pays_in(transfer["route"], transfer["send_minor"])
        item = await desk.found("payout_unknown", transfer_id)
        payout = await desk.client.get(item["link"], who="operator")
        assert (payout["state"], payout["transfer_id"]) == ("UNKNOWN", transfer_id)
        assert (item["amount_minor"], item["currency"]) == (transfer["receive_minor"], transfer["receive_currency"])
        assert await metric(system, "payout_unknown") == 1
        await desk.client.sandbox("PUT", "/faults", {"rules": []})
        await desk.gone("payout_unknown", item["review_id"])

        async def paid() -> bool:
            found = await desk.client.get(f"/v1/transfers/{transfer_id}")
            return bool(found["state"] == "PAYOUT_COMPLETED")

        await until(paid, PATIENCE_SECONDS)
        told: Json = {}

        async def whole() -> bool:
            told.update(await desk.story(transfer_id))
            return {entry["type"] for entry in told["entries"]} >= END

        await until(whole, PATIENCE_SECONDS)
        assert told["incomplete"] == []
        assert {entry["lane"] for entry in told["entries"]} == LANES
        times = [datetime.fromisoformat(entry["at"]) for entry in told["entries"]]
        assert times == sorted(times)
        kinds = [entry["type"] for entry in told["entries"]]
        assert kinds[0] == "corridor.transfer.opened.v1"
        assert kinds.index("attempt:submitted") < kinds.index("attempt:unknown") < kinds.index("attempt:settled")
        assert (await desk.story(transfer_id))["entries"] == told["entries"]
        await the_error_is_in_the_on_calls_view(system, item)


async def the_error_is_in_the_on_calls_view(system: System, item: Json) -> None:
    connection = await asyncpg.connect(system.facts.oncall_database_url)
    try:
        row = await connection.fetchrow(
            "SELECT state, last_error FROM app.payout_instruction WHERE payout_id = $1", item["link"].split("/")[-1]
        )
        states = await connection.fetch(
            "SELECT from_state, to_state FROM app.transfer_transition WHERE transfer_id = $1 ORDER BY version",
            item["transfer_id"],
        )
    finally:
        await connection.close()
    assert row is not None
    assert (row["state"], bool(row["last_error"])) == ("CONFIRMED", True)
    assert [each["to_state"] for each in states] == [
        "AWAITING_FUNDING", "FUNDING_CONFIRMED", "PAYOUT_INITIATED", "PAYOUT_COMPLETED",
    ]  # fmt: skip
    assert [each["from_state"] for each in states] == [None, *(each["to_state"] for each in states[:-1])]


async def metric(system: System, reason: str) -> float:
    """`corridor_review_open` of a reason, once it says that something waits."""
    url = next(each["probe_url"] for each in system.processes() if each["name"] == "review").replace(
        "readyz", "metrics"
    )
    said = re.compile(rf'corridor_review_open{{reason="{reason}"}} ([0-9.]+)')
    found = 0.0

    async def there() -> bool:
        nonlocal found
        text = (await asyncio.to_thread(lambda: urlopen(url, timeout=5).read())).decode()  # noqa: S310
        found = float(next(iter(said.findall(text))))
        return found > 0

    await until(there, PATIENCE_SECONDS)
    return found


async def test_a_stream_that_services_cannot_read_is_in_the_queue_of_each(system: System) -> None:
    stream = uuid4()
    await publish_a_second_event_without_a_first(system, stream)
    async with desk_of(system) as desk:
        shown: Json = {}

        async def there() -> bool:
            shown.update(await desk.queue("&reason=parked_stream"))
            return {each["service"] for each in shown["items"]} >= WHO_LISTENS and not shown["incomplete"]

        await until(there, PATIENCE_SECONDS)
        assert {each["link"] for each in shown["items"]} == {f"/v1/transfers/{stream}"}
        assert all(each["amount_minor"] is None for each in shown["items"])
        assert shown["counts"]["parked_stream"] == len(shown["items"])
        with pytest.raises(Refused, match="404"):
            await desk.story(str(stream))


async def publish_a_second_event_without_a_first(system: System, stream: Any) -> None:
    headers = {
        "ce_specversion": "1.0", "ce_id": str(uuid4()), "ce_source": "/corridor/transfer",
        "ce_type": "corridor.transfer.funding_confirmed.v1", "ce_subject": str(stream),
        "ce_time": datetime.now(UTC).isoformat(), "ce_streamversion": "2", "ce_schemaversion": "1",
        "ce_globalseq": "999999", "ce_correlationid": str(stream), "ce_tenant": "corridor", "ce_prevhash": "00" * 32,
        "ce_hash": "11" * 32, "ce_epoch": "1", "ce_actor": "tester", "content-type": "application/json",
    }  # fmt: skip
    producer = AIOKafkaProducer(bootstrap_servers=system.facts.kafka_bootstrap)
    await producer.start()
    await producer.send_and_wait(
        "corridor.transfer.events.v1", b"{}", key=str(stream).encode(),
        headers=[(name, text.encode()) for name, text in headers.items()],
    )  # fmt: skip
    await producer.stop()


async def test_an_owner_that_hangs_is_named_and_the_rest_is_shown(system: System) -> None:
    async with desk_of(system) as desk:
        transfer = await desk.opened()
        pid = next(each["pid"] for each in system.processes() if each["name"] == "ledger")
        psutil.Process(pid).send_signal(signal.SIGSTOP)
        try:
            told = await desk.story(transfer["transfer_id"])
            assert told["incomplete"] == ["ledger"]
            assert [entry["type"] for entry in told["entries"]][:1] == ["corridor.transfer.opened.v1"]

            async def named() -> bool:
                return bool((await desk.queue())["incomplete"] == ["ledger"])

            await until(named, PATIENCE_SECONDS)
        finally:
            psutil.Process(pid).send_signal(signal.SIGCONT)
