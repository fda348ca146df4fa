"""What every bus promises: a stored event arrives byte for byte, in the order of its key, and proves itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.kernel.bus import KafkaPublisher
from services.kernel.engine import Engine, Units
from services.kernel.envelope import StoredEvent, envelope_of, headers_of
from services.kernel.memory import MemoryStore
from services.kernel.memory_bus import MemoryBus
from services.kernel.partition import partition_of
from services.kernel.poll import Record
from tests.integration.kernel.backends import make_topic
from tests.support.builders import JAR, TOPIC, Add, ask
from tests.support.fakes import Clock

PARTITIONS = 4
SOURCE = "/corridor/jar"


class Kafka:
    """A topic of its own on the broker."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.topic = f"{TOPIC}.{uuid4().hex[:8]}"
        self.publisher = KafkaPublisher(bootstrap, SOURCE, PARTITIONS, 1)

    async def publish(self, events: Sequence[StoredEvent]) -> None:
        assert await self.publisher.publish(events) == []

    async def poll(self, count: int) -> list[Record]:
        reader = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        await reader.start()
        try:
            reader.assign([TopicPartition(self.topic, number) for number in range(PARTITIONS)])
            found: list[Record] = [await asyncio.wait_for(reader.getone(), 20) for _ in range(count)]
        finally:
            await reader.stop()
        return found


class InMemory:
    """The same on a MemoryBus."""

    topic = TOPIC

    def __init__(self) -> None:
        self.bus = MemoryBus(SOURCE, PARTITIONS)

    async def publish(self, events: Sequence[StoredEvent]) -> None:
        assert await self.bus.publish(events) == []

    async def poll(self, count: int) -> list[Record]:
        found = [record for records in self.bus.records.values() for record in records]
        assert len(found) == count
        return found


@pytest.fixture(params=["memory", "kafka"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[InMemory | Kafka]:
    if request.param == "memory":
        yield InMemory()
        return
    kafka = Kafka(request.getfixturevalue("broker"))
    await make_topic(kafka.bootstrap, kafka.topic, PARTITIONS)
    yield kafka
    await kafka.publisher.stop()


async def stored(topic: str, streams: Sequence[UUID], rounds: int) -> list[StoredEvent]:
    store = MemoryStore(Clock())
    engine = Engine(store, (JAR,), topic, uuid4)
    for number in range(rounds):
        await engine.run(Units([ask(each, Add(number, "Ünï\x7f€")) for each in streams]))
    return store.tables.events


async def test_a_stored_event_arrives_byte_for_byte(bus: InMemory | Kafka) -> None:
    events = await stored(bus.topic, [uuid4() for _ in range(5)], 3)
    await bus.publish(events)
    records = {envelope_of(record.headers).event_id: record for record in await bus.poll(15)}
    for event in events:
        record, key = records[event.event_id], str(event.record_key).encode()
        assert (record.topic, record.key, record.value) == (event.topic, key, event.data)
        assert list(record.headers) == headers_of(event, SOURCE, 1)
        assert record.timestamp == int(event.occurred_at.timestamp() * 1000)
        assert record.partition == partition_of(key, PARTITIONS)


async def test_a_key_keeps_its_order_and_each_envelope_verifies(bus: InMemory | Kafka) -> None:
    streams = [uuid4() for _ in range(8)]
    events = await stored(bus.topic, streams, 50)
    for start in range(0, len(events), 150):
        await bus.publish(events[start : start + 150])
    versions: dict[UUID, list[int]] = {each: [] for each in streams}
    places: dict[int, list[int]] = {}
    for record in await bus.poll(len(events)):
        envelope = envelope_of(record.headers)
        envelope.verify(record.value or b"")
        versions[envelope.stream_id].append(envelope.version)
        places.setdefault(record.partition, []).append(record.offset)
    assert versions == {each: list(range(1, 51)) for each in streams}
    assert all(offsets == list(range(len(offsets))) for offsets in places.values())
