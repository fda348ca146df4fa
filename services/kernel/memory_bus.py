"""The bus in memory: topics as lists of records, and one member that polls them; see memory.py for its faults."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from services.kernel.consumer import Consumer
from services.kernel.envelope import Headers, StoredEvent, headers_of
from services.kernel.memory import Fault, Step, no_fault
from services.kernel.partition import partition_of
from services.kernel.poll import Record
from services.kernel.store import Partition


class MemoryBus:
    """Topics as lists of records. Publishes stored events as KafkaPublisher does; see relay.Publisher."""

    def __init__(self, source: str, partitions: int, epoch: int = 1, step: Step = no_fault) -> None:
        self._source = source
        self._partitions = partitions
        self._epoch = epoch
        self._step = step
        self.records: dict[Partition, list[Record]] = defaultdict(list)
        self.record_bytes_max = 1024 * 1024

    async def publish(self, events: Sequence[StoredEvent]) -> list[int]:
        """Append all in order; what is too large, and what follows it in its stream, can never be sent."""
        fault = await self._step("publish")
        if fault is Fault.UNAVAILABLE:
            raise ConnectionError("fault at publish")
        never: dict[int, UUID] = {}
        for event in events:
            if event.stream_id in never.values() or len(event.data) > self.record_bytes_max:
                never[event.global_seq] = event.stream_id
                continue
            self._publish(event, 2 if fault is Fault.DUPLICATE else 1)
        if fault is Fault.LOSE_ANSWER:
            raise ConnectionError("the acknowledgement was lost")
        return list(never)

    def _publish(self, event: StoredEvent, times: int) -> None:
        key = str(event.record_key).encode()
        when = int(event.occurred_at.timestamp() * 1000)
        at = (event.topic, partition_of(key, self._partitions))
        for _ in range(times):
            self.append(at, key, event.data, headers_of(event, self._source, self._epoch), when)

    def append(
        self, at: Partition, key: bytes | None, value: bytes | None, headers: Headers = (), timestamp: int = 0
    ) -> Record:
        """Whatever anybody writes into a topic."""
        offset = self.records[at][-1].offset + 1 if self.records[at] else 0
        record = Record(at[0], at[1], offset, key, value, tuple(headers), timestamp)
        self.records[at].append(record)
        return record

    def lose(self, at: Partition, offset: int) -> None:
        """Leave a hole where that record was, as a compacted topic or a transaction's marker does."""
        self.records[at] = [each for each in self.records[at] if each.offset != offset]

    def partitions(self, topics: Sequence[str]) -> list[Partition]:
        """All partitions of these topics."""
        return [(topic, number) for topic in topics for number in range(self._partitions)]


class MemorySubscription:
    """One member that has all partitions of its consumer's topics; see consumer.Seeker."""

    def __init__(self, bus: MemoryBus, consumer: Consumer, step: Step = no_fault) -> None:
        self._bus = bus
        self._consumer = consumer
        self._step = step
        self._next: dict[Partition, int] = {}

    async def start(self) -> None:
        """Be given all partitions, at the positions of the store."""
        self._consumer.seeker = self
        await self._consumer.assigned(self._bus.partitions(self._consumer.inbox.topics))

    def seek(self, at: Partition, offset: int) -> None:
        """The next poll begins there."""
        self._next[at] = offset

    def poll(self, limit: int = 500) -> list[Record]:
        """The next records, one partition after the other."""
        polled: list[Record] = []
        for at in sorted(self._next):
            found = [each for each in self._bus.records[at] if each.offset >= self._next[at]][: limit - len(polled)]
            if found:
                self._next[at] = found[-1].offset + 1
            polled.extend(found)
        return polled

    async def turn(self, limit: int = 500) -> int:
        """Poll and handle once; how many records were polled."""
        await self._step("poll")
        records = self.poll(limit)
        if records:
            await self._consumer.handle(records)
        return len(records)

    async def drain(self, limit: int = 500, turns_max: int = 10_000) -> None:
        """Until there is nothing left, and that is stored. AssertionError when that never comes."""
        for _ in range(turns_max):
            if not await self.turn(limit):
                await self._consumer.settle()
                return
        raise AssertionError(f"still records after {turns_max} polls")
