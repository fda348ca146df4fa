"""The lanes of a process when the database or the broker is away for a while: what only measures never ends it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError

from services.kernel import metrics
from services.kernel import service as services
from services.kernel.bus import KafkaSubscription
from services.kernel.consumer import Consumer
from services.kernel.engine import Engine
from services.kernel.lag import Behind
from services.kernel.memory import MemoryStore
from services.kernel.service import Runtime, Service
from services.kernel.settings import Kernel, load
from services.kernel.store import Taken, Unavailable
from tests.support.builders import JAR, TOPIC, inbox
from tests.support.fakes import Clock, Ids, no_pause, until

SETTINGS = {
    "ENV": "dev",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/corridor",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "JWT_SECRET": "0f9d1c3b5a7e8842",
}


def runtime(**environment: str) -> Runtime:
    settings = load(Kernel, "jar", SETTINGS | environment)
    return Runtime(Service(name="jar", schema="jar", topic=TOPIC, deciders=(JAR,)), settings)


class Reads:
    """Away twice, then there."""

    def __init__(self, *rows: Any) -> None:
        self.rows = rows
        self.asked = 0

    async def fetch(self, *_: object) -> list[Any]:
        self.asked += 1
        if self.asked <= 2:
            raise Unavailable("planted")
        return list(self.rows)

    async def drop(self) -> None:
        """Nothing is held."""


class Lagging:
    """A subscription that cannot say its lag at first."""

    name = "jar"

    def __init__(self) -> None:
        self.asked = 0

    def behind(self) -> dict[str, Behind]:
        self.asked += 1
        if self.asked == 1:
            raise IllegalStateError("planted")
        return {TOPIC: (7, 3.5)}


class Leases:
    """Nothing is due; remembers for how long it would have been leased."""

    def __init__(self) -> None:
        self.leases: list[int] = []

    async def take_due(self, _kind: str, _limit: int, lease_seconds: int, _over: Any) -> Taken:
        self.leases.append(lease_seconds)
        return Taken([])


@pytest.mark.parametrize(("environment", "seconds"), [({}, 90), ({"CORRIDOR_EFFECT_LEASE_SECONDS": "7"}, 7)])
async def test_what_a_worker_takes_is_leased_for_as_long_as_is_configured(
    environment: dict[str, str], seconds: int
) -> None:
    worker, taken = runtime(**environment).workers["wake"], Leases()
    worker._store = taken  # type: ignore[assignment]
    await worker.step("wake")
    assert taken.leases == [seconds]


def test_nothing_waits_is_not_said_before_it_was_measured() -> None:
    code = "from services.kernel import metrics; print(metrics.OUTBOX_BACKLOG._value.get())"
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert fresh.stdout == "nan\n"


async def test_what_waits_is_measured_at_once() -> None:
    made, reads = runtime(), Reads((7, 1.5, 2, 0))
    reads.asked = 2
    made.probes = reads  # type: ignore[assignment]
    measuring = asyncio.create_task(made._gauge())
    await until(lambda: _is(metrics.OUTBOX_BACKLOG._value.get() == 7), seconds=2.0)
    measuring.cancel()


async def test_what_only_measures_survives_what_it_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "GAUGE_SECONDS", 0.001)
    made, lagging = runtime(), Lagging()
    made.probes = Reads((7, 1.5, 2, 0))  # type: ignore[assignment]
    made.subscriptions = [lagging]  # type: ignore[list-item]
    measuring = asyncio.create_task(made._gauge())
    await until(lambda: _is(lagging.asked >= 3 or measuring.done()))
    assert not measuring.done()
    measuring.cancel()
    assert metrics.CONSUMER_LAG.labels("jar", TOPIC)._value.get() == 7
    assert metrics.CONSUMER_LAG_SECONDS.labels("jar", TOPIC)._value.get() == 3.5


async def test_a_partition_that_a_rebalance_took_has_no_lag() -> None:
    class Client:
        def highwater(self, at: TopicPartition) -> int:
            if at.partition == 0:
                raise IllegalStateError("planted")
            return 9

    store = MemoryStore(Clock())
    consumer = Consumer(inbox(), Engine(store, (JAR,), "", Ids(), pause=no_pause), store, "mirror")
    consumer._places.reading.update({(TOPIC, 0): 5, (TOPIC, 1): 5})
    subscription = KafkaSubscription("nowhere:1", consumer, lambda error: None)
    subscription._subscriber.consumer = Client()
    assert subscription.behind()[TOPIC][0] == 4


async def _is(value: bool) -> bool:
    return value
