"""Intake of statements: the head, its lines a batch at a time, that all are in, and what is wrong with it.

Each step says nothing new when it was done before, so whatever repeats, races or dies in the middle ends the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg

from services.kernel.book import Reader
from services.kernel.decider import Ask, Meta, Outcome, Unit
from services.kernel.engine import Engine, Units
from services.kernel.event_store import translated
from services.kernel.store import Unavailable
from services.kernel.telemetry import logger
from services.kernel.value import value
from services.reconciliation.domain.codes import Code
from services.reconciliation.domain.facts import Issue
from services.reconciliation.domain.issues import ClearIssue, OpenIssue
from services.reconciliation.domain.statements import entries
from services.reconciliation.domain.statements.checks import OF_STATEMENTS, Calendar, difference, gap, judge
from services.reconciliation.domain.statements.entries import ParkLine, Recorded, RecordLine
from services.reconciliation.domain.statements.heads import CompleteStatement, ReceiveStatement
from services.reconciliation.domain.statements.shape import Statement, line_id, parked_stream
from services.reconciliation.handlers.conductor import close
from services.reconciliation.ports import Read, Statements
from services.reconciliation.projections import statements as tables

BATCH_UNITS = 200
LOCK = "SELECT pg_advisory_lock(hashtextextended(current_schema() || ' statements ' || $1, 0))"
_LOG = logger("reconciliation")


@value(kw_only=True)
class Taken:
    """What became of one statement of a file. `lines`: in our books now, however they came there."""

    statement_id: UUID
    partner: str
    account: str
    reference: str
    currency: str
    lines: int
    repeated: int
    parked: int
    not_booked: int
    difference_minor: int | None


class Tally:
    """What the lines of a file came to. A line of an earlier statement counts, since the balances count it."""

    def __init__(self) -> None:
        self.lines = self.repeated = self.parked = self.credits_minor = self.debits_minor = 0

    def add(self, command: RecordLine, outcome: Outcome) -> None:
        """A line after its turn."""
        state, line = outcome.heads[0].state, command.line
        if isinstance(state, Recorded) and state.content == line.content:
            self.lines += 1
        elif entries.repeated(state, replace(command, seen=outcome.seen[0])):
            self.repeated += 1
        else:
            self.parked += 1
            return
        if line.side == "credit":
            self.credits_minor += line.amount.minor
        else:
            self.debits_minor += line.amount.minor


class Intake:
    """Takes what was read into our books."""

    def __init__(self, files: Statements, engine: Engine, session: Callable[[], Any], tenant: str) -> None:
        """`engine` is a lane of its own; `session` opens a connection of its own for a judgement."""
        self.files = files
        self._engine = engine
        self._session = session
        self._tenant = tenant
        self._lane = asyncio.Lock()  # an engine has one transaction at a time

    async def take(self, read: Read, meta: Meta) -> tuple[Taken, ...]:
        """All statements of a file. Raises Unavailable, and whatever is our own bug: the same file again goes on."""
        return tuple([await self._statement(each, read.sha256, meta) for each in read.statements])

    async def _statement(self, said: Statement, sha256: str, meta: Meta) -> Taken:
        statement_id = said.statement_id(self._tenant)
        received = ReceiveStatement(statement_id=statement_id, statement=said, file_sha256=sha256)
        await self._run([Unit((Ask(statement_id, received),), meta)])
        tally = await self._lines(statement_id, said, meta)
        net = tally.credits_minor - tally.debits_minor
        completed = CompleteStatement(
            statement_id=statement_id, file_sha256=sha256, lines=tally.lines, repeated=tally.repeated,
            parked=tally.parked, not_booked=said.not_booked, credits_minor=tally.credits_minor,
            debits_minor=tally.debits_minor, difference_minor=difference(said.opening, said.closing, net),
        )  # fmt: skip
        await self._run([Unit((Ask(statement_id, completed),), meta)])
        await self._judged(said, completed, meta)
        _LOG.info(
            "statement_taken", statement_id=str(statement_id), partner=said.partner, source=said.source,
            lines=tally.lines, repeated=tally.repeated, parked=tally.parked, not_booked=said.not_booked,
        )  # fmt: skip
        return Taken(
            statement_id=statement_id, partner=said.partner, account=said.account, reference=said.reference,
            currency=said.currency, lines=tally.lines, repeated=tally.repeated, parked=tally.parked,
            not_booked=said.not_booked, difference_minor=completed.difference_minor,
        )  # fmt: skip

    async def _lines(self, statement_id: UUID, said: Statement, meta: Meta) -> Tally:
        good, bad = entries.inside(said)
        tally = Tally()
        for start in range(0, len(good), BATCH_UNITS):
            wanted = [
                RecordLine(
                    line_id=line_id(statement_id, line.entry_reference), statement_id=statement_id,
                    partner=said.partner, account=said.account, line=line,
                )
                for line in good[start : start + BATCH_UNITS]
            ]  # fmt: skip
            asks = [Ask(each.line_id, each, entries.claims(said.partner, said.account, each.line)) for each in wanted]
            for command, outcome in zip(wanted, await self._run([Unit((ask,), meta) for ask in asks]), strict=True):
                tally.add(command, outcome)
        for start in range(0, len(bad), BATCH_UNITS):
            parts = [(parked_stream(statement_id, line), line) for line in bad[start : start + BATCH_UNITS]]
            await self._run([
                Unit((Ask(stream, ParkLine(line_id=stream, statement_id=statement_id, line=line)),), meta)
                for stream, line in parts
            ])  # fmt: skip
        tally.parked += len(bad)
        return tally

    async def _run(self, units: Sequence[Unit]) -> list[Outcome]:
        """Raises what kept any of them from being done."""
        async with self._lane:
            outcomes = await self._engine.run(Units(units))
        for outcome in outcomes:
            if outcome.error or outcome.refusal:
                raise outcome.error or outcome.refusal or AssertionError
        return outcomes

    async def _judged(self, said: Statement, completed: CompleteStatement, meta: Meta) -> None:
        """One at a time for each account: two that come at once see each other."""
        db = None
        try:
            db = await self._session()
            await db.fetch(LOCK, f"{said.partner} {said.account}")
            seen, known = await self._seen(db, completed, self.files.calendar(said.partner))
            await self._issues(completed.statement_id, seen, known, meta)
        except asyncpg.PostgresError as refused:
            raise translated(refused) or refused from refused
        except OSError as lost:
            raise Unavailable(type(lost).__name__) from lost
        finally:
            await close(db)

    async def _seen(
        self, db: Reader, completed: CompleteStatement, calendar: Calendar
    ) -> tuple[list[Issue], frozenset[UUID]]:
        """What is wrong with it and around it, and which issues were open about just that."""
        row = await tables.find(db, completed.statement_id)
        assert row is not None, "completed, and not there"
        head = tables.head_of(row)
        seen = list(judge(head, completed.difference_minor, completed.parked))
        known = await tables.open_about(db, head.subject, sorted(OF_STATEMENTS))
        if row["kind"] == "statement":
            before, behind = await tables.neighbours(db, head)
            if before:
                seen += gap(before, head, calendar)
                known |= await tables.open_about(db, before.after, [Code.STATEMENT_GAP])
            if behind:
                seen += gap(head, behind, calendar)
            known |= await tables.open_about(db, head.after, [Code.STATEMENT_GAP])
        return seen, known

    async def _issues(self, by: UUID, seen: Iterable[Issue], known: frozenset[UUID], meta: Meta) -> None:
        """Open what is new, clear what is no longer so."""
        ids = {issue.issue_id: issue for issue in seen}
        asks = [Ask(id_, OpenIssue(run_id=by, issue=issue)) for id_, issue in ids.items() if id_ not in known]
        asks += [Ask(id_, ClearIssue(run_id=by, issue_id=id_)) for id_ in known - ids.keys()]
        if asks:
            await self._run([Unit((ask,), meta) for ask in asks])
