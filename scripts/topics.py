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
from collections.abc import Mapping

from contracts.topics import ALL, PARTITIONS_DEMO, TOPIC_CONFIG
from services.kernel import topic_admin
from services.kernel.topic_admin import Live, TopicsDiffer, Wanted

NAMES = tuple(topic.name for topic in ALL)


def wanted(partitions: int) -> Wanted:
    """All of ours."""
    return Wanted(NAMES, TOPIC_CONFIG, partitions)


def differences(live: Mapping[str, Live], partitions: int) -> list[str]:
    """What is wrong with the broker's topics, one sentence each."""
    return topic_admin.differences(live, wanted(partitions))


async def ensure(bootstrap: str, partitions: int, replication: int = 1) -> list[str]:
    """Make the missing topics; the names of those that were. Raises TopicsDiffer, KafkaError."""
    return await topic_admin.ensure(bootstrap, wanted(partitions), replication)


async def verify(bootstrap: str, partitions: int) -> None:
    """Raises TopicsDiffer, KafkaError."""
    await topic_admin.verify(bootstrap, wanted(partitions))


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
