"""The collecting bank: money is booked first, then reported by webhook or by Kafka until it is heard."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.partitioner import murmur2

from tests.integration.sandbox.player import KEYS, Corridor, Sandbox, deposit, eventually, signed_by

ONE, BULK, TOPIC, PARTITIONS = "/v1/webhooks/deposit", "/v1/webhooks/deposit/batch", "partner.deposits.v1", 4


def collect(sandbox: Sandbox, *deposits: dict[str, Any], **more: Any) -> list[str]:
    status, answer = sandbox.call("POST", "/collect", {"deposits": deposits} | more)
    assert status == 200
    return list(answer["references"])


def states(sandbox: Sandbox) -> list[str]:
    return [row["state"] for row in sandbox.call("GET", "/book?limit=1000")[1]["collected"]]


def test_money_received_is_reported_with_a_signature(sandbox: Sandbox, corridor: Corridor) -> None:
    (reference,) = collect(sandbox, deposit())

    eventually(lambda: states(sandbox) == ["ACKNOWLEDGED"])

    ((path, headers, body),) = corridor.heard
    assert (path, signed_by(headers["x-webhook-signature"], body)) == (ONE, "kid-collect")
    (told,) = corridor.told(ONE)
    assert told.pop("booked_at").endswith("Z")
    assert told == {"reference": reference, **deposit()}


def test_many_deposits_are_one_call_unless_singles_are_asked_for(sandbox: Sandbox, corridor: Corridor) -> None:
    many = [deposit(route=f"RF{n}") for n in range(20)]
    together, alone = collect(sandbox, *many), collect(sandbox, *many, bulk=False)

    eventually(lambda: set(states(sandbox)) == {"ACKNOWLEDGED"})

    assert [[one["reference"] for one in body["deposits"]] for body in corridor.told(BULK)] == [together]
    assert {body["reference"] for body in corridor.told(ONE)} == set(alone)


def test_copies_are_the_same_money_reported_again(sandbox: Sandbox, corridor: Corridor) -> None:
    (reference,) = collect(sandbox, deposit(copies=3))

    eventually(lambda: len(corridor.told(ONE)) == 3)

    assert {told["reference"] for told in corridor.told(ONE)} == {reference}
    assert len(states(sandbox)) == 1


def test_an_outage_is_waited_for_and_a_refusal_is_recorded(sandbox: Sandbox, corridor: Corridor) -> None:
    corridor.script = [503, 429, 200, 422]
    collect(sandbox, deposit())
    eventually(lambda: states(sandbox) == ["ACKNOWLEDGED"])

    collect(sandbox, deposit())

    eventually(lambda: states(sandbox) == ["ACKNOWLEDGED", "REFUSED"])
    assert len(corridor.heard) == 4


def test_a_report_that_nobody_heard_survives_a_kill(sandbox: Sandbox, corridor: Corridor) -> None:
    sandbox.call("PUT", "/config", {"corridor_url": "http://127.0.0.1:9"})
    collect(sandbox, deposit())
    sandbox.kill()

    sandbox.start()
    sandbox.call("PUT", "/config", {"corridor_url": corridor.url})

    eventually(lambda: states(sandbox) == ["ACKNOWLEDGED"])


def test_a_reference_is_never_given_to_other_money(sandbox: Sandbox) -> None:
    collect(sandbox, deposit(reference="A1"))
    again = sandbox.call("POST", "/collect", {"deposits": [deposit(reference="A1")]})
    other = sandbox.call("POST", "/collect", {"deposits": [deposit(reference="A1", amount_minor=1)]})

    assert (again[1]["booked"], other[0]) == (0, 409)


def test_a_contradiction_reports_another_amount_for_the_same_reference(sandbox: Sandbox, corridor: Corridor) -> None:
    sandbox.fault(on="deposit", fault="contradict", match={"route": "RF7"})

    collect(sandbox, deposit(route="RF7"), deposit(route="RF8"))

    eventually(lambda: len(corridor.told(ONE)) == 3)
    assert [told["amount_minor"] for told in corridor.told(ONE) if told["route"] == "RF7"] == [10_000, 10_001]


def test_a_bad_signature_goes_ahead_of_the_good_one(sandbox: Sandbox, corridor: Corridor) -> None:
    sandbox.fault(on="deposit", fault="bad_signature")
    collect(sandbox, deposit())

    eventually(lambda: len(corridor.heard) == 2)

    signers = [signed_by(headers["x-webhook-signature"], body) for _, headers, body in corridor.heard]
    assert sorted(signers, key=str) == [None, "kid-collect"] or sorted(signers, key=str) == ["kid-collect", None]


def test_the_book_is_read_in_pages(sandbox: Sandbox) -> None:
    references = collect(sandbox, *[deposit() for _ in range(7)])
    seen, since, more = [], 0, True
    while more:
        page = sandbox.call("GET", f"/book?since={since}&limit=3")[1]
        seen += [row["reference"] for row in page["collected"]]
        since, more = page["next_since"], page["more"]

    assert seen == references


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def broker(tmp_path: Path, port: int) -> Iterator[str]:
    """A Kafka broker of this test's own."""
    binary = Path(sys.executable).parent / "noida-db"
    command = [
        str(binary),
        "start",
        "--data-dir",
        str(tmp_path / "kafka"),
        "--only",
        "kafka",
        "--kafka-port",
        str(port),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        eventually(lambda: listens(port))
        yield f"127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def make_topic(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])
    await admin.close()


async def records(bootstrap: str, count: int) -> list[Any]:
    consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(15):
            return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()


def test_a_deposit_by_kafka_is_a_signed_cloud_event_on_the_routes_partition(tmp_path: Path, port: int) -> None:
    routes = [f"RF{n}" for n in range(30)]
    address = f"127.0.0.1:{port}"
    with broker(tmp_path, port) as bootstrap, Sandbox(tmp_path / "sandbox", "--bootstrap", address) as sandbox:
        asyncio.run(make_topic(bootstrap))
        sandbox.call("PUT", "/config", {"signing_keys": KEYS, "collect_partner": "collectbank"})
        collect(sandbox, *[deposit(route=route, transport="kafka", copies=2) for route in routes])
        found = asyncio.run(records(bootstrap, 60))
        eventually(lambda: set(states(sandbox)) == {"ACKNOWLEDGED"})

    events = [(dict(record.headers), record) for record in found]
    assert {signed_by(headers["x-webhook-signature"].decode(), r.value) for headers, r in events} == {"kid-collect"}
    assert {(headers["ce_specversion"], headers["ce_type"], headers["ce_source"]) for headers, _ in events} == {
        (b"1.0", b"partner.deposit.reported.v1", b"/partners/collectbank")
    }
    assert len({headers["ce_id"] for headers, _ in events}) == 60
    assert {record.key.decode() for record in found} == set(routes)
    assert all(record.partition == (murmur2(record.key) & 0x7FFFFFFF) % PARTITIONS for record in found)


def test_a_broker_that_is_down_is_waited_for(tmp_path: Path, port: int) -> None:
    with Sandbox(tmp_path / "sandbox", "--bootstrap", f"127.0.0.1:{port}") as sandbox:
        sandbox.call("PUT", "/config", {"signing_keys": KEYS})
        collect(sandbox, deposit(transport="kafka"))
        eventually(lambda: sandbox.call("GET", "/book/summary")[1]["deliveries"]["deposit_kafka"]["attempts"])

        with broker(tmp_path, port) as bootstrap:
            asyncio.run(make_topic(bootstrap))
            eventually(lambda: states(sandbox) == ["ACKNOWLEDGED"])
