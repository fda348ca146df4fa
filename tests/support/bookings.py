"""Books with a story behind each entry: facts in the stores of other services, posted by the ledger's own engine."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import asyncpg

from contracts import topics
from contracts.deposit.v1 import DepositObserved
from contracts.ledger.v1 import BOOKED, BlockClosed, CurrencySums
from contracts.payout.v1 import PayoutConfirmed
from contracts.transfer.v1 import FundingConfirmed, PayoutInitiated, TransferOpened
from services.kernel.account import standings_after
from services.kernel.book import PARTS, read_standings, writer
from services.kernel.book_fold import LINES, SETTLED
from services.kernel.codec import GENESIS, chain_hash, encode, encode_event, instant, schema_version
from services.kernel.decider import Cause, Meta, Unit
from services.kernel.engine import Engine, Units
from services.kernel.event_store import PostgresStore, connector
from services.kernel.ids import derive, new_id
from services.kernel.migrations.run import ONCALL, SCHEMAS
from services.kernel.money import Money, Rate, RateText, iso4217
from services.kernel.sealed import Sealed
from services.kernel.store import Write
from services.ledger import handlers
from services.ledger.domain.blocks import GENESIS as BLOCK_GENESIS
from services.ledger.domain.blocks import digest
from services.ledger.domain.chart import account_kind
from services.ledger.domain.verification import booked_entry
from tests.support.fakes import until

PASSWORD = "0f9d1c3b5a7e8842"
GBP, ETB = iso4217("GBP"), iso4217("ETB")
BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
CUSTOMERS = [UUID(int=number + 1) for number in range(500)]
COLUMNS = (
    "stream_id", "version", "event_id", "event_type", "schema_version", "record_key", "data", "meta", "occurred_at",
    "prev_hash", "hash",
)  # fmt: skip
TOPICS = {SCHEMAS[topic.writer]: topic.name for topic in (topics.DEPOSIT, topics.TRANSFER, topics.PAYOUT)}


class Fact(NamedTuple):
    """An event of another service, as it is stored."""

    schema: str
    event: Any
    row: tuple[Any, ...]
    cause: Cause


@dataclass
class Stream:
    """Of another service; gives each event its place in the chain."""

    schema: str
    stream_id: UUID
    transfer_id: UUID
    version: int = 0
    hash: bytes = GENESIS

    def say(self, event: Any, at: datetime) -> Fact:
        """The next event."""
        self.version += 1
        event_id, meta = uuid4(), encode(Meta("corridor", "test", self.transfer_id))
        data, kind = encode_event(event), event.type
        made = chain_hash(self.hash, self.stream_id.bytes, self.version, event_id.bytes, kind, instant(at), meta, data)
        row = (
            self.stream_id, self.version, event_id, kind, schema_version(kind), self.transfer_id, data, meta, at,
            self.hash, made,
        )  # fmt: skip
        self.hash = made
        cause = Cause(event_id, kind, self.stream_id, self.version, "corridor", self.transfer_id, at)
        return Fact(self.schema, event, row, cause)


def story(number: int) -> Iterator[Fact]:
    """A transfer from its opening to its payout: five facts, four entries, twelve postings."""
    at = BEGAN + timedelta(seconds=number)
    transfer_id, customer_id = uuid4(), CUSTOMERS[number % len(CUSTOMERS)]
    rate = Rate(GBP, ETB, RateText("72.4531"), "sandbox", at)
    send, fee, spread = Money(10_000 + number % 977, GBP), Money(150, GBP), Money(50, GBP)
    converted = send - fee - spread
    receive = rate.convert(converted)
    transfer = Stream("transfer", transfer_id, transfer_id)
    route_id, payout_id, sealed = uuid4(), uuid4(), Sealed(subject=uuid4(), key_version=1, box="00")
    yield transfer.say(
        TransferOpened(
            transfer_id=transfer_id, customer_id=customer_id, quote_id=uuid4(), corridor="GB-ET", sender_id=uuid4(),
            receiver_id=uuid4(), route_id=route_id, route="RF18539007547034", send=send, fee=fee, spread=spread,
            converted=converted, receive=receive, rate=rate, tolerance=Money(0, GBP), rail="bank", partner="payer",
            creditor_name=sealed, creditor_account=sealed, opened_at=at, funding_deadline=at,
        ), at,
    )  # fmt: skip
    yield Stream("deposit", route_id, transfer_id).say(
        DepositObserved(
            route_id=route_id, route="RF18539007547034", transfer_id=transfer_id, arrival_id=uuid4(),
            partner="collector", reference=f"FPS-{number}", amount=send, booked_at=at, observed_at=at,
        ), at,
    )  # fmt: skip
    yield transfer.say(
        FundingConfirmed(
            transfer_id=transfer_id, customer_id=customer_id, route_id=route_id, received=send, send=send,
            receive=receive, rail="bank", partner="payer", creditor_name=sealed, creditor_account=sealed,
            confirmed_at=at,
        ), at,
    )  # fmt: skip
    yield transfer.say(
        PayoutInitiated(
            transfer_id=transfer_id, customer_id=customer_id, payout_id=payout_id, send=send, fee=fee, spread=spread,
            converted=converted, receive=receive, initiated_at=at,
        ), at,
    )  # fmt: skip
    yield Stream("payout", payout_id, transfer_id).say(
        PayoutConfirmed(
            payout_id=payout_id, transfer_id=transfer_id, customer_id=customer_id, amount=receive, partner="payer",
            partner_reference=f"ET-{number}", settled_at=at, confirmed_at=at,
        ), at,
    )  # fmt: skip


CURSOR = """
    INSERT INTO stream_cursor (stream_id, consumer, source, last_version, last_hash)
    SELECT stream_id, 'ledger', source, version, ''::bytea
    FROM unnest($1::uuid[], $2::text[], $3::int[]) AS r(stream_id, source, version)
    ON CONFLICT (stream_id, consumer, source) DO UPDATE
    SET last_version = greatest(stream_cursor.last_version, excluded.last_version)"""


HEAD = """
    INSERT INTO stream_state (stream_id, tenant, category, record_key, version, hash, stage, state, fold)
    VALUES ($1, 'corridor', 'entry', $1, $2, $3, '', '', 1)
    ON CONFLICT (stream_id) DO UPDATE SET version = excluded.version, hash = excluded.hash"""
ENTRY = """
    INSERT INTO entry (entry_seq, entry_id, cause_id, kind, transfer_id, caused_at, posted_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)"""
MOVE = "UPDATE balance SET debit_minor = debit_minor + $2, credit_minor = credit_minor + $3 WHERE account_id = $1"
BALANCES_AT = """
    INSERT INTO balance_at
    SELECT account_id, $1, coalesce(sum(amount_minor) FILTER (WHERE side = 'debit'), 0),
           coalesce(sum(amount_minor) FILTER (WHERE side = 'credit'), 0)
    FROM posting WHERE entry_seq <= $1 GROUP BY account_id HAVING max(entry_seq) >= $2"""
BLOCK_STREAM = derive("blocks")


@dataclass
class Books:
    """One database: the stores of those who tell facts, and the ledger's."""

    dsn: str  # a superuser's
    told: int = 0
    facts: list[Fact] = field(default_factory=list)  # that the ledger has taken

    def __post_init__(self) -> None:
        self.store = PostgresStore(connector(self.dsn, "ledger", "test books"), PARTS, read_standings)
        self.engine = Engine(
            self.store, handlers.deciders(), topics.LEDGER.name, new_id,
            also_of=dict.fromkeys(BOOKED, writer(account_kind)),
            moved=lambda event, look: standings_after(event, look) if isinstance(event, BOOKED) else {},
        )  # fmt: skip

    @property
    def oncall(self) -> str:
        """The DSN of the on-call's role, which only reads."""
        parts = urlsplit(self.dsn)
        place = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{ONCALL}:{PASSWORD}@{place}"))

    async def tell(self, stories: int) -> list[Fact]:
        """What happened, as the other services have it. The ledger has not heard of it."""
        facts = [fact for number in range(stories) for fact in story(self.told + number)]
        self.told += stories
        async with self.session() as session:
            for schema in TOPICS:
                rows = [fact.row for fact in facts if fact.schema == schema]
                await session.copy_records_to_table("event", schema_name=schema, columns=COLUMNS, records=rows)
        return facts

    async def hear(self, facts: Sequence[Fact], *, size: int = 500) -> None:
        """The ledger takes them, in batches."""
        for batch in _batched(facts, size):
            await self.ask([unit for fact in batch if (unit := _unit(fact))])
            newest = [(each.cause.stream_id, TOPICS[each.schema], each.cause.version) for each in _newest(batch)]
            async with self.session() as session:
                await session.execute(CURSOR, *map(list, zip(*newest, strict=True)))
        self.facts += facts

    async def ask(self, units: Sequence[Unit]) -> None:
        """Of the ledger's engine; nothing may be refused."""
        for outcome in await self.engine.run(Units(units)):
            assert outcome.error is None, outcome.error
            assert outcome.refusal is None, outcome.refusal

    async def grow(self, stories: int) -> list[Fact]:
        """Told and heard."""
        facts = await self.tell(stories)
        await self.hear(facts)
        return facts

    async def say(self, stream_id: UUID, event: Any) -> None:
        """An event of the ledger, written past the engine, with its hash: what is forged well."""
        async with self.session() as session:
            head = await session.fetchrow(
                "SELECT version, hash FROM event WHERE stream_id = $1 ORDER BY version DESC LIMIT 1", stream_id
            )
            stream = Stream("ledger", stream_id, stream_id, *(head or ()))
            row = stream.say(event, BEGAN).row
            await session.copy_records_to_table("event", columns=COLUMNS, records=[row])
            await session.execute(HEAD, stream_id, stream.version, stream.hash)

    async def book(self, posted: Any) -> None:
        """The rows of an entry, written past the engine; balances and head follow."""
        write = Write("")
        writer(account_kind)(posted, write)
        async with self.session() as session:
            seq = await session.fetchval("UPDATE book_head SET entry_seq = entry_seq + 1 RETURNING entry_seq")
            await session.execute(ENTRY, seq, *write.rows["entry"][0])
            for _, *line in write.rows["posting"]:
                await session.execute("INSERT INTO posting VALUES ($2, $3, $4, $5, $6, $1)", seq, *line)
            for account, _, debit, credit, _ in write.rows["balance"]:
                await session.execute(MOVE, account, debit, credit)

    async def settle(self, up_to: int) -> None:
        """Close the next block, as the ledger's watch does."""
        async with self.session() as session:
            last = await session.fetchrow("SELECT number, seq_to, digest FROM block ORDER BY number DESC LIMIT 1")
            number, low, before = (last[0] + 1, last[1] + 1, last[2]) if last else (1, 1, BLOCK_GENESIS)
            entries = await session.fetch(SETTLED, low, up_to, up_to)
            lines = await session.fetch(LINES, [row[0] for row in entries])
            of = [booked_entry(row, [line[1:] for line in lines if line[0] == row[0]]) for row in entries]
            sums: Counter[tuple[str, str]] = Counter()
            for line in lines:
                sums[line[3], line[4]] += line[5]
            said = BlockClosed(
                number=number, seq_from=low, seq_to=up_to, entries=len(of), postings=len(lines),
                sums=tuple(
                    CurrencySums(currency=each, debit_minor=sums[each, "debit"], credit_minor=sums[each, "credit"])
                    for each in sorted({each for each, _ in sums})
                ),
                digest=digest(before, of).hex(), prev_digest=before.hex(), differences=0, closed_at=BEGAN,
            )  # fmt: skip
            both = {each.currency: [each.debit_minor, each.credit_minor] for each in said.sums}
            await session.execute(
                "INSERT INTO block VALUES ($1, $2, $3, $4, $5, $6::text::jsonb, $7, $8, $9)", number, low, up_to,
                said.entries, said.postings, json.dumps(both), bytes.fromhex(said.digest), before, BEGAN,
            )  # fmt: skip
            await session.execute(BALANCES_AT, up_to, low)
        await self.say(BLOCK_STREAM, said)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        """A superuser's, in the ledger's schema, whom no trigger stops."""
        settings = {"search_path": "ledger", "session_replication_role": "replica"}
        session = await asyncpg.connect(self.dsn, server_settings=settings)
        try:
            yield session
        finally:
            await session.close()


def _unit(fact: Fact) -> Unit | None:
    handler = handlers.CONSUMES.get(type(fact.event))
    asks = handler(fact.event, fact.cause) if handler else ()
    meta = Meta("corridor", "ledger-1", fact.cause.correlation_id, fact.cause.event_id)
    return Unit(asks, meta) if asks else None


def _newest(facts: Sequence[Fact]) -> list[Fact]:
    """The last of each stream."""
    return list({fact.cause.stream_id: fact for fact in facts}.values())


def _batched(facts: Sequence[Fact], size: int) -> Iterator[Sequence[Fact]]:
    return (facts[at : at + size] for at in range(0, len(facts), size))


@asynccontextmanager
async def books(dsn: str) -> AsyncIterator[Books]:
    """With a password for the on-call's role. The database is the caller's own."""
    await until(lambda: _let_in(dsn))
    found = Books(dsn)
    try:
        yield found
    finally:
        await found.store.drop()


async def _let_in(dsn: str) -> bool:
    """Roles belong to the cluster, where another test may be at it: then try again."""
    connection = await asyncpg.connect(dsn)
    with suppress(asyncpg.InternalServerError):  # tuple concurrently updated
        await connection.execute(f"ALTER ROLE {ONCALL} LOGIN PASSWORD '{PASSWORD}'")
        await connection.close()
        return True
    await connection.close()
    return False
