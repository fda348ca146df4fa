"""The consumer as processes on a real broker and PostgreSQL: zombies, poison that kills, redelivery, a rebalance."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaProducer

from services.kernel.bus import KafkaPublisher
from services.kernel.decider import Unit
from services.kernel.engine import Units
from services.kernel.relay import Relay
from tests.integration.kernel.backends import Postgres, make_topic, schema_in
from tests.integration.kernel.member import PARTITIONS
from tests.support.builders import MIRROR, TOPIC, Add, ask
from tests.support.fakes import until

MEMBER = Path(__file__).with_name("member.py")
ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.timeout(110)
killed = pytest.mark.apache  # the embedded broker never lets go of a group member that was killed


class World:
    """A source, its topic, and a mirror that consumes it in processes of its own."""

    def __init__(self, bootstrap: str, source: Postgres, mirror: Postgres) -> None:
        self.bootstrap, self.source, self.mirror = bootstrap, source, mirror

    async def publish(self, *units: Unit) -> None:
        await self.source.engine().run(Units(units))
        await self.relay()

    async def relay(self) -> None:
        outbox, publisher = self.source.outbox(), KafkaPublisher(self.bootstrap, "/corridor/jar", PARTITIONS, 1)
        await until(outbox.lead)
        while await Relay(outbox, publisher).step():
            pass
        await publisher.stop()
        await self.source.close(outbox)

    @asynccontextmanager
    async def member(self) -> AsyncIterator[asyncio.subprocess.Process]:
        argv = [sys.executable, str(MEMBER), "consume", self.bootstrap, self.mirror.dsn, self.mirror.schema]
        process = await asyncio.create_subprocess_exec(*argv, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})
        try:
            yield process
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGCONT)
                    process.kill()
                await process.wait()

    async def taken(self) -> int:
        rows = await self.mirror.fetch("SELECT coalesce(sum(next_offset), 0) FROM consumer_offset")
        return int(rows[0][0])

    async def until_taken(self, count: int) -> None:
        async def all_taken() -> bool:
            return await self.taken() == count

        await until(all_taken, 60)

    async def versions(self, *streams: UUID) -> list[list[int]]:
        return [await self.mirror.events(each) for each in streams]


@pytest.fixture
async def world(postgres: Postgres, kernel_database: str, broker: str) -> AsyncIterator[World]:
    await make_topic(broker, TOPIC, PARTITIONS, fresh=True)
    mirror = await schema_in(kernel_database)
    yield World(broker, postgres, mirror)
    for lane in mirror.lanes:
        await lane.drop()


@killed
async def test_redelivery_of_the_whole_topic_has_no_effect(world: World) -> None:
    streams = [uuid4() for _ in range(20)]
    await world.publish(*(ask(each, Add(n)) for n in range(5) for each in streams))
    async with world.member():
        await world.until_taken(100)
    await world.mirror.fetch("UPDATE consumer_offset SET next_offset = 0")
    async with world.member():
        await world.until_taken(100)
    assert await world.versions(*streams) == [[1, 2, 3, 4, 5]] * 20
    assert await world.mirror.count("parked_event") == 0


@killed
async def test_poison_that_kills_the_process_is_parked_and_what_is_behind_it_is_taken(world: World) -> None:
    bad, good = uuid4(), [uuid4() for _ in range(10)]
    await world.publish(*(ask(each, Add(1)) for each in good), ask(bad, Add(2, "die")))
    await world.publish(*(ask(each, Add(3)) for each in good))
    deaths = 0
    while True:
        async with world.member() as process:
            taken = asyncio.create_task(world.until_taken(21))
            died = asyncio.create_task(process.wait())
            await asyncio.wait({taken, died}, return_when=asyncio.FIRST_COMPLETED)
            if taken.done():
                await taken
                break
            taken.cancel()
            deaths += 1
            assert process.returncode == 9
            assert deaths <= 6
    assert deaths >= 3
    assert await world.versions(*good, bad) == [[1, 2]] * 10 + [[]]
    rows = await world.mirror.fetch("SELECT error FROM parked_event")
    assert [row[0].partition(":")[0] for row in rows] == ["Suspect"]


@killed
async def test_a_zombie_that_wakes_up_after_its_partitions_are_gone_does_nothing(world: World) -> None:
    streams = [uuid4() for _ in range(20)]
    await world.publish(*(ask(each, Add(1)) for each in streams))
    async with world.member() as zombie:
        await world.until_taken(20)
        os.kill(zombie.pid, signal.SIGSTOP)
        async with world.member():
            await world.publish(*(ask(each, Add(2)) for each in streams))
            await world.until_taken(40)
            os.kill(zombie.pid, signal.SIGCONT)
            await world.publish(*(ask(each, Add(3)) for each in streams))
            await world.until_taken(60)
    assert await world.versions(*streams) == [[1, 2, 3]] * 20
    assert await world.mirror.count("parked_event") == 0


@killed
async def test_members_that_come_and_go_during_batches_take_every_event_once(world: World) -> None:
    streams = [uuid4() for _ in range(40)]
    await world.publish(*(ask(each, Add(n)) for n in range(25) for each in streams))
    async with world.member() as first, world.member():
        await until(lambda: _some(world))
        first.kill()
        await world.publish(*(ask(each, Add(99)) for each in streams))
        await world.until_taken(1040)
    assert await world.versions(*streams) == [list(range(1, 27))] * 40


async def _some(world: World) -> bool:
    return await world.taken() > 0


async def test_a_record_that_strangers_wrote_is_parked_alone(world: World) -> None:
    one = uuid4()
    producer = AIOKafkaProducer(bootstrap_servers=world.bootstrap)
    await producer.start()
    strange = [("ce_id", b"\xff\xfe"), ("ce_streamversion", b"99999999999")]
    await producer.send_and_wait(TOPIC, b"not json", partition=0)
    await producer.send_and_wait(TOPIC, None, key=b"k", headers=strange, partition=0)
    await producer.stop()
    await world.publish(ask(one, Add(1)))
    async with world.member():
        await world.until_taken(3)
    assert await world.versions(one) == [[1]]
    rows = await world.mirror.fetch("SELECT error, value, consumer FROM parked_event ORDER BY 1, parked_id")
    assert [(row[0].partition(":")[0], row[1], row[2]) for row in rows] == [
        ("Unreadable", b"not json", MIRROR),
        ("Unreadable", None, MIRROR),
    ]
