"""The relay with the outbox and the bus in memory: what is not acknowledged is sent again, nothing is left out."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiokafka.producer.message_accumulator import BatchBuilder

from services.kernel import relay as relays
from services.kernel.bus import KafkaPublisher
from services.kernel.codec import encode
from services.kernel.engine import Engine, Units
from services.kernel.envelope import StoredEvent
from services.kernel.memory import Fault, MemoryStore
from services.kernel.memory_bus import MemoryBus
from services.kernel.memory_outbox import MemoryOutbox
from services.kernel.outbox import PostgresOutbox
from services.kernel.relay import Relay
from services.kernel.store import Unavailable
from tests.support.builders import JAR, META, TOPIC, Add, ask
from tests.support.fakes import BrokenAcknowledgement, Clock, Planned, until


async def stored(store: MemoryStore, *numbers: int) -> None:
    engine, one = Engine(store, (JAR,), TOPIC, uuid4), uuid4()
    await engine.run(Units([ask(one, Add(number)) for number in numbers]))


def sequences(bus: MemoryBus) -> list[int]:
    """What a reader of the topic finds, in order."""
    records = [record for records in bus.records.values() for record in records]
    return [int(dict(record.headers)["ce_globalseq"]) for record in records]


async def test_what_was_published_is_deleted_and_published_once() -> None:
    store, bus = MemoryStore(Clock()), MemoryBus("/corridor/jar", 1)
    await stored(store, 1, 2, 3)
    outbox = MemoryOutbox(store)
    assert await outbox.lead()
    assert [await Relay(outbox, bus).step(), await Relay(outbox, bus).step()] == [3, 0]
    assert sequences(bus) == [1, 2, 3]
    assert store.tables.outbox == {}


@pytest.mark.parametrize("after", [False, True], ids=["before it was sent", "after it was sent"])
async def test_without_an_acknowledgement_nothing_is_deleted_and_all_is_sent_again(after: bool) -> None:
    store, bus = MemoryStore(Clock()), MemoryBus("/corridor/jar", 1)
    await stored(store, 1, 2)
    outbox = MemoryOutbox(store)
    await outbox.lead()
    relay = Relay(outbox, BrokenAcknowledgement(bus, after=after))
    with pytest.raises(ConnectionError):
        await relay.step()
    assert sorted(store.tables.outbox) == [1, 2]
    await relay.step()
    assert sequences(bus) == ([1, 2, 1, 2] if after else [1, 2])


async def test_when_the_delete_fails_the_process_ends_and_the_next_repeats() -> None:
    faults = Planned()
    store, bus = MemoryStore(Clock(), faults), MemoryBus("/corridor/jar", 1)
    await stored(store, 1)
    faults.plan("delete", Fault.UNAVAILABLE)
    outbox = MemoryOutbox(store)
    with pytest.raises(Unavailable):
        await Relay(outbox, bus).run()
    outbox.close()
    again = MemoryOutbox(store)
    await again.lead()
    await Relay(again, bus).step()
    assert sequences(bus) == [1, 1]


async def test_a_broker_that_does_not_answer_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        async def publish(self, events: object) -> list[int]:
            await asyncio.Event().wait()
            return []

    monkeypatch.setattr(relays, "SEND_SECONDS_MAX", 0.01)
    store = MemoryStore(Clock())
    await stored(store, 1)
    with pytest.raises(TimeoutError):
        await Relay(MemoryOutbox(store), Silent()).run()
    assert sorted(store.tables.outbox) == [1]


async def test_the_second_leader_waits_and_nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relays, "LEAD_SECONDS", 0.01)
    store, bus = MemoryStore(Clock()), MemoryBus("/corridor/jar", 1)
    first, second = MemoryOutbox(store), MemoryOutbox(store)
    leader, standby = Relay(first, bus), Relay(second, bus)
    running = [asyncio.create_task(each.run()) for each in (leader, standby)]
    await until(lambda: _is(store.leader is first))
    await stored(store, 1, 2)
    leader.wake()
    await until(lambda: _is(sequences(bus) == [1, 2] and not store.tables.outbox))
    first.close()  # its connection is cut
    await stored(store, 3)
    leader.wake()
    with pytest.raises(Unavailable):
        await running[0]
    await until(lambda: _is(sequences(bus) == [1, 2, 3]))
    running[1].cancel()


async def test_a_database_that_is_away_at_the_start_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relays, "LEAD_SECONDS", 0.01)
    faults = Planned()
    store, bus = MemoryStore(Clock(), faults), MemoryBus("/corridor/jar", 1)
    await stored(store, 1)
    faults.plan("lead", Fault.UNAVAILABLE, times=3)
    running = asyncio.create_task(Relay(MemoryOutbox(store), bus).run())
    await until(lambda: _is(sequences(bus) == [1] or running.done()))
    assert not running.done()
    running.cancel()


async def test_a_connection_that_cannot_lead_is_made_anew() -> None:
    connections = [OSError("refused"), _Connection(asyncpg.InterfaceError("closed")), _Connection(None)]

    async def connect() -> Any:
        made = connections.pop(0)
        if isinstance(made, OSError):
            raise made
        return made

    outbox = PostgresOutbox(connect)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await outbox.lead()
    assert await outbox.lead()


class _Connection:
    """As much of asyncpg's connection as leading takes."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    async def fetchval(self, *_: object) -> bool:
        if self._error is not None:
            raise self._error
        return True

    async def fetch(self, *_: object) -> list[object]:
        return []

    def terminate(self) -> None:
        """Gone."""


async def _is(value: bool) -> bool:
    return value


async def test_what_can_never_be_sent_holds_up_what_follows_in_its_stream_alone() -> None:
    store, bus = MemoryStore(Clock()), MemoryBus("/corridor/jar", 1)
    bus.record_bytes_max = 300
    engine, bad, good = Engine(store, (JAR,), TOPIC, uuid4), uuid4(), uuid4()
    units = [ask(bad, Add(1)), ask(bad, Add(2, "x" * 500)), ask(good, Add(3)), ask(bad, Add(4))]
    await engine.run(Units(units))
    outbox = MemoryOutbox(store)
    await outbox.lead()
    await Relay(outbox, bus).step()
    await engine.run(Units([ask(bad, Add(5)), ask(good, Add(6))]))
    assert [await Relay(outbox, bus).step(), await Relay(outbox, bus).step()] == [1, 0]
    assert sequences(bus) == [1, 3, 6]
    assert sorted(store.tables.outbox) == [2, 4, 5]


async def test_the_publisher_sends_nothing_of_a_stream_behind_what_can_never_be_sent() -> None:
    """A gap on the topic would park the stream at every reader."""
    events = await _events_with_one_too_large()
    publisher = KafkaPublisher("nowhere", "/corridor/jar", 4, 1)
    publisher._producer = _Builders()
    never: list[int] = []
    batches = publisher._batches(events, never)
    assert never == [2, 4]
    assert sum(batch.record_count() for _, _, batch in batches) == 2


async def _events_with_one_too_large() -> list[StoredEvent]:
    store = MemoryStore(Clock())
    engine, bad, good = Engine(store, (JAR,), TOPIC, uuid4), uuid4(), uuid4()
    await engine.run(Units([ask(bad, Add(1)), ask(bad, Add(2)), ask(good, Add(3)), ask(bad, Add(4))]))
    events = store.tables.events
    huge = encode(replace(META, reason="x" * 2_000_000))
    return [replace(each, meta=huge) if each.global_seq == 2 else each for each in events]


class _Builders:
    """The one method of aiokafka's producer that fills batches."""

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(512 * 1024, 0)
