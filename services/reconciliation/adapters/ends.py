"""Where the topics end: asked of Kafka by a client that belongs to no group and reads nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.reconciliation.ports import TopicsUnavailable

SECONDS_MAX = 15.0


class KafkaEnds:
    """A client for each question: it is asked every few minutes."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    async def ends(self, topics: Sequence[str]) -> Mapping[tuple[str, int], int]:
        """The offset behind the last record of each partition. Raises TopicsUnavailable."""
        client = AIOKafkaConsumer(*topics, bootstrap_servers=self._bootstrap, enable_auto_commit=False)
        try:
            async with asyncio.timeout(SECONDS_MAX):
                await client.start()
                return await self._asked(client, topics)
        except (KafkaError, OSError, TimeoutError) as away:
            raise TopicsUnavailable(type(away).__name__) from None
        finally:
            await client.stop()

    async def _asked(self, client: AIOKafkaConsumer, topics: Sequence[str]) -> Mapping[tuple[str, int], int]:
        places = [
            TopicPartition(topic, number)
            for topic in topics
            for number in client.partitions_for_topic(topic) or ()
        ]  # fmt: skip
        if {place.topic for place in places} != set(topics):
            raise TopicsUnavailable("a topic is missing")
        found = await client.end_offsets(places)
        return {(place.topic, place.partition): end for place, end in found.items()}
