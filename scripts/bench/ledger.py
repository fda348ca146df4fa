"""Entries per second of the ledger: python -m scripts.bench.ledger, its plan on stdin.

Through the engine alone, on spread accounts and with one hot account in turns; beside them the floor, which is
hand-written SQL for the same lines with the same fsync; then through HTTP on the running ledger, with everything that
follows from an entry going on.
"""

import asyncio
import itertools
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import msgspec
import uvloop

from contracts.ledger.v1 import Posting, Side
from scripts import migrate
from scripts.bench import scratch
from scripts.bench.numbers import Figures, milliseconds
from scripts.bench.plan import LedgerPlan
from services.kernel.decider import Ask, Meta, Unit
from services.kernel.engine import Engine, Units
from services.kernel.event_store import PostgresStore, connector
from services.kernel.ids import derive, new_id
from services.kernel.money import Money, iso4217
from services.ledger.__main__ import service
from services.ledger.domain.entries import PostEntry

DATABASE = "bench_ledger"
GBP = iso4217("GBP")
BATCH, BATCHES, ROUNDS = 500, 8, 4  # of entries; a round is so many batches of each kind
ACCOUNTS = 10_000
HOT = "fx_position:GBP"
FLOOR_BATCH = 100
REQUEST_ENTRIES, REQUESTS_IN_FLIGHT = 250, 4
CLIENTS = 8
NOW = datetime(2026, 1, 1, tzinfo=UTC)
FLOOR = """
    CREATE TABLE floor_entry (entry_id uuid PRIMARY KEY, cause_id uuid NOT NULL, kind text NOT NULL,
                              posted_at timestamptz NOT NULL, UNIQUE (cause_id, kind));
    CREATE TABLE floor_posting (entry_id uuid NOT NULL, line smallint NOT NULL, account_id text NOT NULL,
                                currency text NOT NULL, side text NOT NULL, amount_minor bigint NOT NULL,
                                PRIMARY KEY (entry_id, line));
    CREATE TABLE floor_balance (account_id text PRIMARY KEY, debit_minor bigint NOT NULL,
                                credit_minor bigint NOT NULL)"""
FLOOR_WRITE = """
    WITH entries AS (
        INSERT INTO floor_entry SELECT *, 'bench', now() FROM unnest($1::uuid[], $2::uuid[])
    ), postings AS (
        INSERT INTO floor_posting
        SELECT e, l, a, 'GBP', s, m FROM unnest($3::uuid[], $4::smallint[], $5::text[], $6::text[], $7::bigint[])
            AS r(e, l, a, s, m))
    INSERT INTO floor_balance
    SELECT a, sum(CASE s WHEN 'debit' THEN m ELSE 0 END), sum(CASE s WHEN 'credit' THEN m ELSE 0 END)
    FROM unnest($5::text[], $6::text[], $7::bigint[]) AS r(a, s, m) GROUP BY a ORDER BY a
    ON CONFLICT (account_id) DO UPDATE
        SET debit_minor = floor_balance.debit_minor + excluded.debit_minor,
            credit_minor = floor_balance.credit_minor + excluded.credit_minor"""

Lines = tuple[Posting, ...]


def main() -> None:
    """The figures as JSON on stdout."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=LedgerPlan)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_measure(plan))) + b"\n")


async def _measure(plan: LedgerPlan) -> Figures:
    figures: Figures = {}
    async with scratch.database(plan.administrator, DATABASE) as dsn:
        await asyncio.to_thread(migrate.upgrade, dsn)
        figures |= await _alone(dsn)
    headers = {"authorization": f"Bearer {plan.token}"}
    async with aiohttp.ClientSession(plan.url, headers=headers) as client:
        figures |= await _bulk(client, plan.seconds)
        figures |= await _single(client, plan.seconds)
    return figures


# alone


def _lines(chance: random.Random, *, hot: bool) -> Lines:
    """Two to four lines; with `hot`, one of them always on the same account."""
    count = chance.randint(2, 4)
    accounts = [f"partner_float:p{number}:GBP" for number in chance.sample(range(ACCOUNTS), count)]
    if hot:
        accounts[0] = HOT
    parts = [chance.randint(1, 1000) for _ in range(count - 1)]
    sides: list[tuple[Side, int]] = [("credit", sum(parts)), *(("debit", part) for part in parts)]
    return tuple(
        Posting(account=account, side=side, amount=Money(minor, GBP))
        for account, (side, minor) in zip(accounts, sides, strict=True)
    )


def _unit(lines: Lines) -> Unit:
    cause = uuid4()
    entry_id = derive("entry", cause, "bench")
    command = PostEntry(
        entry_id=entry_id, kind="bench", cause_id=cause, transfer_id=None, lines=lines, caused_at=NOW
    )  # fmt: skip
    return Unit((Ask(entry_id, command),), Meta("corridor", "bench", entry_id))


async def _alone(dsn: str) -> Figures:
    """Spread, hot and the floor in turns, so that a slow moment of the machine is everybody's."""
    ledger = service()
    store = PostgresStore(connector(dsn, "ledger", "bench ledger"), ledger.parts, ledger.read_accounts)
    engine = Engine(store, ledger.deciders, ledger.topic, new_id, also_of=ledger.also_of, moved=ledger.moved)
    bare = await asyncpg.connect(dsn)
    await bare.execute(FLOOR)
    chance = random.Random(7)  # noqa: S311 - the same lines in every run
    spent = dict.fromkeys(("spread", "hot", "floor"), 0.0)
    await _engine(engine, chance, hot=False)  # makes the accounts
    await _floor(bare, chance)
    for _ in range(ROUNDS):
        spent["spread"] += await _engine(engine, chance, hot=False)
        spent["hot"] += await _engine(engine, chance, hot=True)
        spent["floor"] += await _floor(bare, chance)
    await bare.close()
    await store.drop()
    entries = BATCH * BATCHES * ROUNDS
    return {
        "ledger_entries_per_second_spread": entries / spent["spread"],
        "ledger_entries_per_second_hot": entries / spent["hot"],
        "ledger_hot_share": spent["spread"] / spent["hot"],
        "baseline_ledger_entries_per_second": entries / spent["floor"],
    }


async def _engine(engine: Engine, chance: random.Random, *, hot: bool) -> float:
    """Seconds for a round; what it posts is made before the clock starts."""
    batches = [[_unit(_lines(chance, hot=hot)) for _ in range(BATCH)] for _ in range(BATCHES)]
    began = time.perf_counter()
    for units in batches:
        outcomes = await engine.run(Units(units))
        assert all(outcome.events for outcome in outcomes), outcomes[0]
    return time.perf_counter() - began


async def _floor(bare: "asyncpg.Connection[Any]", chance: random.Random) -> float:
    """The same lines in batches of FLOOR_BATCH, a commit each."""
    batches = [
        _columns([_lines(chance, hot=False) for _ in range(FLOOR_BATCH)]) for _ in range(BATCH * BATCHES // FLOOR_BATCH)
    ]
    began = time.perf_counter()
    for columns in batches:
        await bare.execute(FLOOR_WRITE, *columns)
    return time.perf_counter() - began


def _columns(entries: Sequence[Lines]) -> list[list[Any]]:
    made = [(uuid4(), uuid4(), lines) for lines in entries]
    rows = [
        (entry_id, number, line.account, line.side, line.amount.minor)
        for entry_id, _, lines in made
        for number, line in enumerate(lines, start=1)
    ]
    heads: list[list[Any]] = [[entry_id for entry_id, _, _ in made], [cause_id for _, cause_id, _ in made]]
    return heads + [list(column) for column in zip(*rows, strict=True)]


# through HTTP


def _entry(chance: random.Random) -> dict[str, Any]:
    """Two lines, or five of which all but one are everybody's."""
    partner = f"p{chance.randrange(ACCOUNTS)}"
    if chance.random() < 0.5:
        amounts, kind = {"amount": 1_000}, "treasury.float_funded"
    else:
        amounts = {"position": 700, "fees": 200, "spread": 100, "over": 0, "swept": 1_000}
        kind = "treasury.swept"
    return {
        "kind": kind,
        "cause_id": str(uuid4()),
        "caused_at": "2026-01-01T00:00:00Z",
        "names": {"partner": partner},
        "amounts": {name: {"minor": minor, "currency": "GBP"} for name, minor in amounts.items()},
    }


def _bodies(count: int) -> Iterator[bytes]:
    """Requests of `count` entries; made before they are needed, and then again with other causes."""
    chance = random.Random(11)  # noqa: S311 - the same lines in every run
    while True:
        entries = [_entry(chance) for _ in range(count)]
        yield msgspec.json.encode({"entries": entries} if count > 1 else entries[0])


async def _post(client: aiohttp.ClientSession, path: str, body: bytes) -> bytes:
    headers = {"idempotency-key": str(uuid4()), "content-type": "application/json"}
    async with client.post(path, data=body, headers=headers) as answer:
        said = await answer.read()
        assert answer.status in {200, 201}, f"{answer.status} {said[:300]!r}"
        return said


async def _bulk(client: aiohttp.ClientSession, seconds: float) -> Figures:
    bodies = _bodies(REQUEST_ENTRIES)

    async def request() -> int:
        said = await _post(client, "/v1/ledger/entries/batch", next(bodies))
        assert said.count(b'"status":201') == REQUEST_ENTRIES, said[:300]
        return REQUEST_ENTRIES

    entries, elapsed, _ = await _drive(request, REQUESTS_IN_FLIGHT, seconds)
    return {"ledger_entries_per_second_http": entries / elapsed}


async def _single(client: aiohttp.ClientSession, seconds: float) -> Figures:
    bodies = _bodies(1)

    async def request() -> int:
        await _post(client, "/v1/ledger/entries", next(bodies))
        return 1

    entries, elapsed, took = await _drive(request, CLIENTS, seconds)
    return {"ledger_entries_per_second_http_single": entries / elapsed} | milliseconds("ledger_entry", took)


async def _drive(request: Callable[[], Awaitable[int]], clients: int, seconds: float) -> tuple[int, float, list[float]]:
    """So many clients, each with one request at a time: entries, seconds, and what each request took."""
    took: list[float] = []
    began = time.perf_counter()

    async def client() -> int:
        done = 0
        while time.perf_counter() - began < seconds:
            at = time.perf_counter()
            done += await request()
            took.append(time.perf_counter() - at)
        return done

    done = await asyncio.gather(*itertools.starmap(client, [()] * clients))
    return sum(done), time.perf_counter() - began, took


if __name__ == "__main__":
    main()
