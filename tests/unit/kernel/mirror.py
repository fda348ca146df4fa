"""Two services in memory: a source whose events are on the bus, and a mirror that consumes them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from services.kernel.consumer import Consumer, Inbox
from services.kernel.decider import Unit
from services.kernel.engine import Engine, Units
from services.kernel.memory import MemoryStore
from services.kernel.memory_bus import MemoryBus, MemorySubscription
from services.kernel.memory_outbox import MemoryOutbox
from services.kernel.poll import Record
from services.kernel.relay import Relay
from tests.support.builders import JAR, MIRROR, TOPIC, inbox
from tests.support.fakes import Clock, Ids, Planned, no_pause

OUTSIDE = "partner.jars.v1"
Change = Callable[[dict[str, bytes]], dict[str, bytes]]


class World:
    """Two services: a source whose events are on the bus, and a mirror that consumes them."""

    def __init__(self, partitions: int = 1) -> None:
        self.faults = Planned()
        self.source, self.mirror = MemoryStore(Clock()), MemoryStore(Clock(), self.faults)
        self.outbox, self.bus = MemoryOutbox(self.source), MemoryBus("/corridor/jar", partitions)
        self.counted: dict[str, int] = {}
        self.seconds = 0.0
        self.ids = Ids()

    async def publish(self, *units: Unit) -> list[Record]:
        engine = Engine(self.source, (JAR,), TOPIC, uuid4)
        for unit in units:
            await engine.run(Units([unit]))
        await self.relay()
        return [each for records in self.bus.records.values() for each in records]

    async def relay(self) -> None:
        assert await self.outbox.lead()
        while await Relay(self.outbox, self.bus).step():
            pass

    async def consumer(self, listens: Inbox | None = None, *, all_later: bool = False) -> Member:
        """A member that has all partitions."""
        member = self.member(listens, all_later=all_later)
        await member.subscription.start()
        return member

    def member(self, listens: Inbox | None = None, *, all_later: bool = False) -> Member:
        """One that has no partition yet."""
        engine = Engine(self.mirror, (JAR,), "mirror.events.v1", self.ids, pause=no_pause)
        consumer = Consumer(
            listens or inbox(),
            engine,
            self.mirror,
            "mirror",
            counted=self.count,
            all_later=all_later,
            pause=no_pause,
            clock=lambda: self.seconds,
        )
        subscription = MemorySubscription(self.bus, consumer)
        consumer.seeker = subscription
        return Member(consumer, subscription, engine)

    def count(self, result: str, count: int) -> None:
        self.counted[result] = self.counted.get(result, 0) + count

    def numbers(self, stream_id: UUID) -> tuple[int, ...]:
        """What the mirror took for that stream, in order."""
        head = self.mirror.tables.heads.get(stream_id)
        if head is None:
            return ()
        found: tuple[int, ...] = Engine(self.mirror, (JAR,), "", uuid4).state_of(head).numbers
        return found

    def parked(self) -> list[tuple[int, str]]:
        """(offset, the class of the error)."""
        return [(row[3], row[7].partition(":")[0]) for row in self.mirror.tables.parked.values()]

    def position(self) -> int:
        found = self.mirror.tables.positions.get((MIRROR, 1, (TOPIC, 0)))
        return found.next_offset if found else 0


@dataclass
class Member:
    consumer: Consumer
    subscription: MemorySubscription
    engine: Engine


def forged(record: Record, change: Change) -> Record:
    """The same record with other headers."""
    return replace(record, headers=tuple(change(dict(record.headers)).items()))


def watched(store: MemoryStore) -> list[set[tuple[str, UUID]]]:
    """The cursors that each read of that store wants from now on."""
    asked: list[set[tuple[str, UUID]]] = []
    transaction = store.transaction

    @asynccontextmanager
    async def watching(**options: Any) -> Any:
        async with transaction(**options) as inside:
            read = inside.read

            async def noting(wanted: Any) -> Any:
                asked.append(set(wanted.cursors))
                return await read(wanted)

            inside.read = noting  # type: ignore[method-assign]
            yield inside

    store.transaction = watching  # type: ignore[method-assign]
    return asked
