"""What the judge looks at: the sandbox's book, the topics, the database as the on-call reads it, the client's own log.

Nothing here imports the services or their contracts: the topics are read with a bare consumer, the tables with SQL.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

SCHEMA_OF = {
    "corridor.customer.events.v1": "core",
    "corridor.quote.events.v1": "quote",
    "corridor.transfer.events.v1": "transfer",
    "corridor.deposit.events.v1": "deposit",
    "corridor.payout.events.v1": "payout",
    "corridor.ledger.events.v1": "ledger",
    "corridor.recon.events.v1": "recon",
}
PAGE = 1_000
BATCH_SECONDS = 10.0  # without a record while the end was not reached: the broker hangs

EVENTS = """SELECT stream_id, version, event_id, event_type, data, encode(hash, 'hex') AS hash FROM {schema}.event
            ORDER BY global_seq"""
STREAMS = "SELECT stream_id, category, version, encode(hash, 'hex') AS hash, stage FROM {schema}.stream_state"
WAITING = """SELECT (SELECT count(*) FROM {schema}.outbox) AS outbox,
                    (SELECT count(*) FROM {schema}.stream_cursor WHERE parked) AS parked_streams,
                    (SELECT count(*) FROM {schema}.parked_event WHERE resolved_at IS NULL) AS parked_events"""
POSTINGS = "SELECT account_id, currency, side, amount_minor FROM ledger.posting"
BALANCES = "SELECT account_id, currency, debit_minor, credit_minor FROM ledger.balance"

Json = Mapping[str, Any]


class EvidenceMissing(Exception):
    """Something that the judge must see is not there."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One record of a topic, in the order of its partition."""

    topic: str
    partition: int
    headers: Mapping[str, bytes]
    value: bytes

    def text(self, header: str) -> str:
        """Empty when it is not there."""
        return self.headers.get(header, b"").decode()

    @property
    def event_id(self) -> str:
        return self.text("ce_id")

    @property
    def stream(self) -> str:
        return self.text("ce_subject")

    @property
    def version(self) -> int:
        return int(self.headers["ce_streamversion"])

    @property
    def kind(self) -> str:
        """corridor.transfer.funding_confirmed.v1 -> transfer.funding_confirmed"""
        return ".".join(self.text("ce_type").split(".")[1:-1])

    @property
    def data(self) -> Any:
        return json.loads(self.value)


@dataclass(frozen=True, kw_only=True)
class Store:
    """The rows of one service's schema."""

    events: list[Json] = field(default_factory=list)
    streams: list[Json] = field(default_factory=list)
    waiting: Json = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything, as it was read; `log` is what the client has written down, a line for each answer that it got."""

    log: list[Json]
    payouts: list[Json]
    collected: list[Json]
    summary: Json
    faults: list[Json]
    records: list[Record]
    stores: Mapping[str, Store]
    postings: list[Json]
    balances: list[Json]

    def logged(self, kind: str) -> list[Json]:
        return [line for line in self.log if line["kind"] == kind]

    def events(self, service: str) -> list[Record]:
        """Once each, whatever was published twice, in the order of the topic."""
        own = [record for record in self.records if record.topic == f"corridor.{service}.events.v1"]
        return list({record.event_id: record for record in own}.values())

    def of_kind(self, kind: str) -> list[Record]:
        """All `transfer.opened`, and so on."""
        return [record for record in self.events(kind.partition(".")[0]) if record.kind == kind]


async def collect(sandbox_url: str, bootstrap: str, oncall_dsn: str, log: Path) -> Evidence:
    """Read it all. The topics last: what the tables had, the relay has published by then or the judge will say so."""
    (payouts, collected), summary, faults = await read_book(sandbox_url)
    stores, postings, balances = await read_database(oncall_dsn)
    return Evidence(
        log=[json.loads(line) for line in (await asyncio.to_thread(log.read_text)).splitlines()],
        payouts=payouts,
        collected=collected,
        summary=summary,
        faults=faults,
        records=await read_topics(bootstrap),
        stores=stores,
        postings=postings,
        balances=balances,
    )


async def read_book(url: str) -> tuple[tuple[list[Json], list[Json]], Json, list[Json]]:
    """What the banks accepted, paid and collected; their own summary; their fault switches with their hits."""
    limit = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(timeout=limit, raise_for_status=True) as session:

        async def get(path: str) -> Any:
            async with session.get(f"{url}{path}") as answer:
                return await answer.json()

        payouts: list[Json] = []
        collected: list[Json] = []
        page = {"more": True, "next_since": 0}
        while page["more"]:
            page = await get(f"/book?since={page['next_since']}&limit={PAGE}")
            payouts += page["payouts"]
            collected += page["collected"]
        return (payouts, collected), await get("/book/summary"), (await get("/faults"))["rules"]


async def read_topics(bootstrap: str) -> list[Record]:
    """All records of our topics up to their present ends. Without a group a consumer is given every partition."""
    consumer = AIOKafkaConsumer(
        *SCHEMA_OF, bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        partitions = consumer.assignment()
        if {each.topic for each in partitions} != set(SCHEMA_OF):
            raise EvidenceMissing(f"topics without partitions: {set(SCHEMA_OF) - {each.topic for each in partitions}}")
        ends = await consumer.end_offsets(partitions)
        return await _read_to(consumer, {each: end for each, end in ends.items() if end})
    finally:
        await consumer.stop()


async def _read_to(consumer: AIOKafkaConsumer, left: dict[TopicPartition, int]) -> list[Record]:
    found: list[Record] = []
    while left:
        async with asyncio.timeout(BATCH_SECONDS):
            batch = await consumer.getmany(timeout_ms=500)
        for place, messages in batch.items():
            found += [
                Record(
                    topic=place.topic, partition=place.partition, headers=dict(each.headers), value=each.value or b""
                )
                for each in messages
            ]
            if messages[-1].offset + 1 >= left.get(place, 0):
                left.pop(place, None)
    return found


async def read_database(dsn: str) -> tuple[dict[str, Store], list[Json], list[Json]]:
    """In one read-only snapshot, as the role of the on-call."""
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=30)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):

            async def rows(sql: str) -> list[Json]:
                return [dict(row) for row in await connection.fetch(sql)]

            stores = {
                schema: Store(
                    events=await rows(EVENTS.format(schema=schema)),
                    streams=await rows(STREAMS.format(schema=schema)),
                    waiting=(await rows(WAITING.format(schema=schema)))[0],
                )
                for schema in SCHEMA_OF.values()
            }
            return stores, await rows(POSTINGS), await rows(BALANCES)
    finally:
        await connection.close()
