"""The read tables of reconciliation, filled by their own projections from the events of transfers that went well; the
ledger's by the ledger's own posting table. And the partners' book, in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg

import contracts.deposit.v1 as deposit
import contracts.payout.v1 as payout
import contracts.transfer.v1 as transfer
from contracts.deposit.routes import route_id
from contracts.ledger.v1 import EntryPosted
from scripts.contracts.golden import BY_CLASS
from services.kernel.decider import Cause, Meta
from services.kernel.engine import Engine
from services.kernel.event_store import PostgresStore, connector
from services.kernel.group_commit import GroupCommit
from services.kernel.ids import derive, new_id
from services.kernel.projector import Projection
from services.ledger import handlers as ledger
from services.reconciliation import handlers
from services.reconciliation.domain.runs import StartRun
from services.reconciliation.handlers.comparison import TOPICS, Rules
from services.reconciliation.handlers.conductor import Conductor
from services.reconciliation.ports import BookUnavailable, Collected, Page, Paid
from services.reconciliation.projections import bookings, deposits, found, payouts, transfers

TENANT = "corridor"
PROJECTIONS = {
    TOPICS[0]: transfers.PROJECTION,
    TOPICS[1]: deposits.PROJECTION,
    TOPICS[2]: payouts.PROJECTION,
    TOPICS[3]: bookings.PROJECTION,
}
RULES = Rules(
    grace=timedelta(seconds=30), provider_grace=timedelta(seconds=600), quiet=timedelta(seconds=120),
    catch_up_seconds=1,
)  # fmt: skip
LEDGER = ledger.decider()


@dataclass
class Book:
    """The partners' book. `away`: it does not answer; `hold`: called between its pages."""

    paid: dict[str, Paid] = field(default_factory=dict)
    collected: dict[str, Collected] = field(default_factory=dict)
    away: bool = False
    page_entries: int = 100
    hold: Any = None

    async def pages(self) -> AsyncIterator[Page]:
        """All of it."""
        if self.away:
            raise BookUnavailable("HTTP 503")
        entries: list[Paid | Collected] = sorted([*self.paid.values(), *self.collected.values()], key=lambda e: e.seq)
        parts = [entries[at : at + self.page_entries] for at in range(0, len(entries), self.page_entries)] or [[]]
        since = 0
        for number, part in enumerate(parts, start=1):
            if self.hold:
                await self.hold()
            until = part[-1].seq if part else 0
            yield Page(
                since=since, until=until, last=number == len(parts),
                paid=tuple(each for each in part if isinstance(each, Paid)),
                collected=tuple(each for each in part if isinstance(each, Collected)),
            )  # fmt: skip
            since = until


@dataclass
class Ends:
    """Where the topics are said to end."""

    at: dict[tuple[str, int], int] = field(default_factory=dict)

    async def ends(self, topics: Sequence[str]) -> Mapping[tuple[str, int], int]:
        """As it was set."""
        return self.at


def story(salt: UUID, number: int, at: datetime, *, ago: timedelta) -> list[Any]:
    """The events of a transfer that went well, a second apart, the last `ago` before `at`."""
    one = derive("transfer", salt, number)
    route = route_id(TENANT, f"RF{one}")
    ids = {"transfer_id": one, "route_id": route, "payout_id": derive("payout", one, 1), "quote_id": derive("q", one)}
    kinds = (
        (transfer.TransferOpened, "opened_at"), (deposit.DepositObserved, "observed_at"),
        (deposit.DepositConfirmed, "confirmed_at"), (transfer.FundingConfirmed, "confirmed_at"),
        (payout.PayoutRequested, "requested_at"), (payout.PayoutSubmitting, "submitting_at"),
        (payout.PayoutSent, "sent_at"), (transfer.PayoutInitiated, "initiated_at"),
        (payout.PayoutConfirmed, "confirmed_at"), (transfer.PayoutCompleted, "completed_at"),
    )  # fmt: skip
    events = []
    for back, (kind, time) in enumerate(reversed(kinds)):
        event = BY_CLASS[kind]
        known = {name: value for name, value in ids.items() if hasattr(event, name)}
        events.append(replace(event, **known, **{time: at - ago - timedelta(seconds=back)}))
    return events[::-1]


def entries(events: Iterable[Any]) -> list[EntryPosted]:
    """What the ledger posts of them."""
    posted: list[EntryPosted] = []
    for number, event in enumerate(events):
        if (handler := ledger.CONSUMES.get(type(event))) is None:
            continue
        at = next(getattr(event, n) for n in ("observed_at", "initiated_at", "confirmed_at") if hasattr(event, n))
        cause = Cause(derive("event", number, repr(event)), event.type, UUID(int=1), 1, TENANT, UUID(int=1), at)
        for ask in handler(event, cause):
            posted += LEDGER.decide(None, ask.command, at)
    return posted


class World:
    """One database, with whoever runs in it."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.book = Book()
        self.ends = Ends()
        self.now = datetime.now(UTC)
        self._seq = 0
        self._salt = new_id()  # an issue of an earlier test is not the same

    async def sql(self, text: str, *values: Any) -> list[Any]:
        """As the owner of everything."""
        connection = await asyncpg.connect(self.dsn, server_settings={"search_path": "recon"})
        try:
            return list(await connection.fetch(text, *values))
        finally:
            await connection.close()

    async def clear(self) -> None:
        """As on the first day, but for the events of runs and issues that have been."""
        await self.sql(
            "TRUNCATE transfers_v1, deposits_v1, payouts_v1, bookings_v1, provider_payment, provider_deposit, "
            "consumer_offset, stream_cursor, reconciliation_run, reconciliation_issue"
        )

    async def say(self, *events: Any) -> None:
        """Fold these events into the read tables, as the projectors do."""
        for projection in PROJECTIONS.values():
            rows: dict[UUID, Any] = {}
            for event in events:
                if isinstance(event, projection.wanted):
                    key = projection.key(event)
                    rows[key] = projection.evolve(rows.get(key), event)
            await self._put(projection, rows)

    async def _put(self, projection: Projection, rows: Mapping[UUID, Any]) -> None:
        names = [name for name, _ in projection.columns()]
        holes = ", ".join(f"${number}" for number in range(1, len(names) + 1))
        insert = f"INSERT INTO {projection.table(1)} VALUES ({holes})"  # noqa: S608 - our own names
        connection = await asyncpg.connect(self.dsn, server_settings={"search_path": "recon"})
        try:
            await connection.executemany(
                insert, [(key, *(getattr(row, name) for name in names[1:])) for key, row in rows.items()]
            )
        finally:
            await connection.close()

    async def paid_out(self, count: int, *, first: int = 1, ago: timedelta = timedelta(hours=1)) -> list[UUID]:
        """So many transfers that went well, in all books, partners' too."""
        told: list[Any] = []
        for number in range(first, first + count):
            events = story(self._salt, number, self.now, ago=ago)
            told += [*events, *entries(events)]
            self._partners(number, events)
        await self.say(*told)
        return [each.transfer_id for each in told if isinstance(each, transfer.TransferOpened)]

    def _partners(self, number: int, events: Sequence[Any]) -> None:
        seen = next(each for each in events if isinstance(each, deposit.DepositObserved))
        done = next(each for each in events if isinstance(each, payout.PayoutConfirmed))
        self._seq += 2
        self.book.collected[f"DEP{number}"] = Collected(
            seq=self._seq - 1, partner=seen.partner, reference=f"DEP{number}", route_id=seen.route_id,
            amount_minor=seen.amount.minor, currency=seen.amount.currency, booked_at=seen.observed_at,
        )  # fmt: skip
        self.book.paid[str(done.payout_id)] = Paid(
            seq=self._seq, payment_id=str(done.payout_id), transfer_id=done.transfer_id,
            amount_minor=done.amount.minor, currency=done.amount.currency, status="ACSC",
            accepted_at=done.confirmed_at, settled_at=done.confirmed_at,
        )  # fmt: skip

    @asynccontextmanager
    async def conductor(self, rules: Rules = RULES) -> AsyncIterator[tuple[Conductor, GroupCommit, PostgresStore]]:
        """As one process would have it."""
        stores = [PostgresStore(connector(self.dsn, "recon", f"test {n}"), found.PARTS) for n in range(3)]
        deciders = (handlers.run_decider(), handlers.issue_decider())
        http, issues = (
            Engine(store, deciders, "corridor.recon.events.v1", new_id, also_of=found.ALSO_OF) for store in stores[:2]
        )
        commands = GroupCommit(http)
        running = asyncio.create_task(commands.run())
        try:
            yield (
                Conductor(
                    connector(self.dsn, "recon", "test run"), commands, issues, self.book, self.ends, rules,
                    actor="service:reconciliation", service="reconciliation", epoch=1,
                ),
                commands,
                stores[2],
            )  # fmt: skip
        finally:
            running.cancel()
            for store in stores:
                await store.drop()


META = Meta(TENANT, "olga", UUID(int=9), None, "daily reconciliation")


def wish() -> StartRun:
    return StartRun(run_id=uuid4(), trigger="request", requested_by="olga", reason="daily reconciliation")


async def run(conductor: Conductor) -> UUID:
    """Begin one and wait for its end."""
    asked = wish()
    _, task = await conductor.start(asked, META)
    await task
    return asked.run_id


async def ran(world: World) -> Any:
    """A run of a process of its own."""
    async with world.conductor() as (conductor, _, reads):
        row = await found.run(reads, await run(conductor))
        assert row is not None
        return row


async def issues(world: World) -> list[tuple[Any, ...]]:
    rows = await world.sql(
        "SELECT code, transfer_id, expected_minor, actual_minor FROM reconciliation_issue WHERE cleared_at IS NULL "
        "ORDER BY seq"
    )
    return [tuple(row) for row in rows]


async def booked(world: World, transfer: UUID, change: Callable[[dict[str, Any]], object]) -> None:
    row = (await world.sql("SELECT booked FROM bookings_v1 WHERE booking_id = $1", transfer))[0]
    lines = json.loads(row[0])
    change(lines)
    await world.sql("UPDATE bookings_v1 SET booked = $2 WHERE booking_id = $1", transfer, json.dumps(lines).encode())


def payment_of(world: World, transfer: UUID) -> Paid:
    return next(each for each in world.book.paid.values() if each.transfer_id == transfer)


async def vanished_payment(world: World, transfer: UUID) -> None:
    world.book.paid.pop(payment_of(world, transfer).payment_id)
