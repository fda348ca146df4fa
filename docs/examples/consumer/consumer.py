"""Follows transfers on Kafka with nothing of Corridor's but its JSON Schemas. What a consumer has to do, and no more.

python consumer.py --schemas DIR [--bootstrap HOST:PORT] [--state FILE] [--replay] [--until-end]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from jsonschema import Draft202012Validator

TOPIC = "corridor.transfer.events.v1"
BATCH_MAX = 500
STATES = {  # event type -> the state that a transfer is in after it; a type that is not here changes no state
    "corridor.transfer.opened.v1": "AWAITING_FUNDING",
    "corridor.transfer.cancelled.v1": "CANCELLED",
    "corridor.transfer.expired.v1": "EXPIRED",
    "corridor.transfer.funding_confirmed.v1": "FUNDING_CONFIRMED",
    "corridor.transfer.payout_initiated.v1": "PAYOUT_INITIATED",
    "corridor.transfer.payout_review_required.v1": "PAYOUT_REVIEW_REQUIRED",
    "corridor.transfer.payout_completed.v1": "PAYOUT_COMPLETED",
}
NO_HASH = "0" * 64  # what the first event of a stream follows
TABLES = """
CREATE TABLE IF NOT EXISTS position (partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS transfer (
    id TEXT PRIMARY KEY, version INTEGER NOT NULL, hash TEXT NOT NULL, state TEXT NOT NULL, held TEXT NOT NULL
);
"""


class Event(NamedTuple):
    """What the headers say; see contracts/asyncapi.yaml."""

    transfer_id: str
    version: int  # from 1, without a gap
    type: str
    time: str
    hash: str
    follows: str  # the hash of the version before


class Transfer(NamedTuple):
    """What we know of a transfer. `held`: why we stopped following it; nothing when we did not."""

    version: int = 0
    hash: str = NO_HASH
    state: str = "-"
    held: str = ""


class Unreadable(Exception):
    """The record does not say who it is."""


def read_headers(record: ConsumerRecord) -> Event:
    """Raises Unreadable."""
    found = {name: value.decode("utf-8", "replace") for name, value in record.headers}
    try:
        return Event(
            found["ce_subject"], int(found["ce_streamversion"]), found["ce_type"], found["ce_time"], found["ce_hash"],
            found["ce_prevhash"],
        )  # fmt: skip
    except (KeyError, ValueError) as error:
        raise Unreadable(f"{record.topic}/{record.partition}/{record.offset}: {error}") from error


class Schemas:
    """One validator for each event type, from the files that Corridor publishes."""

    def __init__(self, folder: Path) -> None:
        files = {path.stem: json.loads(path.read_bytes()) for path in folder.glob("*.json")}
        self._validators = {name: Draft202012Validator(schema) for name, schema in files.items()}

    def fault(self, event_type: str, value: bytes | None) -> str:
        """Why the value is not of that type; nothing when it is, or when the type is newer than our copy."""
        validator = self._validators.get(event_type)
        if validator is None:
            return ""
        try:
            content = json.loads(value or b"")
        except ValueError:
            return "not JSON"
        found = next(iter(validator.iter_errors(content)), None)
        return f"{found.json_path}: {found.validator}" if found else ""


class Follower:
    """Applies records to the table of transfers. Effect and position are one write, so a crash repeats nothing."""

    def __init__(self, database: sqlite3.Connection, schemas: Schemas) -> None:
        self.database = database
        self.counts: Counter[str] = Counter()
        self._schemas = schemas
        database.executescript(TABLES)

    def forget(self) -> None:
        """Begin again at offset zero: the topic has everything."""
        with self.database:
            self.database.execute("DELETE FROM transfer")
            self.database.execute("DELETE FROM position")

    def position(self, partition: int) -> int:
        """The first offset that is not applied. Kafka is never asked for it."""
        row = self.database.execute("SELECT next_offset FROM position WHERE partition = ?", (partition,)).fetchone()
        return row[0] if row else 0

    def apply(self, partition: int, records: Iterable[ConsumerRecord]) -> None:
        """One transaction for the batch and the position behind it."""
        with self.database:
            for record in records:
                self.counts[self._one(record)] += 1
                self.database.execute("REPLACE INTO position VALUES (?, ?)", (partition, record.offset + 1))

    def _one(self, record: ConsumerRecord) -> str:
        try:
            event = read_headers(record)
        except Unreadable as unreadable:
            print(f"UNREADABLE {unreadable}", file=sys.stderr)
            return "unreadable"
        known = self._known(event.transfer_id)
        if known.held:
            return "behind a held one"
        if event.version < known.version or (event.version, event.hash) == (known.version, known.hash):
            return "duplicate"
        if trouble := self._trouble(known, event, record.value):
            print(f"HELD {event.transfer_id} at v{known.version}: {trouble}", file=sys.stderr)
            self._save(event.transfer_id, known._replace(held=trouble))
            return "held"
        state = STATES.get(event.type, known.state)
        if state != known.state:
            print(f"{event.time} {event.transfer_id} v{event.version} {known.state} -> {state}", flush=True)
        self._save(event.transfer_id, Transfer(event.version, event.hash, state))
        return "applied"

    def _trouble(self, known: Transfer, event: Event, value: bytes | None) -> str:
        """Why this event cannot be the next one. It is never skipped: the rest of its transfer would be guesswork."""
        if event.version > known.version + 1:
            return f"GAP: v{event.version} came"
        if event.version == known.version or event.follows != known.hash:
            return f"FORK: another history at v{event.version}"
        fault = self._schemas.fault(event.type, value)
        return f"INVALID {event.type}: {fault}" if fault else ""

    def _known(self, transfer_id: str) -> Transfer:
        wanted = "SELECT version, hash, state, held FROM transfer WHERE id = ?"
        row = self.database.execute(wanted, (transfer_id,)).fetchone()
        return Transfer(*row) if row else Transfer()

    def _save(self, transfer_id: str, transfer: Transfer) -> None:
        self.database.execute("REPLACE INTO transfer VALUES (?, ?, ?, ?, ?)", (transfer_id, *transfer))

    def summary(self) -> str:
        """Transfers by state, then records by what became of them."""
        states = self.database.execute("SELECT state, count(*) FROM transfer GROUP BY state ORDER BY state").fetchall()
        records = sorted(self.counts.items())
        return " · ".join(f"{name} {count}" for name, count in [*states, *records])

    def held(self) -> int:
        """How many transfers wait for a person."""
        (count,) = self.database.execute("SELECT count(*) FROM transfer WHERE held <> ''").fetchone()
        return int(count)


async def follow(bootstrap: str, follower: Follower, *, until_end: bool) -> None:
    """Without a consumer group: every partition is ours, and our own positions say where we are."""
    settings: dict[str, Any] = {"group_id": None, "enable_auto_commit": False, "auto_offset_reset": "none"}
    consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=bootstrap, **settings)
    await consumer.start()
    try:
        partitions: set[TopicPartition] = consumer.assignment()
        for partition in partitions:
            consumer.seek(partition, follower.position(partition.partition))
        ends = await consumer.end_offsets(partitions)
        if any(follower.position(at.partition) > end for at, end in ends.items()):
            raise SystemExit("the topic ends before what was read: it was made anew (ce_epoch). Begin again: --replay")
        while not (until_end and all(follower.position(at.partition) >= end for at, end in ends.items())):
            polled = await consumer.getmany(timeout_ms=500, max_records=BATCH_MAX)
            for partition, records in polled.items():
                follower.apply(partition.partition, records)
    finally:
        await consumer.stop()


def main() -> int:
    """0, or 1 when a transfer had to be held or a record could not be read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", default="localhost:9092")
    parser.add_argument("--schemas", type=Path, required=True, help="the folder contracts/schemas")
    parser.add_argument("--state", default="transfers.db", help="an SQLite file: what we know and how far we are")
    parser.add_argument("--replay", action="store_true", help="forget it and begin at offset zero")
    parser.add_argument("--until-end", action="store_true", help="stop at what is the end now, and sum up")
    chosen = parser.parse_args()
    follower = Follower(sqlite3.connect(chosen.state), Schemas(chosen.schemas))
    if chosen.replay:
        follower.forget()
    asyncio.run(follow(chosen.bootstrap, follower, until_end=chosen.until_end))
    print(follower.summary())
    return 1 if follower.held() or follower.counts["unreadable"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
