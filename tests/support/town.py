"""A quote service that writes and publishes, and processes of a transfer service that keep `quote_terms` up to date."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import asyncpg
from aiokafka import AIOKafkaProducer

from contracts import topics
from contracts.quote.v1 import QuoteAccepted, QuoteCreated, QuoteExpired
from scripts.bench.kernel import _offer
from services.kernel.bus import KafkaPublisher
from services.kernel.decider import Ask, Meta, Unit
from services.kernel.engine import Engine, Units
from services.kernel.event_store import PostgresStore, connector
from services.kernel.folding import Target
from services.kernel.ids import new_id
from services.kernel.outbox import PostgresOutbox
from services.kernel.progress import Progress
from services.kernel.projector import Projection
from services.kernel.rebuild import Rebuilt
from services.kernel.relay import Relay
from services.kernel.service import Runtime, Service
from services.kernel.settings import Kernel, load
from services.kernel.topic_reader import reading
from services.quote import handlers
from services.quote.domain import AcceptQuote, CreateQuote
from services.transfer.projections import quote_terms
from services.transfer.projections.quote_terms import QuoteTermsRow
from tests.support.fakes import until

PARTITIONS = 4
QUOTES = topics.QUOTE.name
PARKED = """
    SELECT topic, partition, "offset", stream_id, version, event_type, error, key, headers, value
    FROM parked_event WHERE consumer = $1 ORDER BY partition, "offset" """
CURSORS = "SELECT stream_id, source, last_version, last_hash, parked FROM stream_cursor WHERE consumer = $1 ORDER BY 1"
PASSWORD = "of-a-test"
TERMS = quote_terms.PROJECTION


def evolve(row: QuoteTermsRow | None, event: Any) -> QuoteTermsRow | None:
    """A row with a life: offered, accepted, gone."""
    match event:
        case QuoteCreated():
            return QuoteTermsRow(event.customer_id, b"offered")
        case QuoteAccepted():
            assert row is not None, "accepted before it was created"
            return replace(row, terms=b"accepted by " + event.transfer_id.bytes)
        case _:
            return None


LIFE = replace(TERMS, wanted=(QuoteCreated, QuoteAccepted, QuoteExpired), evolve=evolve)


def wrong(projection: Projection) -> Projection:
    """With a bug: one customer in four is written down as nobody."""

    def planted(row: Any, event: Any) -> Any:
        after = projection.evolve(row, event)
        return replace(after, customer_id=UUID(int=0)) if after is not None and event.quote_id.int % 4 == 0 else after

    return replace(projection, evolve=planted)


@dataclass
class Town:
    """One database and one broker."""

    dsn: str  # a superuser's
    bootstrap: str
    quotes: list[UUID] = field(default_factory=list)  # committed
    published: int = 0

    def __post_init__(self) -> None:
        store = PostgresStore(connector(self.dsn, "quote", "town quotes"))
        self.engine = Engine(store, [handlers.decider()], topics.QUOTE.name, new_id)
        self.outbox = PostgresOutbox(connector(self.dsn, "quote", "town relay"))
        self.publisher = KafkaPublisher(self.bootstrap, "/corridor/quote", PARTITIONS, 1)
        self.relay = Relay(self.outbox, self.publisher)
        self.offer = _offer()

    @property
    def operations(self) -> str:
        """The DSN of corridor_operations."""
        parts = urlsplit(self.dsn)
        place = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"corridor_operations:{PASSWORD}@{place}"))

    def target(self, projection: Projection = TERMS) -> Target:
        return Target(
            dsn=self.operations, bootstrap=self.bootstrap, service="transfer", schema="transfer",
            projection=projection, writer_schema="quote",
        )  # fmt: skip

    async def create(self, count: int) -> list[UUID]:
        """New quotes, committed."""
        made = [uuid4() for _ in range(count)]
        await self.ask([CreateQuote(quote_id=each, customer_id=uuid4(), offer=self.offer) for each in made])
        self.quotes.extend(made)
        return made

    async def accept(self, quotes: Sequence[UUID]) -> None:
        now = datetime.now(UTC)
        await self.ask([AcceptQuote(quote_id=each, transfer_id=uuid4(), opened_at=now) for each in quotes])

    async def ask(self, commands: Sequence[Any]) -> None:
        units = [Unit((Ask(each.quote_id, each),), Meta("corridor", "town", each.quote_id)) for each in commands]
        for outcome in await self.engine.run(Units(units)):
            assert outcome.error is None, outcome.error
            assert outcome.refusal is None, outcome.refusal

    async def publish(self) -> None:
        """Everything that is committed is on the topic."""
        while count := await self.relay.step():
            self.published += count

    @asynccontextmanager
    async def traffic(self, size: int = 20) -> AsyncIterator[None]:
        """Quotes come and are published all the time. Ended between two of them: what is committed is in `quotes`."""
        over = asyncio.Event()

        async def flow() -> None:
            while not over.is_set():
                await self.create(size)
                await self.publish()
                await asyncio.sleep(0.02)

        flowing = asyncio.create_task(flow())
        try:
            yield
        finally:
            over.set()
            await flowing

    @asynccontextmanager
    async def process(self, projection: Projection = TERMS) -> AsyncIterator[Runtime]:
        """What a process of the transfer service runs for its read tables."""
        environment = {
            "ENV": "dev", "DATABASE_URL": self.dsn, "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "KAFKA_PARTITIONS": str(PARTITIONS), "JWT_SECRET": "0f9d1c3b5a7e8842", "CORRIDOR_INSTANCE": "transfer-1",
        }  # fmt: skip
        service = Service(
            name="transfer", schema="transfer", topic=topics.TRANSFER.name, deciders=(), projections=(projection,)
        )
        runtime = Runtime(service, load(Kernel, "transfer", environment))
        async with running(dict(runtime.tasks())["projections"]()):
            yield runtime
        await runtime.close()

    async def fetch(self, sql: str, *values: Any, schema: str = "transfer") -> list[Any]:
        connection = await asyncpg.connect(self.dsn, server_settings={"search_path": schema})
        try:
            return list(await connection.fetch(sql, *values))
        finally:
            await connection.close()

    async def status(self) -> dict[int, str]:
        """The versions of quote_terms."""
        found = "SELECT version, status FROM projection_registry WHERE name = 'quote_terms' ORDER BY version"
        return {row[0]: row[1] for row in await self.fetch(found)}

    async def live(self) -> int:
        return next(version for version, status in (await self.status()).items() if status == "live")

    async def rows(self) -> dict[UUID, tuple[UUID, bytes]]:
        """What readers see."""
        return {row[0]: (row[1], row[2]) for row in await self.fetch("SELECT * FROM quote_terms")}

    async def kept(self, version: int) -> tuple[list[Any], list[Any]]:
        """What is beside the rows of a version: what was parked, and the cursors."""
        consumer = f"transfer.quote_terms.v{version}"
        return await self.fetch(PARKED, consumer), await self.fetch(CURSORS, consumer)

    async def caught_up(self, version: int) -> None:
        """A version has taken everything that was published."""
        where = "SELECT coalesce(sum(next_offset), 0) FROM consumer_offset WHERE consumer = $1"

        async def there() -> bool:
            return bool((await self.fetch(where, f"transfer.quote_terms.v{version}"))[0][0] >= self.published)

        await until(there)


@asynccontextmanager
async def running(work: Any) -> AsyncIterator[None]:
    """Beside the block; what it raises, the block's end raises."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        failed = task.done() and task.exception()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert not failed


@asynccontextmanager
async def town(dsn: str, bootstrap: str) -> AsyncIterator[Town]:
    """With its role for operations and an empty topic. The database is the caller's own."""
    await until(partial(_let_in, dsn))
    async with AsyncExitStack() as opened:
        found = Town(dsn, bootstrap)
        await found.publisher.start()
        opened.push_async_callback(found.publisher.stop)
        opened.push_async_callback(found.engine.store.drop)  # type: ignore[attr-defined]
        assert await found.outbox.lead()
        yield found
        if found.outbox._connection is not None:
            found.outbox._connection.terminate()


async def _let_in(dsn: str) -> bool:
    """Give the role its password. Roles belong to the cluster, where another test may be at it: then try again."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"ALTER ROLE corridor_operations PASSWORD '{PASSWORD}'")
    except asyncpg.InternalServerError:  # tuple concurrently updated
        return False
    finally:
        await connection.close()
    return True


Reports = Callable[[Any], None]


def quiet(_progress: Progress) -> None:
    """Nobody watches."""


def took_strange(made: Rebuilt) -> None:
    """What comes of `publish_strange` when what cannot be applied is accepted."""
    assert made.results == {"applied": 30, "skipped": 0, "duplicate": 1, "parked": 3}
    assert made.difference is not None
    assert made.difference.is_none


async def publish_strange(place: Town) -> None:
    """On the topic: a record twice, one without an identity, one of a stream whose second version is missing, and one
    that says it is of another stream than its hash says."""
    made = await place.create(20)
    await place.accept(made[:10])
    await place.publish()
    async with reading(place.bootstrap, QUOTES) as reader:
        records = [record async for polled in reader.to(await reader.ends()) for record in polled]
    producer = AIOKafkaProducer(bootstrap_servers=place.bootstrap)
    await producer.start()
    again = next(record for record in records if dict(record.headers)["ce_streamversion"] == b"1")
    ahead = next(record for record in records if dict(record.headers)["ce_subject"] == str(made[15]).encode())
    later = [(name, b"3" if name == "ce_streamversion" else value) for name, value in ahead.headers]
    other = [(name, str(uuid4()).encode() if name == "ce_subject" else value) for name, value in ahead.headers]
    for value, headers, at in (
        (again.value, again.headers, again.partition), (b"?", [], 0), (ahead.value, later, ahead.partition),
        (ahead.value, other, ahead.partition),
    ):  # fmt: skip
        await producer.send_and_wait(QUOTES, value, partition=at, headers=list(headers))
    await producer.stop()
    place.published += 4
