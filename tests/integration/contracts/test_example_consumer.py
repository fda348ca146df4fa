"""docs/examples/consumer against a real broker: run as a stranger would, on records made of the golden examples."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from contracts import transfer
from contracts.topics import PARTITIONS_DEMO, TOPIC_CONFIG, TRANSFER
from contracts.transfer import v1
from scripts.contracts.golden import BY_CLASS, TENANT
from scripts.stack import kafka_jars
from services.kernel.bus import KafkaPublisher
from services.kernel.codec import GENESIS, chain_hash, encode, encode_event, instant, schema_version
from services.kernel.decider import Meta
from services.kernel.envelope import StoredEvent

ROOT = Path(transfer.__path__[0]).parents[1]
PROGRAM = ROOT / "docs/examples/consumer/consumer.py"
IN_JAVA = ROOT / "docs/examples/consumer-java/TransferFollower.java"
LIFE = (v1.TransferOpened, v1.FundingConfirmed, v1.PayoutInitiated, v1.TransferOverdue, v1.PayoutCompleted)
STEPS = ["AWAITING_FUNDING", "FUNDING_CONFIRMED", "PAYOUT_INITIATED", "PAYOUT_COMPLETED"]


def stream(number: int, kinds: Sequence[type], *, event_type: str | None = None) -> list[StoredEvent]:
    """The golden examples of these kinds as the stored stream of transfer `number`."""
    stream_id, head, stored = UUID(int=number), GENESIS, []
    meta = encode(Meta(tenant=TENANT, actor="service:transfer", correlation_id=stream_id))
    for version, kind in enumerate(kinds, 1):
        event: Any = replace(BY_CLASS[kind], transfer_id=stream_id)
        at, name = v1_time(event), event_type or event.type
        data, event_id = encode_event(event), UUID(int=number * 1000 + version)
        digest = chain_hash(head, stream_id.bytes, version, event_id.bytes, name, instant(at), meta, data)
        row = StoredEvent(
            number * 1000 + version, TRANSFER.name, stream_id, version, event_id, name, schema_version(name),
            stream_id, data, meta, at, at, head, digest,
        )  # fmt: skip
        stored.append(row)
        head = digest
    return stored


def v1_time(event: Any) -> Any:
    """When it happened."""
    return next(getattr(event, name) for name in reversed(event.__slots__) if name.endswith("_at") or name == "since")


@dataclass
class Desk:
    """A partner's machine: our broker's address, their files."""

    bootstrap: str
    folder: Path

    def publish(self, *events: StoredEvent) -> None:
        async def send() -> None:
            publisher = KafkaPublisher(self.bootstrap, "/corridor/transfer", PARTITIONS_DEMO, 1)
            assert await publisher.publish(events) == []
            await publisher.stop()

        asyncio.run(send())

    def follow(self, *options: str, expect: int = 0) -> tuple[list[str], str]:
        """Run it to the end of the topic: its lines, the last of which is the sum, and what it complained of."""
        argv = [
            sys.executable,
            "-I",
            str(PROGRAM),
            "--bootstrap",
            self.bootstrap,
            "--schemas",
            str(ROOT / "contracts/schemas"),
        ]
        done = subprocess.run(
            [*argv, "--until-end", *options], cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == expect, done.stderr
        return done.stdout.splitlines(), done.stderr

    def follow_in_java(self, expect: int = 0) -> tuple[list[str], str]:
        """The same by the example in Java, from offset zero."""
        argv = [*kafka_jars.java(), str(IN_JAVA), self.bootstrap, "--until-end"]
        done = subprocess.run(argv, cwd=self.folder, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == expect, done.stderr
        return done.stdout.splitlines(), done.stderr

    def table(self) -> list[tuple[Any, ...]]:
        """What it knows."""
        database = sqlite3.connect(self.folder / "transfers.db")
        rows = database.execute("SELECT id, version, hash, state, held FROM transfer ORDER BY id").fetchall()
        database.close()
        return rows


@pytest.fixture
def desk(broker: str, tmp_path: Path) -> Desk:
    asyncio.run(_fresh_topic(broker))
    return Desk(broker, tmp_path)


async def _fresh_topic(bootstrap: str) -> None:
    """Apache Kafka deletes in the background: the name is free a moment later."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    answer: Any = None
    await admin.start()
    try:
        if TRANSFER.name in await admin.list_topics():
            await admin.delete_topics([TRANSFER.name])
        for _ in range(100):
            answer = await admin.create_topics(
                [NewTopic(TRANSFER.name, PARTITIONS_DEMO, 1, topic_configs=dict(TOPIC_CONFIG))]
            )
            if not any(code for _, code, _ in answer.topic_errors):
                return
            await asyncio.sleep(0.1)
        raise AssertionError(answer)
    finally:
        await admin.close()


def changes(lines: Sequence[str], number: int) -> list[str]:
    """The states that transfer `number` went to, as printed."""
    return [line.rpartition(" ")[2] for line in lines if str(UUID(int=number)) in line]


def test_it_prints_every_change_of_state_in_order(desk: Desk) -> None:
    desk.publish(*stream(1, LIFE), *stream(2, (v1.TransferOpened, v1.TransferCancelled, v1.LateFundingRecorded)))
    lines, complaints = desk.follow()
    assert changes(lines, 1) == STEPS
    assert changes(lines, 2) == ["AWAITING_FUNDING", "CANCELLED"]
    assert lines[-1] == "CANCELLED 1 · PAYOUT_COMPLETED 1 · applied 8"
    assert not complaints


def test_records_that_come_again_change_nothing(desk: Desk) -> None:
    desk.publish(*stream(1, LIFE[:3]))
    desk.publish(*stream(1, LIFE))
    lines, _ = desk.follow()
    assert changes(lines, 1) == STEPS
    assert lines[-1] == "PAYOUT_COMPLETED 1 · applied 5 · duplicate 3"


def test_a_second_run_goes_on_where_the_first_one_stopped(desk: Desk) -> None:
    desk.publish(*stream(1, LIFE[:2]))
    desk.follow()
    desk.publish(*stream(1, LIFE)[2:])
    lines, _ = desk.follow()
    assert changes(lines, 1) == STEPS[2:]
    assert lines[-1] == "PAYOUT_COMPLETED 1 · applied 3"


def test_a_replay_from_offset_zero_makes_the_same_table(desk: Desk) -> None:
    desk.publish(*stream(1, LIFE), *stream(1, LIFE), *stream(2, LIFE[:2]))
    desk.follow()
    before = desk.table()
    lines, _ = desk.follow("--replay")
    assert len(before) == 2
    assert desk.table() == before
    assert changes(lines, 1) == STEPS


def test_a_gap_holds_its_transfer_and_no_other(desk: Desk) -> None:
    first, _, third, *rest = stream(1, LIFE)
    desk.publish(first, third, *rest, *stream(2, LIFE))
    lines, complaints = desk.follow(expect=1)
    assert changes(lines, 1) == STEPS[:1]
    assert changes(lines, 2) == STEPS
    assert f"HELD {UUID(int=1)} at v1: GAP: v3 came" in complaints


def test_another_history_of_the_same_transfer_is_a_fork(desk: Desk) -> None:
    first, *_ = stream(1, LIFE)
    other = stream(1, (v1.TransferExpired, v1.LateFundingRecorded))[1]
    desk.publish(first, other)
    _, complaints = desk.follow(expect=1)
    assert "FORK" in complaints


def test_a_value_that_is_not_of_its_schema_is_held(desk: Desk) -> None:
    (opened,) = stream(1, LIFE[:1])
    desk.publish(replace(opened, data=opened.data.replace(b'"minor":10000', b'"minor":100.5')))
    _, complaints = desk.follow(expect=1)
    assert "INVALID corridor.transfer.opened.v1: $.send.minor: type" in complaints


def test_a_type_that_is_newer_than_the_schemas_is_passed_over(desk: Desk) -> None:
    newer = stream(1, LIFE[:1], event_type="corridor.transfer.blessed.v7")
    desk.publish(*newer)
    lines, _ = desk.follow()
    assert lines == ["- 1 · applied 1"]


@pytest.mark.apache  # which brings Java and kafka-clients
def test_the_example_in_java_says_the_same_as_the_one_in_python(desk: Desk) -> None:
    first, _, third, *rest = stream(3, LIFE)
    desk.publish(*stream(1, LIFE), *stream(1, LIFE[:3]), *stream(2, (v1.TransferOpened, v1.TransferCancelled)))
    desk.publish(first, third, *rest)
    ours, complaints = desk.follow(expect=1)
    theirs, words = desk.follow_in_java(expect=1)
    assert sorted(theirs[:-1]) == sorted(ours[:-1])
    assert theirs[-1] == ours[-1]
    assert [line for line in words.splitlines() if "HELD" in line] == complaints.splitlines()
