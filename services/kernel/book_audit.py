"""The proof of the books: every invariant, in one snapshot, read only, while everything runs or stands still.

The set questions run beside the fold of events, which has a process for each core when there is much to fold.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from services.kernel.book_check import Chart, Finding, Verdicts, ask
from services.kernel.book_fold import Fold, Judged, Place, folding, judge_of
from services.kernel.book_missing import Awaited, Inflow, lost, missing, unsaid
from services.kernel.book_process import ProcessFold, in_a_process
from services.kernel.fold_team import cores
from services.kernel.operations import operating
from services.kernel.progress import Clock, Reports

ALONE_MAX = 10_000  # events: a process takes as long to start
PROCESSES_MAX = 8
RANGE = 2_000  # global sequences that are judged in one turn
FOLDED = ("L6", "L8", "L10a", "L10b")
HEAD = "SELECT coalesce(max(entry_seq), 0) FROM entry"
COUNTS = """
    SELECT (SELECT count(*) FROM entry) AS entries, (SELECT count(*) FROM posting) AS postings,
           (SELECT count(*) FROM account) AS accounts"""
LOOKED = {  # check -> what it looks at
    "numbers": "entries", "chart": "accounts", "L1": "postings", "L2": "postings", "L3": "postings", "L4": "postings",
    "L7": "entries", "L9": "accounts", "L10a": "entries",
}  # fmt: skip
Own = Callable[[Any], Awaitable[tuple[int, list[Finding]]]]  # a connection -> (looked at, what is wrong)


@dataclass(frozen=True, kw_only=True)
class Books:
    """Which books, and who knows them. `judge` is `module:function`; `own` are checks that only the ledger can make."""

    dsn: str = field(repr=False)
    schema: str
    judge: str
    chart: Chart
    inflow: Inflow
    own: Mapping[str, Sequence[Own]] = field(default_factory=dict)


async def audit(books: Books, names: Sequence[str], reports: Reports) -> Verdicts:
    """The checks of these names. Raises Unavailable when they could not be made."""
    verdicts = Verdicts(names)
    awaited = Awaited()
    async with (
        operating(books.dsn, books.schema) as session,
        session.connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        connection = session.connection
        snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
        counts = await connection.fetchrow(COUNTS)
        assert counts is not None  # an aggregate
        verdicts.counts.update(dict(counts))
        folding_all = asyncio.create_task(_fold(books, snapshot, verdicts, reports))
        try:
            await ask(connection, verdicts, books.chart, await connection.fetchval(HEAD), reports)
            await _own(books, connection, verdicts)
            awaited = await _beyond(books, connection, verdicts, reports)
            await folding_all
        finally:
            folding_all.cancel()
            await asyncio.gather(folding_all, return_exceptions=True)
    if "L10b" in verdicts:
        with verdicts.timed("L10b") as verdict:
            await lost(books.dsn, books.schema, books.inflow, awaited, verdict)
    for name, what in LOOKED.items():
        if name in verdicts:
            verdicts.of[name].looked = verdicts.counts[what]
    return verdicts


async def _own(books: Books, connection: asyncpg.Connection[Any], verdicts: Verdicts) -> None:
    for name, checks in books.own.items():
        if name not in verdicts:
            continue
        with verdicts.timed(name) as verdict:
            for check in checks:
                looked, findings = await check(connection)
                verdict.looked += looked
                for finding in findings:
                    verdict.add(finding)


async def _beyond(books: Books, connection: asyncpg.Connection[Any], verdicts: Verdicts, reports: Reports) -> Awaited:
    judge = judge_of(books.judge)
    if "L10a" in verdicts:
        with verdicts.timed("L10a") as verdict:
            await unsaid(connection, judge.own_types[0], judge.own_types[1:], verdict)
    if "L10b" not in verdicts:
        return Awaited()
    with verdicts.timed("L10b") as verdict:
        return await missing(connection, judge, books.inflow, verdict, reports)


# -- the fold


async def _fold(books: Books, snapshot: str, verdicts: Verdicts, reports: Reports) -> None:
    """All events of the ledger, in ranges, by as many as the machine has room for."""
    if not any(name in verdicts for name in FOLDED):
        return
    began = time.monotonic()
    place = Place(dsn=books.dsn, schema=books.schema, snapshot=snapshot, judge=books.judge)
    async with AsyncExitStack() as opened:
        first = await opened.enter_async_context(folding(place))
        low, high = await first.bounds()
        folds: list[Fold | ProcessFold] = [first]
        if high - low > ALONE_MAX:
            folds = [await opened.enter_async_context(in_a_process(place)) for _ in range(min(cores(), PROCESSES_MAX))]
        clock, ranges = Clock(reports, "events", high - low), iter(range(low, high, RANGE))
        done = 0

        async def work(fold: Fold | ProcessFold) -> None:
            nonlocal done
            for begin in ranges:
                end = min(begin + RANGE, high)
                _take(await fold.range(begin, end), verdicts)
                done += end - begin
                clock.tell(done)

        works = [asyncio.create_task(work(each)) for each in folds]
        try:
            await asyncio.gather(*works)
        finally:
            for each in works:
                each.cancel()
            await asyncio.gather(*works, return_exceptions=True)
        clock.tell(done, last=True)
    for name in FOLDED:
        if name in verdicts:
            verdicts.of[name].seconds += time.monotonic() - began


def _take(judged: Judged, verdicts: Verdicts) -> None:
    verdicts.counts["events"] += judged.events
    for name, looked in (("L6", judged.blocks), ("L8", judged.exchanges), ("L10b", judged.causes)):
        if name in verdicts:
            verdicts.of[name].looked += looked
    shown: dict[str, int] = {}
    for name, finding in judged.findings:
        shown[name] = shown.get(name, 0) + 1
        first = shown[name] == 1
        verdicts.add(name, finding, judged.counts[name] - _kept(judged, name) + 1 if first else 1)


def _kept(judged: Judged, name: str) -> int:
    return sum(1 for check, _ in judged.findings if check == name)
