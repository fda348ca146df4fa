"""The watch on a real PostgreSQL: what is settled stays settled, and whatever is changed by hand is found."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.ledger.v1 import CurrencyHalted, Difference
from services.kernel import metrics
from services.kernel.book import BookedEntry, BookedLine
from services.kernel.codec import EventCodec
from services.ledger.adapters.snapshot import snapshot
from services.ledger.domain.blocks import BLOCKS, GENESIS, digest
from services.ledger.domain.halts import Halted
from tests.integration.ledger.shop import Shop, deposit, fund, opened, post, some

ROOT = Path(__file__).parents[3]
ENTRY = "SELECT entry_seq, entry_id, cause_id, kind, transfer_id, caused_at, posted_at FROM entry ORDER BY entry_seq"
POSTING = "SELECT entry_seq, line, account_id, currency, side, amount_minor FROM posting ORDER BY entry_seq, line"
COLUMNS = ("line", "account_id", "currency", "side", "amount_minor")
HALTED = EventCodec((CurrencyHalted,))
BLOCK = "SELECT number, seq_from, seq_to, entries, postings, digest, prev_digest FROM block ORDER BY number"


@pytest.fixture
async def shop(new_database: Callable[[], str]) -> AsyncIterator[Shop]:
    async with opened(new_database()) as found:
        yield found


async def booked(shop: Shop) -> list[BookedEntry]:
    """All entries, read another way."""
    lines: dict[int, list[BookedLine]] = {}
    for number, *line in await shop.rows(POSTING):
        lines.setdefault(number, []).append(BookedLine(**dict(zip(COLUMNS, line, strict=True))))
    return [
        BookedEntry(entry_id=e, cause_id=c, kind=k, transfer_id=t, caused_at=a, posted_at=p, entry_seq=n,
                    lines=tuple(lines[n]))
        for n, e, c, k, t, a, p in await shop.rows(ENTRY)
    ]  # fmt: skip


async def differences(shop: Shop) -> dict[str, tuple[Difference, ...]]:
    """What has halted each currency, of all its events."""
    rows = await shop.rows("SELECT data FROM event WHERE event_type LIKE '%currency_halted%' ORDER BY global_seq")
    found: dict[str, tuple[Difference, ...]] = {}
    for (data,) in rows:
        event = HALTED.decode(CurrencyHalted.type, data)
        found[event.currency] = found.get(event.currency, ()) + event.differences
    return found


def counted(currency: str) -> float:
    return float(metrics.LEDGER_IMBALANCE.labels(currency)._value.get())


# blocks


async def test_blocks_follow_each_other_and_cover_every_entry(shop: Shop) -> None:
    engine, watch = shop.engine(), shop.watch()
    await post(engine, some(30))
    await watch.turn()
    await post(engine, some(10, seed=2))
    await watch.turn()
    blocks, entries = await shop.rows(BLOCK), await booked(shop)
    assert [row[:4] for row in blocks] == [(1, 1, 60, 60), (2, 61, 80, 20)]
    first = digest(GENESIS, entries[:60])
    assert [row[5] for row in blocks] == [first, digest(first, entries[60:])]
    assert [row[6] for row in blocks] == [GENESIS, first]
    assert [row[4] for row in blocks] == [120, 40]


async def test_a_block_is_said_by_an_event_in_the_chain_of_its_stream(shop: Shop) -> None:
    engine, watch = shop.engine(), shop.watch()
    for seed in range(3):
        await post(engine, some(2, seed))
        await watch.turn()
    rows = await shop.rows(
        "SELECT version, encode(digest, 'hex') FROM event JOIN block ON number = version WHERE stream_id = $1 "
        "AND position(('\"digest\":\"' || encode(digest, 'hex'))::bytea IN data) > 0 ORDER BY 1",
        BLOCKS,
    )
    assert [row[0] for row in rows] == [1, 2, 3]


async def test_balances_are_noted_as_of_the_end_of_each_block(shop: Shop) -> None:
    engine, watch = shop.engine(), shop.watch()
    await post(engine, [deposit(500), deposit(70)])
    await watch.turn()
    await post(engine, [fund(500)])
    await watch.turn()
    rows = await shop.rows("SELECT account_id, entry_seq, debit_minor, credit_minor FROM balance_at ORDER BY 2, 1")
    assert rows == [
        ("safeguarding:bank:GBP", 2, 570, 0), ("suspense:deposits:GBP", 2, 0, 570),
        ("customer:c:held:GBP", 3, 0, 500), ("suspense:deposits:GBP", 3, 500, 570),
    ]  # fmt: skip


async def test_a_block_waits_for_entries_or_for_time(shop: Shop) -> None:
    engine, watch = shop.engine(), shop.watch(entries=10, seconds=30)
    await post(engine, some(2))
    await watch.turn()
    assert await shop.rows(BLOCK) == []
    shop.clock.now += 29
    await watch.turn()
    assert await shop.rows(BLOCK) == []
    shop.clock.now += 1
    await watch.turn()
    assert len(await shop.rows(BLOCK)) == 1
    await post(engine, some(5))
    await watch.turn()
    assert len(await shop.rows(BLOCK)) == 2
    await watch.turn()
    shop.clock.now += 60
    await watch.turn()
    assert len(await shop.rows(BLOCK)) == 2


async def test_much_is_settled_in_blocks_of_a_bounded_size(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.ledger.adapters.watch.BLOCK_ENTRIES_MAX", 7)
    monkeypatch.setattr("services.ledger.adapters.snapshot.PAGE", 3)
    await post(shop.engine(), some(10))
    await shop.watch().turn()
    blocks, entries = await shop.rows(BLOCK), await booked(shop)
    assert [row[1:4] for row in blocks] == [(1, 7, 7), (8, 14, 7), (15, 20, 6)]
    assert blocks[0][5] == digest(GENESIS, entries[:7])
    assert await differences(shop) == {}


async def test_two_processes_close_each_block_once_while_money_moves(shop: Shop) -> None:
    watches = [shop.watch() for _ in range(3)]
    engines = [shop.engine() for _ in range(2)]
    over = asyncio.Event()

    async def work(number: int) -> None:
        for round_ in range(12):
            await post(engines[number], some(8, seed=100 * number + round_))

    async def look(number: int) -> None:
        while not over.is_set():
            shop.clock.now += 31
            await watches[number].turn()
            await asyncio.sleep(0)

    looking = [asyncio.create_task(look(number)) for number in range(3)]
    await asyncio.gather(work(0), work(1))
    over.set()
    await asyncio.gather(*looking)
    await watches[0].turn()
    blocks, entries = await shop.rows(BLOCK), await booked(shop)
    assert len(entries) == 2 * 12 * 16
    assert [row[0] for row in blocks] == list(range(1, len(blocks) + 1))
    before, running = 0, GENESIS
    for _, seq_from, seq_to, count, _, said, _ in blocks:
        assert (seq_from, count) == (before + 1, seq_to - before)
        running = digest(running, entries[seq_from - 1 : seq_to])
        assert said == running
        before = seq_to
    assert before == len(entries)
    assert await differences(shop) == {}


DYING = """
import asyncio, os, signal, sys
from services.kernel.event_store import PostgresTransaction
from tests.integration.ledger.shop import Shop

write = PostgresTransaction.write

async def dying(self, rows):
    if sys.argv[2] == "after":
        await write(self, rows)
    os.kill(os.getpid(), signal.SIGKILL)

PostgresTransaction.write = dying
asyncio.run(Shop(sys.argv[1]).watch().close())
"""


@pytest.mark.parametrize(("when", "blocks"), [("before", 0), ("after", 1)])
async def test_a_process_that_is_killed_while_it_closes_leaves_all_of_the_block_or_nothing(
    shop: Shop, when: str, blocks: int
) -> None:
    await post(shop.engine(), some(20))
    died = await asyncio.create_subprocess_exec(sys.executable, "-c", DYING, shop.dsn, when, cwd=ROOT)
    assert await asyncio.wait_for(died.wait(), 60) == -signal.SIGKILL
    noted = "SELECT count(*) > 0 FROM balance_at"
    assert (len(await shop.rows(BLOCK)), await shop.rows(noted)) == (blocks, [(blocks == 1,)])
    await shop.watch().turn()
    (block,), entries = await shop.rows(BLOCK), await booked(shop)
    assert block[:4] == (1, 1, 40, 40)
    assert block[5] == digest(GENESIS, entries)
    assert await differences(shop) == {}


# tampering: (what is done, the check that says so, in which currencies)

GBP, BOTH = {"GBP"}, {"GBP", "ETB"}
CONTENT = "UPDATE posting SET amount_minor = amount_minor + 1 WHERE entry_seq = {n} AND line = 1"
PAIR = "UPDATE posting SET amount_minor = amount_minor + 1 WHERE entry_seq = {n}"
SWAP = "UPDATE posting SET account_id = 'revenue:fees:GBP' WHERE entry_seq = {n} AND line = 2"
SIDES = "UPDATE posting SET side = CASE side WHEN 'debit' THEN 'credit' ELSE 'debit' END WHERE entry_seq = {n}"
DELETE = "DELETE FROM posting WHERE entry_seq = {n}; DELETE FROM entry WHERE entry_seq = {n}"
EARLIER = "DELETE FROM posting WHERE entry_seq = 2; DELETE FROM entry WHERE entry_seq = 2"
LINE = "DELETE FROM posting WHERE entry_seq = {n} AND line = 2"
KIND = "UPDATE entry SET kind = 'deposit.reversed', transfer_id = NULL WHERE entry_seq = {n}"
BALANCE = "UPDATE balance SET credit_minor = credit_minor + 5 WHERE account_id = 'suspense:deposits:GBP'"
OPPOSITE = """UPDATE balance SET credit_minor = credit_minor + 5 WHERE account_id = 'suspense:deposits:GBP';
              UPDATE balance SET debit_minor = debit_minor + 5 WHERE account_id = 'safeguarding:bank:GBP'"""
ACROSS = """UPDATE balance SET debit_minor = debit_minor + 5 WHERE account_id = 'safeguarding:bank:GBP';
            UPDATE balance SET credit_minor = credit_minor + 5 WHERE account_id = 'suspense:deposits:ETB'"""
MADE = """UPDATE book_head SET entry_seq = entry_seq + 1;
          INSERT INTO entry (entry_seq, entry_id, cause_id, kind, transfer_id, caused_at, posted_at)
          SELECT entry_seq, gen_random_uuid(), gen_random_uuid(), 'deposit.observed', NULL, now(), now() FROM book_head;
          INSERT INTO posting (entry_seq, line, account_id, currency, side, amount_minor)
          SELECT entry_seq, 1, 'safeguarding:bank:GBP', 'GBP', 'debit', 9 FROM book_head UNION ALL
          SELECT entry_seq, 2, 'suspense:deposits:GBP', 'GBP', 'credit', 9 FROM book_head;
          UPDATE balance SET debit_minor = debit_minor + 9 WHERE account_id = 'safeguarding:bank:GBP';
          UPDATE balance SET credit_minor = credit_minor + 9 WHERE account_id = 'suspense:deposits:GBP'"""
TWICE = """ALTER TABLE entry DROP CONSTRAINT entry_cause_id_kind_key;
           UPDATE entry e SET cause_id = o.cause_id, kind = o.kind FROM entry o
           WHERE e.entry_seq = {n} AND o.entry_seq = 1"""
HEAD = "UPDATE book_head SET entry_seq = entry_seq - 1"
ORPHAN = """INSERT INTO posting (entry_seq, line, account_id, currency, side, amount_minor)
            VALUES ({n}, 3, 'revenue:fees:GBP', 'GBP', 'credit', 4), ({n}, 4, 'loss:funding:GBP', 'GBP', 'debit', 4)"""
CHARTED = "UPDATE account SET protected = false, class = 'revenue' WHERE account_id = 'customer:c:held:GBP'"
NOTED = "UPDATE balance_at SET debit_minor = debit_minor + 3 WHERE account_id = 'safeguarding:bank:GBP'"
REHASH = """UPDATE block SET digest = decode(repeat('ab', 32), 'hex')"""
GONE = "DELETE FROM block"
FORGED = """UPDATE posting SET amount_minor = 71 WHERE amount_minor = 70;
            UPDATE balance SET debit_minor = 71 WHERE debit_minor = 70;
            UPDATE balance SET credit_minor = 71 WHERE credit_minor = 70;
            UPDATE balance_at SET debit_minor = 71 WHERE debit_minor = 70;
            UPDATE balance_at SET credit_minor = 71 WHERE credit_minor = 70;
            UPDATE event
            SET data = convert_to(replace(convert_from(data, 'UTF8'), '"minor":70', '"minor":71'), 'UTF8')"""
KINDS: list[Any] = [
    (CONTENT, "L1", GBP), (PAIR, "L10", GBP), (SWAP, "L10", GBP), (SIDES, "L10", GBP), (DELETE, "numbers", BOTH),
    (LINE, "L3", GBP), (KIND, "L10", GBP), (BALANCE, "L9", GBP), (OPPOSITE, "L9", GBP), (MADE, "L10", GBP),
    (TWICE, "L7", GBP), (HEAD, "numbers", BOTH), (EARLIER, "numbers", BOTH), (ORPHAN, "L10", GBP), (CHARTED, "L3", GBP),
]  # fmt: skip
IDS = [
    "amount", "both amounts", "account", "sides", "entry deleted", "line deleted", "kind of entry", "balance",
    "two balances", "entry made", "cause twice", "head", "earlier entry deleted", "lines added", "account's class",
]  # fmt: skip


@pytest.mark.parametrize("settled", [True, False], ids=["settled", "not settled yet"])
@pytest.mark.parametrize(("sql", "check", "currencies"), KINDS, ids=IDS)
async def test_what_a_superuser_changes_is_found_by_the_next_turn(
    shop: Shop, sql: str, check: str, currencies: set[str], settled: bool
) -> None:
    engine, watch = shop.engine(), shop.watch()
    await post(engine, [deposit(500), deposit(70, "ETB"), fund(400)])
    await watch.turn()
    assert await differences(shop) == {}
    counts = {name: counted(name) for name in BOTH}
    await post(engine, [deposit(11)])
    if settled:
        await watch.turn()
    await shop.tamper(sql.format(n=4))
    shop.clock.now += 31
    await watch.turn()
    found = await differences(shop)
    assert set(found) == currencies
    assert check in {each.check for each in found["GBP"]}
    assert isinstance(await shop.halt("GBP"), Halted)
    for name in BOTH:
        assert counted(name) - counts[name] == len(found.get(name, ()))
        assert watch.health()["halted_currencies"] == sorted(currencies)
    again = dict(found)
    for _ in range(3):
        shop.clock.now += 31
        await watch.turn()
    assert set(again) == set(await differences(shop))


KEPT: list[Any] = [(NOTED, "L9", GBP), (REHASH, "L6", BOTH), (GONE, "L6", BOTH), (FORGED, "L6", BOTH)]


@pytest.mark.parametrize(
    ("sql", "check", "currencies"), KEPT, ids=["noted balance", "digest", "row", "entry, event and balances alike"]
)
async def test_what_is_kept_of_settled_blocks_is_looked_at_again(
    shop: Shop, sql: str, check: str, currencies: set[str]
) -> None:
    engine, watch = shop.engine(), shop.watch()
    await post(engine, [deposit(500), deposit(70, "ETB"), fund(400)])
    await watch.turn()
    await shop.tamper(sql)
    shop.clock.now += 31
    await watch.turn()
    found = await differences(shop)
    assert set(found) == currencies
    assert {each.check for each in found["GBP"]} == {check}


async def test_a_journal_that_differs_is_named_and_counted_once(shop: Shop) -> None:
    engine, watch = shop.engine(), shop.watch()
    await post(engine, [deposit(500), deposit(70), deposit(30, "ETB")])
    await watch.turn()
    await shop.tamper("UPDATE posting SET amount_minor = amount_minor + 5 WHERE line = 1 AND entry_seq < 3")
    ids = {row[0] for row in await shop.rows("SELECT entry_id FROM entry WHERE entry_seq < 3")}
    for _ in range(4):
        shop.clock.now += 31
        await watch.turn()
    halt = await shop.halt("GBP")
    assert isinstance(halt, Halted)
    assert set(halt.journals) == ids
    events = await shop.rows("SELECT count(*) FROM event WHERE event_type LIKE '%currency_halted%'")
    assert events == [(1,)]


async def test_two_opposite_differences_that_add_up_to_nothing_are_two(shop: Shop) -> None:
    engine, watch = shop.engine(), shop.watch()
    await post(engine, [deposit(500), deposit(70, "ETB")])
    await watch.turn()
    before = counted("GBP"), counted("ETB")
    await shop.tamper(ACROSS)
    shop.clock.now += 3_100
    await watch.turn()
    found = await differences(shop)
    assert {name: {each.check for each in found[name]} for name in found} == {"GBP": {"L2", "L9"}, "ETB": {"L2", "L9"}}
    assert (counted("GBP") - before[0], counted("ETB") - before[1]) == (2, 2)


async def test_a_snapshot_is_for_one_process_at_a_time(shop: Shop) -> None:
    one, two = shop.watch(), shop.watch()
    async with snapshot(await one._session()) as mine, snapshot(await two._session()) as other:
        assert mine is not None
        assert other is None
