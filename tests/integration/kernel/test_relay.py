"""The relay between PostgreSQL and a broker: deaths around the acknowledgement, late commits, two leaders."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.kernel import relay as relays
from services.kernel.engine import Units
from services.kernel.envelope import envelope_of
from services.kernel.event_store import connector
from services.kernel.memory_bus import MemoryBus
from services.kernel.outbox import PostgresOutbox
from services.kernel.relay import Relay
from services.kernel.store import Wanted, Write
from tests.integration.kernel.backends import Postgres, make_topic
from tests.integration.kernel.test_store_contract import event, new_stream
from tests.support.builders import TOPIC, Add, ask
from tests.support.fakes import until

MEMBER = Path(__file__).with_name("member.py")
ROOT = Path(__file__).parents[3]
PARTITIONS = 4


def sent(bus: MemoryBus) -> list[tuple[UUID, int]]:
    records = [record for records in bus.records.values() for record in records]
    return [(envelope.stream_id, envelope.version) for envelope in (envelope_of(each.headers) for each in records)]


async def test_a_commit_that_comes_late_with_an_earlier_sequence_is_still_relayed(postgres: Postgres) -> None:
    """Sequence order is not commit order: a cursor would have stepped over it."""
    late, early = uuid4(), uuid4()
    slow, bus, outbox = postgres.lane(), MemoryBus("/corridor/jar", 1), postgres.outbox()
    await outbox.lead()
    meta = b'{"correlation_id":"x","actor":"a","tenant":"t","causation_id":null,"traceparent":null}'
    row = event(late)
    async with slow.transaction() as open_one:
        await open_one.read(Wanted())
        await open_one.write(Write(TOPIC, {"new_streams": [new_stream(late)], "events": [(*row[:7], meta, *row[8:])]}))
        await postgres.engine().run(Units([ask(early, Add(1))]))
        await Relay(outbox, bus).step()
        assert sent(bus) == [(early, 1)]
    await Relay(outbox, bus).step()
    assert sent(bus) == [(early, 1), (late, 1)]
    sequences = await postgres.fetch("SELECT stream_id FROM event ORDER BY global_seq")
    assert [row[0] for row in sequences] == [late, early]
    await postgres.close(outbox)


async def test_what_is_acknowledged_goes_in_the_statement_that_takes_the_next(postgres: Postgres) -> None:
    engine, one, bus, outbox = postgres.engine(), uuid4(), MemoryBus("/corridor/jar", 1), postgres.outbox()
    await outbox.lead()
    assert await outbox.take(1) == []  # asyncpg asks for the types once
    assert outbox._connection is not None
    statements: list[str] = []
    outbox._connection.add_query_logger(lambda query: statements.append(query.query))
    for number in range(3):
        await engine.run(Units([ask(one, Add(number))]))
        assert await Relay(outbox, bus).step() == 1
        assert await postgres.count("outbox") == 1, "the one that was just acknowledged"
    assert await Relay(outbox, bus).step() == 0
    assert await postgres.count("outbox") == 0
    assert statements == [outbox.TAKE] * 4
    assert sent(bus) == [(one, 1), (one, 2), (one, 3)]
    await postgres.close(outbox)


async def test_when_the_leaders_connection_is_cut_the_second_leads_and_nothing_is_missing(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "LEAD_SECONDS", 0.02)
    monkeypatch.setattr(relays, "POLL_SECONDS", 0.02)
    engine, one, bus = postgres.engine(), uuid4(), MemoryBus("/corridor/jar", 1)
    first, second = postgres.outbox(), postgres.outbox()
    assert await first.lead()
    running = [asyncio.create_task(Relay(each, bus).run()) for each in (first, second)]
    for number in range(20):
        await engine.run(Units([ask(one, Add(number))]))
        if number == 10:
            await postgres.fetch(f"SELECT pg_terminate_backend({_pid(first)})")
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)):
        await running[0]
    await until(lambda: _empty(postgres))
    running[1].cancel()
    assert sorted(set(sent(bus))) == [(one, version) for version in range(1, 21)]
    await postgres.close(second)


def _pid(outbox: PostgresOutbox) -> int:
    assert outbox._connection is not None
    return int(outbox._connection.get_server_pid())


async def _empty(postgres: Postgres) -> bool:
    return await postgres.count("outbox") == 0


async def test_a_leader_that_hangs_loses_the_lock_and_its_late_delete_fails(postgres: Postgres) -> None:
    await postgres.engine().run(Units([ask(uuid4(), Add(1))]))
    hanging = PostgresOutbox(connector(postgres.dsn, postgres.schema, "relay", idle_session_timeout="200"))
    assert await hanging.lead()
    taken = await hanging.take(10)
    standby = postgres.outbox()
    assert not await standby.lead()
    await until(standby.lead)
    hanging.acknowledged([each.global_seq for each in taken])
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)):
        await hanging.take(10)
    assert await standby.take(10) == taken
    await postgres.close(standby)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_relay_killed_around_the_acknowledgement_leaves_no_gap(
    postgres: Postgres, broker: str, when: str
) -> None:
    topic = f"{TOPIC}.{uuid4().hex[:8]}"
    await make_topic(broker, topic, PARTITIONS)
    streams = [uuid4() for _ in range(6)]
    engine = postgres.engine(topic=topic)
    for number in range(5):
        await engine.run(Units([ask(each, Add(number)) for each in streams]))
    assert await relay(broker, postgres, when) == -9
    assert await postgres.count("outbox") == 30
    assert await relay(broker, postgres, "never") == 0
    assert await postgres.count("outbox") == 0
    found = await read(broker, topic, 30 if when == "before" else 60)
    for each in streams:
        first_seen = list(dict.fromkeys(version for stream_id, version in found if stream_id == each))
        assert first_seen == [1, 2, 3, 4, 5]


async def relay(bootstrap: str, postgres: Postgres, when: str) -> int:
    argv = [sys.executable, str(MEMBER), "relay", bootstrap, postgres.dsn, postgres.schema, when]
    process = await asyncio.create_subprocess_exec(*argv, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})
    try:
        return await asyncio.wait_for(process.wait(), 40)
    finally:
        if process.returncode is None:
            process.kill()


async def read(bootstrap: str, topic: str, count: int) -> Sequence[tuple[UUID, int]]:
    """Exactly so many records; AssertionError when there are others behind them."""
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await reader.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        reader.assign(partitions)
        found = [await asyncio.wait_for(reader.getone(), 20) for _ in range(count)]
        assert sum((await reader.end_offsets(partitions)).values()) == count
    finally:
        await reader.stop()
    envelopes = [envelope_of(each.headers) for each in found]
    return [(envelope.stream_id, envelope.version) for envelope in envelopes]
