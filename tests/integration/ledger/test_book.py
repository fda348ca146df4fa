"""The books on a real PostgreSQL: one statement for a batch, and what the database itself refuses."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from contracts.ledger.v1 import EntryPosted, Posting, Side
from services.kernel import book
from services.kernel.event_store import PostgresStore, connector
from services.kernel.money import Money, iso4217
from services.kernel.store import Conflict, ContentRefused, Write
from services.ledger.domain.chart import CHART, account_kind

SQL = Path(__file__).parents[3] / "services/kernel/sql"
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
TRANSFER = UUID(int=1)
BANK, SUSPENSE, HELD = "safeguarding:bank:GBP", "suspense:deposits:GBP", "customer:c:held:GBP"
beside = book.writer(account_kind)


@pytest.fixture
async def schema(postgres_dsn: str) -> AsyncIterator[tuple[str, str]]:
    name = f"book_{uuid4().hex}"
    await run(postgres_dsn, f"CREATE SCHEMA {name}")
    await run(postgres_dsn, (SQL / "kernel.sql").read_text(), name)
    for file in ("book.sql", "books.sql"):
        await run(postgres_dsn, (SQL / file).read_text(), name)
    yield postgres_dsn, name
    await run(postgres_dsn, f"DROP SCHEMA {name} CASCADE")


@pytest.fixture
async def store(schema: tuple[str, str]) -> AsyncIterator[PostgresStore]:
    opened = lane(schema)
    yield opened
    await opened.drop()


def lane(schema: tuple[str, str]) -> PostgresStore:
    return PostgresStore(connector(*schema, "test_book"), book.PARTS)


async def run(dsn: str, sql: str, schema: str = "public") -> None:
    connection = await asyncpg.connect(dsn, server_settings={"search_path": schema})
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


def line(side: Side, account: str, minor: int) -> Posting:
    return Posting(account=account, side=side, amount=Money(minor, iso4217(account[-3:])))


def entry(*lines: Posting, kind: str = "deposit.observed", cause: UUID | None = None) -> EntryPosted:
    return EntryPosted(
        entry_id=uuid4(), kind=kind, cause_id=cause or uuid4(), transfer_id=TRANSFER, lines=lines, caused_at=AT,
        posted_at=AT,
    )  # fmt: skip


def deposit(minor: int = 500) -> EntryPosted:
    return entry(line("debit", BANK, minor), line("credit", SUSPENSE, minor))


def fund(minor: int = 500) -> EntryPosted:
    return entry(line("debit", SUSPENSE, minor), line("credit", HELD, minor), kind="transfer.funding_confirmed")


def use(minor: int = 500) -> EntryPosted:
    return entry(line("debit", HELD, minor), line("credit", "fx_position:GBP", minor), kind="transfer.payout_initiated")


async def post(store: PostgresStore, *entries: EntryPosted) -> None:
    write = Write("topic")
    for one in entries:
        beside(one, write)
    async with store.transaction() as transaction:
        await transaction.write(write)


async def balances(store: PostgresStore) -> dict[str, tuple[int, int]]:
    found = await book.trial_balance(store)
    return {one.account_id: (one.debit_minor, one.credit_minor) for one in found.accounts}


# one statement for a batch


async def test_accounts_entries_lines_and_balances_are_written_together(store: PostgresStore) -> None:
    await post(store, deposit(500), deposit(70), fund(500), use(500))
    assert await balances(store) == {
        "customer:c:held:GBP": (500, 500), "fx_position:GBP": (0, 500), "safeguarding:bank:GBP": (570, 0),
        "suspense:deposits:GBP": (500, 570),
    }  # fmt: skip
    assert await book.drift(store) == ()


async def test_the_next_batch_adds_to_the_balances(store: PostgresStore) -> None:
    await post(store, deposit(500))
    await post(store, deposit(70), fund(70))
    assert await balances(store) == {BANK: (570, 0), SUSPENSE: (70, 570), HELD: (0, 70)}


async def test_totals_of_each_currency_are_equal(store: PostgresStore) -> None:
    await post(store, deposit(), entry(line("debit", "fx_position:ETB", 9), line("credit", "payout_clearing:ETB", 9)))
    assert (await book.trial_balance(store)).totals == (
        book.Total(currency="ETB", debit_minor=9, credit_minor=9),
        book.Total(currency="GBP", debit_minor=500, credit_minor=500),
    )


async def test_a_protected_account_may_be_used_in_a_batch_of_its_own(store: PostgresStore) -> None:
    await post(store, fund(500))
    await post(store, use(500))
    assert (await balances(store))[HELD] == (500, 500)


async def test_an_account_is_shown_with_its_kind_and_balance(store: PostgresStore) -> None:
    await post(store, fund())
    assert await book.account(store, HELD) == book.Balance(
        account_id=HELD, currency="GBP", account_class="liability", protected=True, debit_minor=0, credit_minor=500,
        opened_at=AT,
    )  # fmt: skip
    assert await book.account(store, "customer:nobody:held:GBP") is None


async def test_the_entries_of_a_transfer_come_with_their_lines(store: PostgresStore) -> None:
    one, two = deposit(), fund()
    await post(store, one, two)
    found = {booked.entry_id: booked for booked in await book.entries(store, TRANSFER)}
    assert set(found) == {one.entry_id, two.entry_id}
    assert found[two.entry_id].lines == (
        book.BookedLine(line=1, account_id=SUSPENSE, currency="GBP", side="debit", amount_minor=500),
        book.BookedLine(line=2, account_id=HELD, currency="GBP", side="credit", amount_minor=500),
    )
    assert await book.entries(store, uuid4()) == ()


async def test_lanes_that_share_accounts_in_crossing_order_neither_deadlock_nor_lose_a_sum(
    schema: tuple[str, str],
) -> None:
    lanes = [lane(schema) for _ in range(4)]

    async def work(store: PostgresStore, *, forwards: bool) -> None:
        for _ in range(25):
            batch = (deposit(3), fund(2), use(1))
            await post(store, *(batch if forwards else reversed(batch)))

    await asyncio.gather(*[work(one, forwards=number % 2 == 0) for number, one in enumerate(lanes)])
    assert await balances(lanes[0]) == {
        BANK: (300, 0), SUSPENSE: (200, 300), HELD: (100, 200), "fx_position:GBP": (0, 100),
    }  # fmt: skip
    assert await book.drift(lanes[0]) == ()
    for one in lanes:
        await one.drop()


# what the database refuses, whatever the domain thought


async def refused(store: PostgresStore, *entries: EntryPosted) -> str:
    with pytest.raises(ContentRefused) as caught:
        await post(store, *entries)
    assert await balances(store) == {}
    return str(caught.value)[:5]


async def test_an_entry_that_does_not_balance(store: PostgresStore) -> None:
    wrong = entry(line("debit", BANK, 5), line("credit", SUSPENSE, 4))
    assert await refused(store, deposit(), wrong) == "CR004"


async def test_two_entries_that_only_balance_together(store: PostgresStore) -> None:
    ones = entry(line("debit", BANK, 5), line("credit", SUSPENSE, 4))
    others = entry(line("debit", BANK, 4), line("credit", SUSPENSE, 5))
    assert await refused(store, ones, others) == "CR004"


async def test_an_entry_that_balances_over_two_currencies_only(store: PostgresStore) -> None:
    wrong = entry(line("debit", BANK, 5), line("credit", "suspense:deposits:ETB", 5))
    assert await refused(store, wrong) == "CR004"


async def test_an_entry_without_lines(store: PostgresStore) -> None:
    assert await refused(store, entry()) == "CR004"


async def test_an_overdrawn_protected_account(store: PostgresStore) -> None:
    assert await refused(store, fund(500), use(501)) == "CR005"


async def test_a_new_protected_account_that_begins_with_a_debit(store: PostgresStore) -> None:
    assert await refused(store, use(1)) == "CR005"


async def test_an_existing_protected_account_that_is_used_once_too_often(store: PostgresStore) -> None:
    await post(store, fund(500))
    with pytest.raises(ContentRefused, match="CR005"):
        await post(store, use(501))
    assert (await balances(store))[HELD] == (0, 500)


async def test_the_same_cause_and_kind_twice(store: PostgresStore) -> None:
    cause = uuid4()
    lines = (line("debit", BANK, 5), line("credit", SUSPENSE, 5))
    await post(store, entry(*lines, cause=cause))
    with pytest.raises((Conflict, ContentRefused)):
        await post(store, entry(*lines, cause=cause))
    assert await balances(store) == {BANK: (5, 0), SUSPENSE: (0, 5)}
    await post(store, entry(*lines, cause=cause, kind="ledger.adjusted"))


TAMPERING = [
    "UPDATE account SET class = class",
    "UPDATE entry SET kind = kind",
    "UPDATE posting SET side = side",
    "DELETE FROM account",
    "DELETE FROM entry",
    "DELETE FROM posting",
    "DELETE FROM balance",
    "DELETE FROM chart",
    "DELETE FROM book_head",
    "UPDATE chart SET protected = false",
    "UPDATE book_head SET entry_seq = entry_seq - 1",
    "UPDATE balance SET debit_minor = debit_minor - 1 WHERE debit_minor > 0",
    "UPDATE balance SET protected = true WHERE credit_minor > 0",
    "UPDATE balance SET account_id = account_id || 'x'",
    "TRUNCATE account",
    "TRUNCATE entry",
    "TRUNCATE posting",
    "TRUNCATE balance",
    "TRUNCATE chart CASCADE",
    "TRUNCATE book_head",
]


@pytest.mark.parametrize("role", ["origin", "replica"])
@pytest.mark.parametrize("sql", TAMPERING)
async def test_what_was_booked_is_never_changed_not_even_by_the_superuser(
    schema: tuple[str, str], store: PostgresStore, sql: str, role: str
) -> None:
    await post(store, deposit())
    with pytest.raises(asyncpg.PostgresError) as caught:
        await run(schema[0], f"SET session_replication_role = {role}; {sql}", schema[1])
    assert caught.value.sqlstate == "CR003"


@pytest.mark.parametrize(
    ("entry_seq", "accounts", "currency"),
    [
        (1, (BANK,), "GBP"),
        (1, (BANK, "nobody:GBP"), "GBP"),
        (1, (BANK, SUSPENSE), "ETB"),
        (1, (BANK, SUSPENSE), "GBP"),
        (2, (BANK, SUSPENSE), "GBP"),
    ],
    ids=["one-sided", "no-account", "another-currency", "balanced", "no-entry"],
)
async def test_lines_are_not_slipped_in_by_hand(
    schema: tuple[str, str], store: PostgresStore, entry_seq: int, accounts: tuple[str, ...], currency: str
) -> None:
    await post(store, deposit())
    values = ", ".join(
        f"({entry_seq}, {number}, '{account}', '{currency}', '{side}', 1)"
        for number, (account, side) in enumerate(zip(accounts, ("debit", "credit"), strict=False), start=8)
    )
    insert = f"INSERT INTO posting (entry_seq, line, account_id, currency, side, amount_minor) VALUES {values}"  # noqa: S608 - ours
    with pytest.raises(asyncpg.PostgresError) as caught:
        await run(schema[0], insert, schema[1])
    assert caught.value.sqlstate == "CR004"


async def test_entries_are_numbered_without_gaps_in_the_order_of_their_commits(schema: tuple[str, str]) -> None:
    lanes = [lane(schema) for _ in range(4)]

    async def work(store: PostgresStore) -> None:
        for number in range(10):
            await post(store, deposit(number + 1), deposit(2))
            with pytest.raises(ContentRefused):  # what is rolled back takes no number
                await post(store, deposit(1), use(10**6))

    await asyncio.gather(*(work(store) for store in lanes))
    numbers = [row[0] for row in await lanes[0].fetch("SELECT entry_seq FROM entry ORDER BY 1")]
    assert numbers == list(range(1, 81))
    assert (await lanes[0].fetch("SELECT entry_seq FROM book_head"))[0][0] == 80
    for store in lanes:
        await store.drop()


@pytest.mark.parametrize(
    ("account_id", "currency", "kind", "klass", "protected"),
    [
        ("customer:c:held:GBP", "GBP", "customer", "liability", False),
        ("customer:c:held:GBP", "ETB", "customer", "liability", True),
        ("revenue:fees:GBP", "GBP", "customer", "liability", True),
        ("revenue:fees:GBP", "GBP", "revenue", "asset", False),
    ],
    ids=["unprotected", "another currency", "another kind", "another class"],
)
async def test_an_account_is_as_the_chart_has_it(
    schema: tuple[str, str], account_id: str, currency: str, kind: str, klass: str, protected: bool
) -> None:
    row = f"'{account_id}', '{currency}', '{kind}', '{klass}', {protected}, now()"
    insert = f"INSERT INTO account (account_id, currency, kind, class, protected, opened_at) VALUES ({row})"  # noqa: S608 - ours
    with pytest.raises(asyncpg.PostgresError) as caught:
        await run(schema[0], insert, schema[1])
    assert caught.value.sqlstate == "CR004"


async def test_the_table_of_the_chart_is_the_chart(schema: tuple[str, str], store: PostgresStore) -> None:
    rows = await store.fetch("SELECT kind, class, normal_side, owner, protected FROM chart")
    assert {tuple(row) for row in rows} == set(CHART)


async def test_no_balance_is_made_without_its_account(schema: tuple[str, str]) -> None:
    with pytest.raises(asyncpg.PostgresError) as caught:
        await run(schema[0], "INSERT INTO balance VALUES ('customer:x:held:GBP', 'GBP', 0, 5, false)", schema[1])
    assert caught.value.sqlstate == "CR004"


async def test_a_superuser_in_replica_role_cannot_unbalance_an_entry_either(
    schema: tuple[str, str], store: PostgresStore
) -> None:
    await post(store, deposit())
    sql = """SET session_replication_role = replica;
             INSERT INTO posting (entry_seq, line, account_id, currency, side, amount_minor)
             SELECT entry_seq, 9, account_id, currency, side, 1 FROM posting WHERE line = 1"""
    with pytest.raises(asyncpg.PostgresError) as caught:
        await run(schema[0], sql, schema[1])
    assert caught.value.sqlstate == "CR004"


async def test_drift_between_balance_and_postings_is_found(schema: tuple[str, str], store: PostgresStore) -> None:
    await post(store, deposit())
    await run(schema[0], "UPDATE balance SET debit_minor = debit_minor + 1 WHERE debit_minor > 0", schema[1])
    assert await book.drift(store) == (BANK,)


def test_the_writer_gives_a_row_for_each_line_and_entry() -> None:
    write: Any = Write("topic")
    beside(deposit(), write)
    assert {part: len(rows) for part, rows in write.rows.items()} == {
        "head": 1, "entry": 1, "account": 2, "posting": 2, "balance": 2,
    }  # fmt: skip
