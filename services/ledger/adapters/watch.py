"""The watch over the books: settles what is new in blocks, looks again at what is settled, and halts what is wrong.

Each turn is bounded, however large the books are. What is new is looked at once; what is settled, and all accounts, in
slices, one after another and round again. Every event is written through the engine: the rows of a block and the halts
that were found with it come with them or not at all, so a turn that dies is simply taken again.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from contracts.ledger.v1 import CurrencyHalted
from services.kernel import metrics
from services.kernel.decider import Ask, Meta, Outcome, Unit
from services.kernel.engine import Engine, Units
from services.kernel.ids import new_id
from services.kernel.telemetry import logger
from services.ledger.adapters.snapshot import PENDING, Read, Snapshot, snapshot
from services.ledger.domain import checks
from services.ledger.domain.blocks import BLOCKS, FIRST, CloseBlock, Closed
from services.ledger.domain.checks import Found
from services.ledger.domain.halts import Halt, Halted, LiftAsked, ReportDifferences, halt_id

WORKER = "ledger-watch"
TURN_SECONDS = 1.0
BLOCK_ENTRIES_MAX = 5_000  # in one block: what a turn reads of what is new
AGAIN_ENTRIES_MAX = 5_000  # settled before, read again in one turn
ACCOUNTS_MAX = 5_000  # looked at in one turn
SHARE = 100  # the sums of all balances take at most a hundredth of the time
_LOG = logger("books")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When a block is closed: with so many entries, or after so many seconds, if there is one."""

    entries: int = 1_000
    seconds: float = 30.0


def currencies(corridors: Path) -> set[str]:
    """Those of the corridors, whose series are there before the first entry; none when the file is not."""
    if not corridors.exists():
        return set()
    found = json.loads(corridors.read_bytes())["corridors"].values()
    return {corridor[side] for corridor in found for side in ("source", "target")}


class Watch:
    """One in each process of the ledger; two of them never settle the same entries."""

    def __init__(
        self,
        connect: Callable[[], Any],
        engine: Engine,
        tenant: str,
        known: Iterable[str],
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`connect` opens a session to read in, `engine` has a lane of its own, `known` are the first currencies."""
        self._connect = connect
        self._engine = engine
        self._tenant = tenant
        self._limits = limits
        self._clock = clock
        self._connection: asyncpg.Connection[Any] | None = None
        self._unsettled_since: float | None = None
        self._looked_at = -limits.seconds
        self._sums_due = 0.0
        self._block = 0  # of those that are settled, the next to be read again; 0: begin somewhere
        self._account = ""  # behind which the next slice begins
        self.currencies = set(known)
        self.halts: dict[str, Halt] = {}

    async def run(self) -> None:
        """For ever. A turn that fails is counted and taken again: what only looks never ends the process."""
        metrics.prepare_worker(WORKER)
        while True:
            try:
                if await self.turn():
                    metrics.worker_ran(WORKER, failed=False)
            except Exception as error:  # noqa: BLE001 - as above
                metrics.worker_ran(WORKER, failed=True)
                _LOG.warning("books_not_watched", error=f"{type(error).__name__}: {error}"[:300])
                self._drop()
            await asyncio.sleep(TURN_SECONDS)

    async def turn(self) -> bool:
        """Settle what is due, look again when it is time; whether anything was done."""
        worked = False
        while await self._is_due():
            if not await self.close():
                break
            worked = True
        if self._clock() - self._looked_at >= self._limits.seconds:
            worked = await self.look() or worked
        await self.refresh()
        return worked

    async def _is_due(self) -> bool:
        pending = (await (await self._session()).fetchval(PENDING)) or 0
        metrics.LEDGER_UNSETTLED.set(max(pending, 0))
        if pending <= 0:
            self._unsettled_since = None
            return False
        if self._unsettled_since is None:
            self._unsettled_since = self._clock()
        waited = self._clock() - self._unsettled_since
        return bool(pending >= self._limits.entries or waited >= self._limits.seconds)

    async def close(self) -> bool:
        """Read the entries behind the last block in one snapshot, and settle them; whether that was done here."""
        last = await self._last()
        async with snapshot(await self._session()) as book:
            if book is None:
                return False
            head, _ = await book.head()
            read = await self._read_next(book, last, head)
        if read is None:
            return False
        outcome = await self._write(_closing(last, read), read.found)
        self._unsettled_since = None
        return any(event.stream_id == BLOCKS for event in outcome.events)

    async def _read_next(self, book: Snapshot, last: Closed, head: int) -> Read | None:
        seq_from, seq_to = last.seq_to + 1, min(head, last.seq_to + BLOCK_ENTRIES_MAX)
        if seq_to < seq_from:
            return None
        read = await book.read(seq_from, seq_to, bytes.fromhex(last.digest))
        read.found += await book.moved(read, is_settled=False, is_head=seq_to == head)
        return read

    async def look(self) -> bool:
        """A slice of what is settled, a slice of the accounts, and now and then the sums of all balances."""
        last = await self._last()
        async with snapshot(await self._session()) as book:
            if book is None:
                return False
            found = await self._numbers(book, last)
            found += await self._again(book, last)
            found += await self._accounts(book, last)
            found += await self._sums(book)
        self._looked_at = self._clock()
        if found:
            await self._write(None, found)
        return True

    async def _numbers(self, book: Snapshot, last: Closed) -> list[Found]:
        head, numbered = await book.head()
        if head < last.seq_to:
            return [checks.unnumbered("head of the book", f"{head}, behind block {last.number}")]
        if numbered != head:
            return [checks.unnumbered("head of the book", f"{head}, and the last entry is {numbered}")]
        return []

    async def _again(self, book: Snapshot, last: Closed) -> list[Found]:
        """The next blocks that are settled, round and round."""
        found: list[Found] = []
        entries = 0
        for _ in range(last.number):
            if not 0 < self._block <= last.number:
                self._block = 1 if self._block else new_id().int % last.number + 1
            read, wrong = await book.settled(self._block)
            self._block += 1
            found += wrong
            entries += read.entries
            if entries >= AGAIN_ENTRIES_MAX:
                break
        return found

    async def _accounts(self, book: Snapshot, last: Closed) -> list[Found]:
        """The next slice of the accounts, while what is not settled yet is little."""
        head, _ = await book.head()
        if head - last.seq_to > BLOCK_ENTRIES_MAX:
            return []
        found, after = await book.accounts(self._account, ACCOUNTS_MAX)
        self._account = after or ""
        return found

    async def _sums(self, book: Snapshot) -> list[Found]:
        started = self._clock()
        if started < self._sums_due:
            return []
        sums = await book.balance_sums()
        self._sums_due = self._clock() + SHARE * (self._clock() - started)
        self.currencies |= {each.currency for each in sums}
        return checks.unbalanced_sums(sums)

    async def _last(self) -> Closed:
        """The last block by its event: the tables may have been tampered with."""
        found = await self._engine.heads([BLOCKS])
        return found[BLOCKS][1] if BLOCKS in found else FIRST

    async def _write(self, closing: CloseBlock | None, found: Sequence[Found]) -> Outcome:
        """The block and the halts together; what is no news writes nothing."""
        concerned = self.currencies | {each.currency for each in found} - {checks.UNATTRIBUTED}
        reports = [
            Ask(halt_id(currency), ReportDifferences(currency=currency, differences=differences))
            for currency, differences in checks.by_currency(found, sorted(concerned)).items()
        ]
        asks = ([Ask(BLOCKS, closing)] if closing else []) + reports
        meta = Meta(self._tenant, "service:ledger", BLOCKS)
        (outcome,) = await self._engine.run(Units([Unit(tuple(asks), meta)]))
        if outcome.error is not None:
            raise outcome.error
        for recorded in outcome.events:
            if isinstance(recorded.event, CurrencyHalted):
                _alarm(recorded.event)
        return outcome

    async def refresh(self) -> None:
        """How the halts stand, for the metric and for health."""
        found = await self._engine.heads([halt_id(currency) for currency in sorted(self.currencies)])
        self.halts = {name: found[halt_id(name)][1] for name in sorted(self.currencies) if halt_id(name) in found}
        metrics.prepare_ledger(self.currencies)
        for name in self.currencies:
            metrics.LEDGER_HALTED.labels(name).set(is_halted(self.halts.get(name)))

    def health(self) -> Mapping[str, Any]:
        """For `/v1/health`: currencies in which no new money moves."""
        return {"halted_currencies": [name for name, halt in self.halts.items() if is_halted(halt)]}

    async def _session(self) -> asyncpg.Connection[Any]:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()


def is_halted(halt: Halt) -> bool:
    """No new money moves."""
    return isinstance(halt, Halted | LiftAsked)


def _closing(last: Closed, read: Read) -> CloseBlock:
    return CloseBlock(
        number=last.number + 1, seq_from=read.seq_from, seq_to=read.seq_to, entries=read.entries,
        postings=read.postings, sums=read.currency_sums(), digest=read.digest, prev_digest=bytes.fromhex(last.digest),
        differences=len(read.found),
    )  # fmt: skip


def _alarm(halted: CurrencyHalted) -> None:
    """Once for each difference that halts for the first time, by the process that wrote it."""
    metrics.LEDGER_IMBALANCE.labels(halted.currency).inc(len(halted.differences))
    _LOG.critical(
        "books_out_of_balance", currency=halted.currency, difference_minor=halted.difference_minor,
        journals=_texts(halted.journals), found=[f"{x.check} {x.subject}: {x.found}" for x in halted.differences[:20]],
    )  # fmt: skip


def _texts(ids: Iterable[UUID]) -> list[str]:
    return [str(each) for each in ids]
