"""PostgreSQL and memory as stores behind the same questions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from contracts.topics import TOPIC_CONFIG  # kept for ever: the clock of a test may be long ago
from services.kernel.engine import Engine
from services.kernel.event_store import PostgresStore, connector
from services.kernel.memory import MemoryStore
from services.kernel.memory_outbox import MemoryOutbox
from services.kernel.outbox import PostgresOutbox
from tests.support.builders import JAR, TOPIC
from tests.support.fakes import Clock, until

SCRIPTS = ("kernel.sql", "checkpoint.sql", "expiry.sql", "lookups.sql")
SQL = "".join(Path("services/kernel/sql", name).read_text() for name in SCRIPTS)


@dataclass
class Postgres:
    """A schema with the kernel's tables, and lanes into it."""

    dsn: str
    schema: str
    lanes: list[PostgresStore] = field(default_factory=list)

    def lane(self, dsn: str | None = None, **settings: str) -> PostgresStore:
        store = PostgresStore(connector(dsn or self.dsn, self.schema, "test", **settings))
        self.lanes.append(store)
        return store

    def engine(self, dsn: str | None = None, **options: Any) -> Engine:
        return Engine(self.lane(dsn), (JAR,), options.pop("topic", TOPIC), uuid4, **options)

    def outbox(self) -> PostgresOutbox:
        return PostgresOutbox(connector(self.dsn, self.schema, "test relay"))

    async def close(self, outbox: PostgresOutbox | MemoryOutbox) -> None:
        assert isinstance(outbox, PostgresOutbox)
        if outbox._connection is not None:
            outbox._connection.terminate()
            outbox._connection = None

    async def fetch(self, sql: str, *values: Any) -> list[Any]:
        """As the owner, on a connection of its own."""
        connection = await asyncpg.connect(self.dsn, server_settings={"search_path": self.schema})
        try:
            return list(await connection.fetch(sql, *values))
        finally:
            await connection.close()

    async def events(self, stream_id: UUID) -> list[int]:
        rows = await self.fetch("SELECT version FROM event WHERE stream_id = $1 ORDER BY global_seq", stream_id)
        return [row[0] for row in rows]

    async def chain(self) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self.fetch(CHAIN)]

    async def count(self, table: str) -> int:
        """Rows; of the outbox, whose rows are whole batches, events."""
        counted = "coalesce(sum(cardinality(seqs)), 0)" if table == "outbox" else "count(*)"
        return int((await self.fetch(f"SELECT {counted} FROM {table}"))[0][0])  # noqa: S608


CHAIN = """SELECT stream_id, version, event_id, event_type, occurred_at, meta, data, prev_hash, hash
           FROM event ORDER BY stream_id, version"""
TABLES = {"event": "events", "side_effect": "effects", "raw_arrival": "arrivals", "claim": "claims",
          "request_key": "requests", "parked_event": "parked", "outbox": "outbox"}  # fmt: skip


@dataclass
class Memory:
    """The same, in memory."""

    store: MemoryStore = field(default_factory=lambda: MemoryStore(Clock()))

    def lane(self) -> MemoryStore:
        return self.store

    def engine(self, **options: Any) -> Engine:
        return Engine(self.store, (JAR,), TOPIC, uuid4, **options)

    def outbox(self) -> MemoryOutbox:
        return MemoryOutbox(self.store)

    async def close(self, outbox: PostgresOutbox | MemoryOutbox) -> None:
        assert isinstance(outbox, MemoryOutbox)
        outbox.close()

    async def events(self, stream_id: UUID) -> list[int]:
        return [each.version for each in self.store.tables.events if each.stream_id == stream_id]

    async def chain(self) -> list[tuple[Any, ...]]:
        rows = sorted(self.store.tables.events, key=lambda each: (each.stream_id, each.version))
        return [
            (e.stream_id, e.version, e.event_id, e.event_type, e.occurred_at, e.meta, e.data, e.prev_hash, e.hash)
            for e in rows
        ]

    async def count(self, table: str) -> int:
        return len(getattr(self.store.tables, TABLES[table]))


async def schema_in(dsn: str) -> Postgres:
    """The kernel's tables in a new schema."""
    schema = f"s{uuid4().hex}"
    await execute(dsn, f"CREATE SCHEMA {schema}; SET search_path = {schema}; {SQL}")
    return Postgres(dsn, schema)


async def execute(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def make_topic(bootstrap: str, topic: str, partitions: int, *, fresh: bool = False) -> None:
    """Make it, and when `fresh` is wanted delete what was there under the name."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        if fresh and topic in await admin.list_topics():
            await admin.delete_topics([topic])
            await until(lambda: _is_gone(admin, topic))
        await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=TOPIC_CONFIG)])
    finally:
        await admin.close()


async def _is_gone(admin: AIOKafkaAdminClient, topic: str) -> bool:
    return topic not in await admin.list_topics()


Backend = Postgres | Memory
