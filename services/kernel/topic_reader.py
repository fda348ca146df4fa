"""A topic from any position to any other, read by nobody's group: for rebuilds, checks and people who look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from services.kernel.store import Partition, Unavailable

FETCH_BYTES = 1024 * 1024  # of a partition in one request
POLL_RECORDS = 64  # what they are made into fits a core's own cache: a third less time for each
WAIT_MS = 500
SILENT_POLLS_MAX = 60  # in a row, while records are known to be there: half a minute
REQUEST_MS = 20_000
TURNS = 4  # of the loop, until a request is on its way
Positions = Mapping[Partition, int]


class TopicMissing(LookupError):
    """The broker has no such topic."""


class TopicReader:
    """Reads forward. `at` is the next offset of each partition."""

    def __init__(self, client: AIOKafkaConsumer, topic: str, partitions: list[TopicPartition]) -> None:
        self._client = client
        self._partitions = partitions
        self.topic = topic
        self.at: dict[Partition, int] = {}

    async def begin(self) -> None:
        """From the first record that the broker has."""
        found = await self._client.beginning_offsets(self._partitions)
        self.seek({(each.topic, each.partition): offset for each, offset in found.items()})

    def seek(self, positions: Positions) -> None:
        """Go on from there."""
        for at, offset in positions.items():
            self._client.seek(TopicPartition(*at), offset)
            self.at[at] = offset

    async def ends(self) -> dict[Partition, int]:
        """The offset behind the newest record of each partition, now."""
        found = await self._client.end_offsets(self._partitions)
        return {(each.topic, each.partition): offset for each, offset in found.items()}

    async def to(self, ends: Positions) -> AsyncIterator[list[Any]]:
        """Records up to `ends`, in the order of each partition, in lists of up to POLL_RECORDS. Raises Unavailable."""
        wanted = [at for at, offset in self.at.items() if offset < ends.get(at, 0)]
        self._client.pause(*self._partitions)
        self._client.resume(*(TopicPartition(*at) for at in wanted))  # the others would ask on and on
        silent = 0
        while wanted := [at for at in wanted if self.at[at] < ends[at]]:
            polled = await self._poll(wanted)
            before = dict(self.at)
            records = self._taken(polled, ends)
            await self._passed(wanted, ends)
            silent = 0 if self.at != before else silent + 1
            if silent > SILENT_POLLS_MAX:
                raise Unavailable(f"nothing comes of {self.topic}, whose end is not reached: {self.at}")
            if records:
                await self._ask_on()
                yield records

    async def _ask_on(self) -> None:
        """Let the client ask for what follows, so that the broker is at work while these are folded."""
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def _poll(self, wanted: list[Partition]) -> Mapping[Any, list[Any]]:
        try:
            partitions = [TopicPartition(*at) for at in wanted]
            found: Mapping[Any, list[Any]] = await self._client.getmany(
                *partitions, timeout_ms=WAIT_MS, max_records=POLL_RECORDS
            )
        except KafkaError as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from error
        return found

    def _taken(self, polled: Mapping[Any, list[Any]], ends: Positions) -> list[Any]:
        """What lies before the ends. What was fetched beyond one is read again when it is wanted."""
        taken: list[Any] = []
        for each, records in polled.items():
            at = (each.topic, each.partition)
            end = ends[at]
            if records[-1].offset < end:
                mine = records
            else:
                mine = [record for record in records if record.offset < end]
                self._client.seek(each, end)
            if mine:
                self.at[at] = mine[-1].offset + 1
            if mine is not records:
                self.at[at] = end
            taken.extend(mine)
        return taken

    async def _passed(self, wanted: list[Partition], ends: Positions) -> None:
        """The client goes by itself over what is no record: a marker, or what was compacted away."""
        for at in wanted:
            self.at[at] = max(self.at[at], await self._client.position(TopicPartition(*at)))
            if self.at[at] >= ends[at]:
                self._client.pause(TopicPartition(*at))  # or it asks on and on for what is not there yet


@asynccontextmanager
async def reading(bootstrap: str, topic: str, only: Collection[int] | None = None) -> AsyncIterator[TopicReader]:
    """A reader at the beginning of the topic, of all its partitions or of some. Raises Unavailable, TopicMissing."""
    client = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_bytes=16 * FETCH_BYTES,
        fetch_max_wait_ms=100,
        request_timeout_ms=REQUEST_MS,
        check_crcs=True,
    )
    try:
        found = await _partitions(bootstrap, topic)
        partitions = [each for each in found if only is None or each.partition in only]
        await client.start()
    except (KafkaError, OSError) as error:
        await client.stop()
        raise Unavailable(f"{type(error).__name__}: {error}") from error
    try:
        yield await _reader(client, topic, partitions)
    finally:
        await client.stop()


async def _partitions(bootstrap: str, topic: str) -> list[TopicPartition]:
    """As the broker has them: a consumer knows those of its own topics alone, and has none yet. Raises TopicMissing."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=REQUEST_MS)
    try:
        await admin.start()
        if topic not in await admin.list_topics():  # one that is asked for by name may be made by being asked for
            raise TopicMissing(topic)
        (found,) = await admin.describe_topics([topic])
    finally:
        await admin.close()
    assert found["partitions"], f"{topic} has no partitions"
    return [TopicPartition(topic, number) for number in sorted(each["partition"] for each in found["partitions"])]


async def _reader(client: AIOKafkaConsumer, topic: str, partitions: list[TopicPartition]) -> TopicReader:
    client.assign(partitions)
    client.pause(*partitions)
    reader = TopicReader(client, topic, partitions)
    await reader.begin()
    return reader


async def ends_of(bootstrap: str, topics: Iterable[str]) -> dict[str, dict[Partition, int]]:
    """By topic: the offset behind the newest record of each partition. Raises Unavailable, TopicMissing."""
    found = {}
    for topic in sorted(set(topics)):
        async with reading(bootstrap, topic) as reader:
            found[topic] = await reader.ends()
    return found
