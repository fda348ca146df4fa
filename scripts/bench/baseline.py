"""What the bare tools do with the same bytes: plain batched inserts, and aiokafka without anything around it."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from scripts.bench.numbers import Figures, milliseconds

BATCH = 500
LONE = 200  # single commits and single round trips, for the latencies
TABLE = """CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key uuid NOT NULL,
                              data bytea NOT NULL, meta bytea NOT NULL)"""
INSERT = "INSERT INTO bare (key, data, meta) SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::bytea[])"
EVENTS = "SELECT record_key, data, meta FROM {schema}.event ORDER BY global_seq DESC LIMIT $1"


@dataclass(frozen=True, slots=True)
class Row:
    """An event's own bytes."""

    key: Any
    data: bytes
    meta: bytes


async def rows_of(dsn: str, schemas: Sequence[str], count: int) -> list[Row]:
    """The newest events of each schema, `count` in all if there are that many."""
    connection = await asyncpg.connect(dsn)
    try:
        found: list[Row] = []
        for schema in schemas:
            rows = await connection.fetch(EVENTS.format(schema=schema), count // len(schemas))
            found += [Row(*row) for row in rows]
        return found
    finally:
        await connection.close()


async def measure(dsn: str, bootstrap: str, topic: str, partitions: int, rows: Sequence[Row]) -> Figures:
    """Everything of the baseline; `topic` is empty."""
    figures = await _insert(dsn, rows)
    produced = await _produce(bootstrap, topic, partitions, rows)
    consumed = await _consume(bootstrap, topic, partitions, len(rows))
    figures |= {
        "baseline_kafka_produced_records_per_second": len(rows) / produced,
        "baseline_kafka_consumed_records_per_second": len(rows) / consumed,
        "baseline_kafka_records_per_second": len(rows) / (produced + consumed),
        "baseline_bytes_per_row": sum(len(row.data) + len(row.meta) for row in rows) / len(rows),
    }
    return figures | await _round_trips(bootstrap, topic, partitions, rows[0])


async def _insert(dsn: str, rows: Sequence[Row]) -> Figures:
    """Batches of 500, each a commit; then single rows, for the latency of one."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(TABLE)
        began = time.perf_counter()
        for at in range(0, len(rows), BATCH):
            await connection.execute(INSERT, *_columns(rows[at : at + BATCH]))
        seconds = time.perf_counter() - began
        lone = []
        for row in rows[:LONE]:
            at_once = time.perf_counter()
            await connection.execute(INSERT, *_columns([row]))
            lone.append(time.perf_counter() - at_once)
    finally:
        await connection.close()
    return {"baseline_insert_rows_per_second": len(rows) / seconds} | milliseconds("baseline_commit", lone)


def _columns(rows: Sequence[Row]) -> tuple[list[Any], list[bytes], list[bytes]]:
    return [row.key for row in rows], [row.data for row in rows], [row.meta for row in rows]


async def _produce(bootstrap: str, topic: str, partitions: int, rows: Sequence[Row]) -> float:
    """Seconds until all are acknowledged, with the settings of our relay."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, max_batch_size=512 * 1024
    )
    await producer.start()
    try:
        began = time.perf_counter()
        for at in range(0, len(rows), BATCH):
            sent = [await _send(producer, topic, partitions, row) for row in rows[at : at + BATCH]]
            await asyncio.gather(*sent)
        return time.perf_counter() - began
    finally:
        await producer.stop()


async def _send(producer: AIOKafkaProducer, topic: str, partitions: int, row: Row) -> Any:
    key = str(row.key).encode()
    return await producer.send(topic, row.data, key, hash(key) % partitions, headers=[("meta", row.meta)])


async def _consume(bootstrap: str, topic: str, partitions: int, count: int) -> float:
    """Seconds from the first poll to the last record."""
    consumer = await _consumer(bootstrap, topic, partitions)
    try:
        began, seen = time.perf_counter(), 0
        while seen < count:
            polled = await consumer.getmany(timeout_ms=1_000, max_records=BATCH)
            seen += sum(len(records) for records in polled.values())
        return time.perf_counter() - began
    finally:
        await consumer.stop()


async def _consumer(bootstrap: str, topic: str, partitions: int) -> AIOKafkaConsumer:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, max_partition_fetch_bytes=512 * 1024, enable_auto_commit=False
    )
    await consumer.start()
    assigned = [TopicPartition(topic, number) for number in range(partitions)]
    consumer.assign(assigned)
    await consumer.seek_to_beginning(*assigned)
    return consumer


async def _round_trips(bootstrap: str, topic: str, partitions: int, row: Row) -> Figures:
    """A lone record, from the send to its consumer."""
    consumer = await _consumer(bootstrap, topic, partitions)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        await consumer.seek_to_end(*consumer.assignment())
        for each in consumer.assignment():
            await consumer.position(each)
        seconds = []
        for _ in range(LONE):
            began = time.perf_counter()
            await (await _send(producer, topic, partitions, row))
            await consumer.getone()
            seconds.append(time.perf_counter() - began)
    finally:
        await producer.stop()
        await consumer.stop()
    return milliseconds("baseline_kafka_round_trip", seconds)
