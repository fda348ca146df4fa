"""Headers that no client of ours would write, on a real broker: what they stand on is parked, the rest is taken."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.producer import message_accumulator
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from services.kernel.bus import KafkaPublisher, KafkaSubscription
from services.kernel.codec import EVENT_BYTES_MAX
from services.kernel.consumer import Consumer
from services.kernel.engine import Engine, Units
from services.kernel.memory import MemoryStore
from tests.integration.kernel.backends import make_topic
from tests.support.builders import JAR, TOPIC, Add, ask, inbox
from tests.support.fakes import Clock, Ids, until

PARTITIONS = 2
pytestmark = pytest.mark.timeout(100)


class NotUtf8(str):
    """A header key that is encoded to a byte which begins no character."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"\xff"


class Mirror:
    """A topic, and what reads it."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap, self.topic = bootstrap, f"{TOPIC}.{uuid4().hex[:8]}"
        self.source, self.store = MemoryStore(Clock()), MemoryStore(Clock())
        self.fatal: list[BaseException] = []
        self.publisher = KafkaPublisher(bootstrap, "/corridor/jar", PARTITIONS, 1)
        engine = Engine(self.store, (JAR,), "mirror.events.v1", Ids())
        self.subscription = KafkaSubscription(
            bootstrap, Consumer(inbox(uuid4().hex, self.topic), engine, self.store, "mirror"), self.fatal.append
        )

    async def publish(self, count: int, text: str = "") -> None:
        """An event each of new jars, on both partitions."""
        known = len(self.source.tables.events)
        engine = Engine(self.source, (JAR,), self.topic, uuid4)
        await engine.run(Units([ask(uuid4(), Add(1, text)) for _ in range(count)]))
        await self.publisher.publish(self.source.tables.events[known:])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.subscription.run())
        try:
            yield
        finally:
            task.cancel()
            await self.subscription.stop()

    def taken(self, count: int) -> Callable[[], Any]:
        async def holds() -> bool:
            return len(self.store.tables.events) == count or bool(self.fatal)

        return holds

    def parked(self) -> list[str]:
        return [row[7] for row in self.store.tables.parked.values()]


@pytest.fixture
async def mirror(broker: str) -> AsyncIterator[Mirror]:
    made = Mirror(broker)
    await make_topic(broker, made.topic, PARTITIONS)
    yield made
    await made.publisher.stop()


async def strange(mirror: Mirror, headers: list[tuple[str, bytes | None]]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=mirror.bootstrap)
    await producer.start()
    batch = producer.create_batch()
    batch.append(timestamp=1, key=b"k", value=b"strange", headers=headers)
    batch.close()
    await (await producer.send_batch(batch, mirror.topic, partition=0))
    await producer.stop()


async def test_a_header_key_that_is_no_utf_8_stops_nothing(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    await mirror.publish(20)
    with monkeypatch.context() as patched:
        patched.setattr(message_accumulator, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
        await strange(mirror, [(NotUtf8("x"), b"1")])
        await strange(mirror, [(NotUtf8("x"), b"2")])
    await mirror.publish(20)
    async with mirror.running():
        await until(mirror.taken(40))
        await mirror.publish(20)
        await until(mirror.taken(60))
    assert mirror.fatal == []
    assert [words.split(":")[:2] for words in mirror.parked()] == [["Unreadable", " UnicodeDecodeError"]] * 2


async def test_a_header_without_a_value_stops_nothing(mirror: Mirror) -> None:
    await strange(mirror, [("ce_id", None), ("ce_type", None)])
    await mirror.publish(5)
    async with mirror.running():
        await until(mirror.taken(5))
    assert mirror.fatal == []
    assert [words.partition(":")[0] for words in mirror.parked()] == ["Unreadable"]


async def test_the_largest_events_come_through_beside_small_ones(mirror: Mirror) -> None:
    """A fetch asks for less of a partition than one such event is."""
    await mirror.publish(10)
    await mirror.publish(20, "x" * (EVENT_BYTES_MAX - 1_000))
    await mirror.publish(10)
    async with mirror.running():
        await until(mirror.taken(40))
    assert mirror.fatal == []
    assert mirror.parked() == []


async def test_a_client_that_fails_without_progress_ends_the_process(mirror: Mirror) -> None:
    """FastStream starts its loop again, and between two failures a poll is empty."""
    polls = itertools.count()

    async def broken(*_: object, **__: object) -> dict[object, object]:
        if next(polls) % 2 == 0:
            raise RuntimeError("planted")
        return {}

    await mirror.publish(5)
    async with mirror.running():
        await until(mirror.taken(5))
        mirror.subscription._client()._fetcher.fetched_records = broken
        await until(lambda: _is(mirror.fatal))
    assert "planted" in str(mirror.fatal[0])
    assert mirror.parked() == []


async def _is(value: object) -> bool:
    return bool(value)
