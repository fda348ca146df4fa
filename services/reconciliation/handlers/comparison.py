"""One run: wait until the topics are read, copy the partners' book, judge page by page, record what differs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from contracts.recon.v1 import CodeCount
from contracts.topics import DEPOSIT, LEDGER, PAYOUT, TRANSFER
from services.kernel.book import Reader
from services.kernel.decider import Ask, Meta, Unit
from services.kernel.engine import Engine, Units
from services.kernel.value import value
from services.reconciliation.domain.codes import OF_THE_WHOLE, Code
from services.reconciliation.domain.compare import compare, compare_route, parked, stray_payment, unattributed
from services.reconciliation.domain.facts import Cutoffs, Issue
from services.reconciliation.domain.issues import ClearIssue, OpenIssue
from services.reconciliation.domain.runs import CompleteRun
from services.reconciliation.domain.totals import Totals
from services.reconciliation.domain.watermark import watermark
from services.reconciliation.ports import Book, Collected, Ends, Page, Paid
from services.reconciliation.projections import found, mirror, pages

TOPICS = (TRANSFER.name, DEPOSIT.name, PAYOUT.name, LEDGER.name)
POLL_SECONDS = 0.25
BATCH_UNITS = 200
ISSUES_MAX = 10_000  # that one run opens: beyond, what compares is broken and not so much money
NOW = "SELECT clock_timestamp()"


class ReadersBehind(Exception):
    """The read tables have not come to where the topics ended when the run began: nothing can be said yet."""


class TooManyIssues(Exception):
    """So much differs that it is not the money that is wrong."""


@value(kw_only=True)
class Rules:
    """How patient a run is. `grace`: between a fact and what follows from it with us; `provider_grace`: between the
    partners' facts and our knowing of them; `quiet`: how long a silent topic holds the watermark back.
    """

    grace: timedelta
    provider_grace: timedelta
    quiet: timedelta
    catch_up_seconds: int


class Comparison:
    """Everything that one run counts. Nothing in it grows with the number of transfers."""

    def __init__(
        self, db: Reader, engine: Engine, book: Book, ends: Ends, rules: Rules, *, service: str, epoch: int,
        run_id: UUID, meta: Meta,
    ) -> None:  # fmt: skip
        """`db` is the session that holds the lock: whoever loses it fails with it."""
        self._db = db
        self._engine = engine
        self._book = book
        self._ends = ends
        self._rules = rules
        self._service = service
        self._epoch = epoch
        self._run_id = run_id
        self._meta = meta
        self._totals = Totals()
        self._units: list[Unit] = []
        self.transfers = 0
        self.not_judged = 0
        self.opened = 0
        self.cleared = 0

    async def run(self) -> CompleteRun:
        """What is to be said of it. Raises what kept it from being complete."""
        until = await self._watermark()
        cutoffs = Cutoffs.at(until, self._rules.grace, self._rules.provider_grace)
        async for page in self._book.pages():
            await self._copy(page)
        async for standings in pages.transfers(self._db):
            await self._transfers(standings, cutoffs)
        async for routes in pages.routes(self._db, cutoffs.provider):
            await self._routes(routes, cutoffs)
        await self._whole(cutoffs)
        await self._flush()
        return await self._completed(until)

    async def _watermark(self) -> datetime:
        """Wait for the readers, then ask until when the topics are believed."""
        read_at: datetime = (await self._db.fetch(NOW))[0][0]
        ends = await self._ends.ends(TOPICS)
        patience = time.monotonic() + self._rules.catch_up_seconds
        while behind := await self._behind(ends):
            if time.monotonic() > patience:
                raise ReadersBehind(", ".join(sorted({topic for topic, _ in behind})))
            await asyncio.sleep(POLL_SECONDS)
        return watermark(read_at, await pages.newest(self._db), self._rules.grace, self._rules.quiet)

    async def _behind(self, ends: Mapping[tuple[str, int], int]) -> list[tuple[str, int]]:
        stored = await pages.positions(self._db, self._service, self._epoch)
        return [place for place, end in ends.items() if stored.get(place, 0) < end]

    async def _copy(self, page: Page) -> None:
        until = mirror.END if page.last else page.until
        payments, deposits = [_payment_row(each) for each in page.paid], [_deposit_row(each) for each in page.collected]
        await mirror.keep(self._db, page.since, until, payments, deposits)

    async def _transfers(self, standings: Sequence[pages.Standing], cutoffs: Cutoffs) -> None:
        for standing in standings:
            if standing.moved_at is not None and standing.moved_at > cutoffs.ours:
                self.not_judged += 1
                continue
            self.transfers += 1
            self._totals.add(standing.facts)
            self._judged(compare(standing.facts, cutoffs), standing.issues)
        await self._full()

    async def _routes(self, routes: Sequence[pages.RouteStanding], cutoffs: Cutoffs) -> None:
        for each in routes:
            if each.moved_at is None or each.moved_at <= cutoffs.ours:
                self._judged(compare_route(each.route), each.issues)
        await self._full()

    async def _whole(self, cutoffs: Cutoffs) -> None:
        """What belongs to no transfer and no route."""
        strays = await pages.stray_payments(self._db, cutoffs.provider, ISSUES_MAX)
        known = await found.open_about(self._db, [Code.PROVIDER_UNKNOWN_PAYMENT], stray=True)
        self._judged([stray_payment(each) for each in strays], known)
        seen = [parked(consumer, streams) for consumer, streams in await pages.parked(self._db, self._service)]
        codes = OF_THE_WHOLE
        observed, booked, moved_at = await pages.unattributed(self._db)
        if moved_at is None or moved_at <= cutoffs.ours:
            seen += unattributed(observed, booked)
        else:
            codes = codes - {Code.UNATTRIBUTED_DIFFERS}
        self._judged(seen, await found.open_about(self._db, sorted(codes)))

    def _judged(self, seen: Iterable[Issue], known: frozenset[UUID]) -> None:
        """Open what is new, clear what is no longer seen."""
        ids = set()
        for issue in seen:
            issue_id = issue.issue_id
            ids.add(issue_id)
            if issue_id not in known:
                self._ask(issue_id, OpenIssue(run_id=self._run_id, issue=issue))
        for issue_id in known - ids:
            self._ask(issue_id, ClearIssue(run_id=self._run_id, issue_id=issue_id))

    def _ask(self, issue_id: UUID, command: OpenIssue | ClearIssue) -> None:
        self._units.append(Unit((Ask(issue_id, command),), self._meta))

    async def _full(self) -> None:
        if len(self._units) >= BATCH_UNITS:
            await self._flush()

    async def _flush(self) -> None:
        """Through the engine, a bounded batch at a time."""
        units, self._units = self._units, []
        for start in range(0, len(units), BATCH_UNITS):
            if self.opened > ISSUES_MAX:
                raise TooManyIssues(f"more than {ISSUES_MAX}")
            part = units[start : start + BATCH_UNITS]
            for unit, outcome in zip(part, await self._engine.run(Units(part)), strict=True):
                if outcome.error or outcome.refusal:
                    raise outcome.error or outcome.refusal or AssertionError
                self.opened += len(outcome.events) * isinstance(unit.asks[0].command, OpenIssue)
                self.cleared += len(outcome.events) * isinstance(unit.asks[0].command, ClearIssue)

    async def _completed(self, until: datetime) -> CompleteRun:
        by_code = await found.open_by_code(self._db)
        return CompleteRun(
            run_id=self._run_id, watermark=until, transfers=self.transfers, not_judged=self.not_judged,
            issues_opened=self.opened, issues_cleared=self.cleared, issues_open=sum(by_code.values()),
            issues_by_code=tuple(CodeCount(code=code, count=count) for code, count in by_code.items()),
            totals=self._totals.told(),
        )  # fmt: skip


def _payment_row(each: Paid) -> mirror.PaymentRow:
    return (
        each.payment_id, each.seq, each.transfer_id, each.amount_minor, each.currency, each.status, each.accepted_at,
        each.settled_at,
    )  # fmt: skip


def _deposit_row(each: Collected) -> mirror.DepositRow:
    return (
        each.partner, each.reference, each.seq, each.route_id, each.amount_minor, each.currency, each.booked_at
    )  # fmt: skip
