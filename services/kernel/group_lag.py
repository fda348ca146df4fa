"""How far consumers are behind: their stored positions, which are what has effect, against the ends of the topics."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.kernel.operations import Operations
from services.kernel.store import Partition
from services.kernel.topic_reader import TopicMissing, TopicReader, reading

STANDS = """
    SELECT o.consumer, o.topic, o.partition, o.next_offset, p.parked
    FROM consumer_offset o
    JOIN (SELECT consumer, count(*) FILTER (WHERE found) AS parked
          FROM (SELECT o.consumer, c.stream_id IS NOT NULL AS found
                FROM (SELECT DISTINCT consumer FROM consumer_offset) o
                LEFT JOIN stream_cursor c ON c.consumer = o.consumer AND c.parked) f
          GROUP BY consumer) p USING (consumer)
    WHERE o.epoch = $1
    ORDER BY o.consumer, o.topic, o.partition"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """A consumer in one topic. `next_offsets` by partition."""

    consumer: str
    topic: str
    next_offsets: Mapping[int, int]
    parked_streams: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How far it is behind. `seconds`: the age of the oldest record that it has not taken, 0.0 when there is none."""

    stand: Stand
    records: int
    seconds: float
    missing: bool = False  # the broker has no such topic


async def stands(operations: Operations, epoch: int) -> list[Stand]:
    """All consumers of a schema."""
    found: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    parked: dict[str, int] = {}
    for row in await operations.connection.fetch(STANDS, epoch):
        found[row["consumer"], row["topic"]][row["partition"]] = row["next_offset"]
        parked[row["consumer"]] = row["parked"]
    return [
        Stand(consumer=consumer, topic=topic, next_offsets=offsets, parked_streams=parked[consumer])
        for (consumer, topic), offsets in found.items()
    ]


async def lags(bootstrap: str, found: Iterable[Stand]) -> list[Lag]:
    """Theirs. A record is read for each partition that is behind, to tell its age. Raises Unavailable."""
    by_topic: dict[str, list[Stand]] = defaultdict(list)
    for each in found:
        by_topic[each.topic].append(each)
    result = []
    for topic, those in by_topic.items():
        try:
            result += await _of_topic(bootstrap, topic, those)
        except TopicMissing:
            result += [Lag(stand=each, records=0, seconds=0.0, missing=True) for each in those]
    return sorted(result, key=lambda lag: (lag.stand.consumer, lag.stand.topic))


async def _of_topic(bootstrap: str, topic: str, those: Sequence[Stand]) -> list[Lag]:
    ages: dict[tuple[Partition, int], float] = {}
    async with reading(bootstrap, topic) as reader:
        ends = await reader.ends()
        for each in those:
            for at, offset in _behind(each, ends):
                if (at, offset) not in ages:
                    reader.seek({at: offset})
                    ages[at, offset] = await _age(reader, at, offset)
    return [
        Lag(
            stand=each,
            records=sum(ends[at] - offset for at, offset in _behind(each, ends)),
            seconds=max((ages[place] for place in _behind(each, ends)), default=0.0),
        )
        for each in those
    ]


def _behind(each: Stand, ends: Mapping[Partition, int]) -> list[tuple[Partition, int]]:
    stands_at = ((at, each.next_offsets.get(at[1], 0)) for at in ends)
    return [(at, offset) for at, offset in stands_at if offset < ends[at]]


async def _age(reader: TopicReader, at: Partition, offset: int) -> float:
    records = [record async for polled in reader.to({at: offset + 1}) for record in polled]
    return max(0.0, time.time() - float(records[0].timestamp) / 1000) if records else 0.0
