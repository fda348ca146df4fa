"""Topics on a broker: made where they are missing, and compared with what they should be.

The topics themselves are the record of their number of partitions: another number is refused, for a record's partition
follows from its key and that number.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

REQUEST_MILLISECONDS = 10_000
SETTLE_SECONDS = 10.0
ALREADY_EXISTS = 36  # Kafka's error code: somebody else made it meanwhile


class TopicsDiffer(Exception):
    """The broker's topics are not those that were asked for; one sentence for each difference."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


@dataclass(frozen=True)
class Live:
    """A topic as the broker has it."""

    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """Topics as they should be."""

    names: tuple[str, ...]
    config: Mapping[str, str]
    partitions: int


def differences(live: Mapping[str, Live], wanted: Wanted) -> list[str]:
    """What is wrong with the broker's topics, one sentence each. Topics that are not ours are none of our business."""
    faults, partitions = [], wanted.partitions
    for name in wanted.names:
        if name not in live:
            faults.append(f"{name}: is missing")
        elif live[name].partitions != partitions:
            faults.append(
                f"{name}: has {live[name].partitions} partitions and not {partitions}; the number never changes, for "
                "every key would move: set KAFKA_PARTITIONS to it"
            )
        else:
            faults += _config_differences(name, live[name].config, wanted.config)
    return faults


def _config_differences(name: str, config: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    wrong = [key for key, value in wanted.items() if config.get(key) != value]
    return [f"{name}: {key} is {config.get(key)} and not {wanted[key]}" for key in wrong]


async def ensure(bootstrap: str, wanted: Wanted, replication: int = 1) -> list[str]:
    """Make the missing topics; the names of those that were. Raises TopicsDiffer, KafkaError."""
    async with _admin(bootstrap) as admin:
        there = set(await admin.list_topics())
        missing = [name for name in wanted.names if name not in there]
        new = [NewTopic(name, wanted.partitions, replication, topic_configs=dict(wanted.config)) for name in missing]
        if new:
            _check(await admin.create_topics(new, timeout_ms=REQUEST_MILLISECONDS))
        await _settled(admin, wanted)
        return missing


async def _settled(admin: AIOKafkaAdminClient, wanted: Wanted) -> None:
    """A broker acknowledges a topic before its metadata names it: what was just made is looked for until it is."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        try:
            return await _verify(admin, wanted)
        except TopicsDiffer as differ:
            if time.monotonic() > deadline or not all(fault.endswith("is missing") for fault in differ.faults):
                raise
            await asyncio.sleep(0.1)


async def verify(bootstrap: str, wanted: Wanted) -> None:
    """Raises TopicsDiffer, KafkaError."""
    async with _admin(bootstrap) as admin:
        await _verify(admin, wanted)


async def describe(bootstrap: str, names: Iterable[str]) -> dict[str, Live]:
    """Those of `names` that the broker has. Raises KafkaError."""
    async with _admin(bootstrap) as admin:
        return await _live(admin, names)


async def _verify(admin: AIOKafkaAdminClient, wanted: Wanted) -> None:
    if faults := differences(await _live(admin, wanted.names), wanted):
        raise TopicsDiffer(faults)


async def _live(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, Live]:
    """Only those that are listed are described: the embedded broker makes a topic by being asked for it."""
    listed = set(await admin.list_topics())
    ours = [name for name in names if name in listed]
    if not ours:
        return {}
    counts = {each["topic"]: len(each["partitions"]) for each in await admin.describe_topics(ours)}
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in ours])
    resources = [resource for answer in answers for resource in answer.resources]
    configs = {resource[3]: {entry[0]: entry[1] for entry in resource[4]} for resource in resources}
    return {name: Live(counts[name], configs[name]) for name in ours}


def _check(answer: Any) -> None:
    refused = [
        f"{name}: {words or code}" for name, code, words in answer.topic_errors if code not in {0, ALREADY_EXISTS}
    ]
    if refused:
        raise TopicsDiffer(refused)


@asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=REQUEST_MILLISECONDS)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()
