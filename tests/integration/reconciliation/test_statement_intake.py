"""Statements on a real database: once, whatever repeats, races or dies; nothing overwritten; what is wrong is said."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from services.reconciliation.domain.statements.shape import Park, ParkedLine
from services.reconciliation.handlers.statements import LOCK
from tests.integration.reconciliation.books import World
from tests.integration.reconciliation.statements import (
    DAY,
    META,
    again,
    intake,
    line,
    open_issues,
    parked,
    read,
    rows,
    statement,
)
from tests.support.fakes import until

TABLES = ("statement", "statement_delivery", "statement_line", "statement_line_parked")


@pytest.fixture
def account() -> str:
    return f"ACC{uuid4().hex[:20]}"


async def count(world: World, account: str) -> tuple[int, int]:
    """Events and lines of an account's statements."""
    found = await world.sql(
        "SELECT (SELECT count(*) FROM event WHERE convert_from(data, 'UTF8')::jsonb ->> 'statement_id' IN "
        "(SELECT statement_id::text FROM statement WHERE account = $1)), "
        "(SELECT count(*) FROM statement_line WHERE account = $1)",
        account,
    )
    return found[0][0], found[0][1]


async def test_a_file_twice_is_one_statement(world: World, account: str) -> None:
    said = statement(account, [line(f"E{n}", 100 * n) for n in range(1, 451)])
    async with intake(world) as process:
        first = await process.take(read(said), META)
        before = await count(world, account)
        assert before == (452, 450)  # head, lines, end
        assert await process.take(read(said), META) == first
    assert await count(world, account) == before
    assert (first[0].lines, first[0].parked, first[0].difference_minor) == (450, 0, 0)
    assert await open_issues(world, account) == []


async def test_two_processes_that_take_one_file_at_once_make_one_statement(world: World, account: str) -> None:
    said = statement(account, [line(f"E{n}") for n in range(450)])
    async with intake(world) as one, intake(world) as other:
        results = await asyncio.gather(one.take(read(said), META), other.take(read(said), META))
    assert results[0] == results[1]
    assert await count(world, account) == (452, 450)


async def test_another_content_under_a_reference_is_parked_and_nothing_is_overwritten(
    world: World, account: str
) -> None:
    said = statement(account, [line("A", 100), line("B", 200)])
    other = again(said, line("B", 250))
    async with intake(world) as process:
        await process.take(read(said), META)
        await process.take(read(other, sha256="cd" * 32), META)
        taken = await process.take(read(other, sha256="cd" * 32), META)
        assert (taken[0].lines, taken[0].parked, taken[0].difference_minor) == (1, 1, -200)
        assert await rows(world, account) == [("A", 100), ("B", 200)]
        assert await parked(world, account) == [("CONTENT_DIFFERS", "entry B")]
        assert [code for code, _ in await open_issues(world, account)] == [
            "STATEMENT_DOES_NOT_ADD_UP", "STATEMENT_LINES_PARKED"
        ]  # fmt: skip
        await process.take(read(said), META)
    assert await open_issues(world, account) == []


async def test_ten_bad_lines_of_a_thousand_are_parked_and_the_rest_is_taken(world: World, account: str) -> None:
    good = [line(f"E{n}") for n in range(990)]
    bad = [
        ParkedLine(position=f"line {n}", code=Park.AMOUNT_INVALID, reason="no amount", raw=f"x,{n}") for n in range(10)
    ]
    said = statement(account, good, closing=1_000 * 100_00, parked=bad)
    async with intake(world) as process:
        await process.take(read(said), META)
        taken = (await process.take(read(said), META))[0]
    assert (taken.lines, taken.parked, taken.difference_minor) == (990, 10, -10 * 100_00)
    assert len(await rows(world, account)) == 990
    assert await parked(world, account) == [("AMOUNT_INVALID", f"line {n}") for n in range(10)]
    codes = [code for code, _ in await open_issues(world, account)]
    assert codes == ["STATEMENT_DOES_NOT_ADD_UP", "STATEMENT_LINES_PARKED"]


async def test_a_reference_twice_in_a_file_is_one_line_and_a_parked_one(world: World, account: str) -> None:
    twice = [line("A", 100), replace(line("A", 100), position="entry A again")]
    async with intake(world) as process:
        taken = (await process.take(read(statement(account, twice)), META))[0]
    assert (taken.lines, taken.parked, taken.difference_minor) == (1, 1, -100)
    assert await parked(world, account) == [("REFERENCE_TWICE", "entry A again")]


async def test_statements_that_overlap_have_their_common_entries_once(world: World, account: str) -> None:
    first = statement(account, [line("A", 100), line("B", 200)], reference="S1", sequence=1)
    second = statement(account, [line("B", 200), line("C", 300)], reference="S2", opening=100, sequence=2)
    third = statement(account, [line("C", 999)], reference="S3", opening=600, sequence=3)
    async with intake(world) as process:
        await process.take(read(first), META)
        taken = (await process.take(read(second, sha256="cd" * 32), META))[0]
        assert (taken.lines, taken.repeated, taken.parked, taken.difference_minor) == (1, 1, 0, 0)
        other = (await process.take(read(third, sha256="ef" * 32), META))[0]
    assert (other.lines, other.repeated, other.parked) == (0, 0, 1)
    assert await rows(world, account) == [("A", 100), ("B", 200), ("C", 300)]
    assert await parked(world, account) == [("ENTRY_DIFFERS_ELSEWHERE", "entry C")]


async def test_a_missing_statement_is_an_issue_until_it_comes(world: World, account: str) -> None:
    def day(number: int, opening: int, minor: int) -> object:
        at = DAY + timedelta(days=number)
        return statement(
            account, [line(f"E{number}", minor, at)], reference=f"S{number}", opening=opening, day=at, sequence=number
        )

    async with intake(world) as process:
        for number, opening in ((1, 0), (3, 300), (4, 400)):
            await process.take(read(day(number, opening, 100), sha256=f"{number}"), META)  # type: ignore[arg-type]
        assert await open_issues(world, account) == [
            ("STATEMENT_GAP", "next is S3: number 3 follows 1; it opens with 300 and the one before closes with 100")
        ]
        await process.take(read(day(2, 100, 200), sha256="2"), META)  # type: ignore[arg-type]
        assert await open_issues(world, account) == []


async def test_the_two_neighbours_of_a_gap_at_once_leave_no_issue_behind(world: World, account: str) -> None:
    def day(number: int) -> object:
        at = DAY + timedelta(days=number)
        lines = [line(f"E{number}", 100, at)]
        said = statement(account, lines, reference=f"S{number}", opening=100 * number, day=at, sequence=number)
        return read(said, sha256=f"{number}")

    async with intake(world) as one, intake(world) as other, intake(world) as third:
        await asyncio.gather(*(
            process.take(day(number), META)  # type: ignore[arg-type]
            for process, number in ((one, 1), (other, 2), (third, 3))
        ))  # fmt: skip
    assert await open_issues(world, account) == []


async def test_what_is_judged_of_an_account_waits_for_whoever_judges_it_already(world: World, account: str) -> None:
    said = read(statement(account, [line("A")]))
    holder = await asyncpg.connect(world.dsn, server_settings={"search_path": "recon"})
    try:
        await holder.fetch(LOCK, f"sandbox-bank {account}")

        async def waits() -> bool:
            asked = (
                "SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND NOT granted"
            )
            return bool(await holder.fetch(f"{asked} AND query = $1", LOCK))

        async with intake(world) as process:
            task = asyncio.create_task(process.take(said, META))
            await until(waits)
            assert not task.done()
            await holder.close()
            assert len(await task) == 1
    finally:
        await holder.close()


async def test_a_working_day_without_a_statement_is_missing_and_a_weekend_is_not(world: World, account: str) -> None:
    friday, monday, wednesday = date(2026, 3, 6), date(2026, 3, 9), date(2026, 3, 11)
    async with intake(world) as process:
        for number, at in enumerate((friday, monday, wednesday)):
            said = statement(account, [line(f"E{number}", 0, at)], reference=f"{at}", day=at)
            await process.take(read(said, sha256=f"{at}"), META)
    assert await open_issues(world, account) == [
        ("STATEMENT_GAP", "next is 2026-03-11: 1 days are missing, the first is 2026-03-10")
    ]


async def test_a_process_killed_in_the_middle_leaves_nothing_that_the_same_file_does_not_mend(
    world: World, account: str
) -> None:
    script = Path(__file__).with_name("statement_killed.py")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    argv = [sys.executable, str(script), world.dsn, account]
    process = subprocess.Popen(argv, env=environment)  # noqa: ASYNC220 - it is killed
    try:

        async def some() -> bool:
            return bool(await rows(world, account))

        await until(some, seconds=30)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    middle = len(await rows(world, account))
    assert 0 < middle < 5_000
    state = await world.sql("SELECT state FROM statements WHERE account = $1", account)
    assert state[0][0] == "receiving"
    said = statement(account, [line(f"E{n}") for n in range(5_000)])
    async with intake(world) as again_:
        taken = (await again_.take(read(said), META))[0]
    assert (taken.lines, taken.parked, taken.difference_minor) == (5_000, 0, 0)
    assert await count(world, account) == (5_002, 5_000)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "change", ["UPDATE {table} SET statement_id = statement_id", "DELETE FROM {table}", "TRUNCATE {table}"]
)
async def test_what_a_statement_says_is_never_changed(database: str, table: str, change: str) -> None:
    connection = await asyncpg.connect(database, server_settings={"search_path": "recon"})
    try:
        with pytest.raises(asyncpg.PostgresError) as refused:
            await connection.execute(change.format(table=table))
        assert refused.value.sqlstate == "CR003"
        await connection.execute("SET SESSION AUTHORIZATION corridor_recon")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(change.format(table=table))
    finally:
        await connection.close()
