"""The topics of contracts/topics.py on a broker.

python -m scripts.topics ensure [BOOTSTRAP]    make what is missing, then verify
python -m scripts.topics verify [BOOTSTRAP]    exit 1 when a topic is missing or differs

BOOTSTRAP is by default KAFKA_BOOTSTRAP_SERVERS. KAFKA_PARTITIONS (4) and KAFKA_REPLICATION (1) count for new topics.
The topics themselves are the record of their number of partitions: another number is refused, for a record's partition
follows from its key and that number.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from contracts.topics import ALL, PARTITIONS_DEMO, TOPIC_CONFIG

NAMES = tuple(topic.name for topic in ALL)
REQUEST_MILLISECONDS = 10_000
SETTLE_SECONDS = 10.0
ALREADY_EXISTS = 36  # Kafka's error code: somebody else made it meanwhile


class TopicsDiffer(Exception):
    """The broker's topics are not those of contracts/topics.py; one sentence for each difference."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


@dataclass(frozen=True)
class Live:
    """A topic as the broker has it."""

    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)


def differences(live: Mapping[str, Live], partitions: int) -> list[str]:
    """What is wrong with the broker's topics, one sentence each. Topics that are not ours are none of our business."""
    faults = []
    for name in NAMES:
        if name not in live:
            faults.append(f"{name}: is missing")
        elif live[name].partitions != partitions:
            faults.append(
                f"{name}: has {live[name].partitions} partitions and not {partitions}; the number never changes, for "
                "every key would move: set KAFKA_PARTITIONS to it"
            )
        else:
            faults += _config_differences(name, live[name].config)
    return faults


def _config_differences(name: str, config: Mapping[str, str]) -> list[str]:
    wrong = [key for key, value in TOPIC_CONFIG.items() if config.get(key) != value]
    return [f"{name}: {key} is {config.get(key)} and not {TOPIC_CONFIG[key]}" for key in wrong]


async def ensure(bootstrap: str, partitions: int, replication: int = 1) -> list[str]:
    """Make the missing topics; the names of those that were. Raises TopicsDiffer, KafkaError."""
    async with _admin(bootstrap) as admin:
        there = set(await admin.list_topics())
        missing = [name for name in NAMES if name not in there]
        new = [NewTopic(name, partitions, replication, topic_configs=dict(TOPIC_CONFIG)) for name in missing]
        if new:
            _check(await admin.create_topics(new, timeout_ms=REQUEST_MILLISECONDS))
        await _settled(admin, partitions)
        return missing


async def _settled(admin: AIOKafkaAdminClient, partitions: int) -> None:
    """A broker acknowledges a topic before its metadata names it: what was just made is looked for until it is."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        try:
            return await _verify(admin, partitions)
        except TopicsDiffer as differ:
            if time.monotonic() > deadline or not all(fault.endswith("is missing") for fault in differ.faults):
                raise
            await asyncio.sleep(0.1)


async def verify(bootstrap: str, partitions: int) -> None:
    """Raises TopicsDiffer, KafkaError."""
    async with _admin(bootstrap) as admin:
        await _verify(admin, partitions)


async def _verify(admin: AIOKafkaAdminClient, partitions: int) -> None:
    if faults := differences(await _live(admin), partitions):
        raise TopicsDiffer(faults)


async def _live(admin: AIOKafkaAdminClient) -> dict[str, Live]:
    """Only those that are listed are described: the embedded broker makes a topic by being asked for it."""
    listed = set(await admin.list_topics())
    ours = [name for name in NAMES if name in listed]
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


def main(arguments: list[str]) -> int:
    """The exit code. Raises SystemExit with the usage for anything else than the two commands."""
    match arguments:
        case ["ensure" | "verify" as command, *rest] if len(rest) <= 1:
            bootstrap = rest[0] if rest else os.environ["KAFKA_BOOTSTRAP_SERVERS"]
        case _:
            raise SystemExit(__doc__)
    partitions = int(os.environ.get("KAFKA_PARTITIONS", PARTITIONS_DEMO))
    try:
        if command == "ensure":
            replication = int(os.environ.get("KAFKA_REPLICATION", "1"))
            made = asyncio.run(ensure(bootstrap, partitions, replication))
            print(f"{len(made)} topics made, {len(NAMES) - len(made)} were there")
        else:
            asyncio.run(verify(bootstrap, partitions))
            print(f"{len(NAMES)} topics as they should be")
    except TopicsDiffer as difference:
        print(difference, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
