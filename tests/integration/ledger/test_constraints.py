"""What the tables of the books refuse by themselves when somebody writes them by hand, a superuser too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from services.kernel.book import Balance, Total, drift, totals

SQL = Path(__file__).parents[3] / "services"
SCRIPTS = ("kernel/sql/kernel.sql", "kernel/sql/book.sql", "kernel/sql/books.sql", "ledger/sql/blocks.sql")
BANK, SUSPENSE = "safeguarding:bank:GBP", "suspense:deposits:GBP"
ENTRY = """
    WITH head AS (UPDATE book_head SET entry_seq = entry_seq + 1 RETURNING entry_seq),
    entry AS (INSERT INTO entry (entry_seq, entry_id, cause_id, kind, caused_at, posted_at)
              SELECT {number}, gen_random_uuid(), gen_random_uuid(), 'test', now(), now() FROM head RETURNING entry_seq)
    INSERT INTO posting (entry_seq, line, account_id, currency, side, amount_minor)
    SELECT entry_seq, line, account_id, 'GBP', side, minor
    FROM entry, (VALUES {lines}) v(line, account_id, side, minor)"""
LINES = ((1, BANK, "debit", 5), (2, SUSPENSE, "credit", 5))
BLOCK = """INSERT INTO block VALUES
    (1, 1, 1, 1, 2, '{}', decode(repeat('01', 32), 'hex'), decode(repeat('00', 32), 'hex'), now())"""
OPENED = """INSERT INTO account (account_id, currency, kind, class, protected, opened_at)
            VALUES ($1, 'GBP', $2, $3, false, now())"""
BALANCE = "INSERT INTO balance VALUES ($1, 'GBP', $2, $3, false)"
CHECKPOINT = "INSERT INTO balance_at VALUES ($1, 1, 5, 0)"
CHANGED = [
    "UPDATE block SET digest = digest", "DELETE FROM block", "TRUNCATE block",
    "UPDATE balance_at SET debit_minor = 6", "DELETE FROM balance_at", "TRUNCATE balance_at",
]  # fmt: skip
APART = [
    "(1, 2, 2, 1, 2, '{}', decode(repeat('02', 32), 'hex'), decode(repeat('01', 32), 'hex'), now())",
    "(3, 2, 2, 1, 2, '{}', decode(repeat('02', 32), 'hex'), decode(repeat('01', 32), 'hex'), now())",
    "(2, 3, 3, 1, 2, '{}', decode(repeat('02', 32), 'hex'), decode(repeat('01', 32), 'hex'), now())",
    "(2, 2, 2, 1, 2, '{}', decode(repeat('02', 32), 'hex'), decode(repeat('00', 32), 'hex'), now())",
]


@pytest.fixture
async def books(postgres_dsn: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """One entry, its block, and a checkpoint of one account."""
    name = f"constraints_{uuid4().hex}"
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(f"CREATE SCHEMA {name}; SET search_path = {name}")
    for script in SCRIPTS:
        await connection.execute((SQL / script).read_text())
    await connection.execute(OPENED, BANK, "safeguarding", "asset")
    await connection.execute(OPENED, SUSPENSE, "suspense:deposits", "liability")
    await connection.execute(entry(1))
    await connection.execute(BLOCK)
    await connection.execute(CHECKPOINT, BANK)
    yield connection
    await connection.execute(f"DROP SCHEMA {name} CASCADE")
    await connection.close()


def entry(number: int, lines: tuple[tuple[int, str, str, int], ...] = LINES) -> str:
    return ENTRY.format(number=number, lines=", ".join(map(str, lines)))


async def refused(books: asyncpg.Connection[Any], sql: str) -> str:
    with pytest.raises(asyncpg.PostgresError) as caught:
        await books.execute(sql)
    return str(caught.value.sqlstate)


async def test_an_entry_has_the_next_number(books: asyncpg.Connection[Any]) -> None:
    assert await refused(books, entry(3)) == "CR004"
    assert await refused(books, entry(0)) == "CR004"
    await books.execute(entry(2))


@pytest.mark.parametrize(
    "lines",
    [
        ((1, BANK, "debit", -5), (2, SUSPENSE, "credit", -5)),
        ((1, BANK, "debit", 0), (2, SUSPENSE, "credit", 0)),
        ((1, BANK, "debit", 5), (2, SUSPENSE, "neither", 5)),
    ],
    ids=["below nothing", "nothing", "neither side"],
)
async def test_a_line_moves_more_than_nothing_on_one_side(books: asyncpg.Connection[Any], lines: Any) -> None:
    assert await refused(books, entry(2, lines)) == "23514"


async def test_a_line_has_the_currency_of_its_account(books: asyncpg.Connection[Any]) -> None:
    assert await refused(books, entry(2).replace("'GBP'", "'ETB'")) == "CR004"


@pytest.mark.parametrize("sql", CHANGED)
async def test_what_is_settled_is_never_changed(books: asyncpg.Connection[Any], sql: str) -> None:
    assert await refused(books, sql) == "CR003"


@pytest.mark.parametrize("values", APART, ids=["its number", "a gap in numbers", "a gap in entries", "another digest"])
async def test_a_block_follows_the_one_before_it(books: asyncpg.Connection[Any], values: str) -> None:
    insert = f"INSERT INTO block VALUES {values}"  # noqa: S608 - ours
    assert await refused(books, insert) in ("CR004", "23505")


async def test_a_balance_that_is_missing_or_wrong_on_either_side_is_drift(books: asyncpg.Connection[Any]) -> None:
    """Also of an account that has postings on one side alone."""
    assert await drift(books) == (BANK, SUSPENSE)
    await books.execute(BALANCE, BANK, 5, 0)
    await books.execute(BALANCE, SUSPENSE, 0, 5)
    assert await drift(books) == ()
    await books.execute("UPDATE balance SET credit_minor = credit_minor + 1 WHERE debit_minor > 0")
    assert await drift(books) == (BANK,)


def test_totals_show_both_sides_as_they_are() -> None:
    sides: tuple[tuple[str, str, int, int], ...] = (
        (BANK, "GBP", 7, 2), (SUSPENSE, "GBP", 1, 5), ("fx_position:ETB", "ETB", 3, 0),
    )  # fmt: skip
    accounts = [
        Balance(
            account_id=name, currency=currency, account_class="asset", protected=False, debit_minor=debit,
            credit_minor=credit, opened_at=datetime(2026, 3, 1, tzinfo=UTC),
        )
        for name, currency, debit, credit in sides
    ]  # fmt: skip
    assert totals(accounts) == (
        Total(currency="ETB", debit_minor=3, credit_minor=0), Total(currency="GBP", debit_minor=8, credit_minor=7),
    )  # fmt: skip
