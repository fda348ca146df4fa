"""Runs, one at a time whatever the number of processes: by request, and by schedule.

A run holds a lock of its database session from before its first event to after its last, so a process that dies gives
it back at once, and whoever has it next knows that a run that has not ended never will.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

from services.kernel import metrics
from services.kernel.book import Reader
from services.kernel.decider import Ask, Meta, Outcome, RequestKey, Unit
from services.kernel.engine import Engine
from services.kernel.event_store import translated
from services.kernel.group_commit import GroupCommit
from services.kernel.telemetry import logger
from services.reconciliation.domain.runs import CompleteRun, FailRun, RefuseRun, RunUnderWay, StartRun
from services.reconciliation.handlers.comparison import Comparison, Rules
from services.reconciliation.ports import Book, Ends
from services.reconciliation.projections import found

WORKER = "reconciliation"
INTERRUPTED = "INTERRUPTED: its process ended before it"
RUN_SECONDS_MAX = 900
CLOSE_SECONDS = 2
LOCK = "SELECT pg_try_advisory_lock(hashtextextended(current_schema() || ' run', 0))"
_LOG = logger("reconciliation")


def accepted(outcome: Outcome) -> tuple[int, bytes]:
    """What is kept under the request's key: that the run exists. How it stands is looked up."""
    return 202, b"{}"


class Conductor:
    """Starts runs and sees them through."""

    def __init__(
        self, session: Callable[[], Any], commands: GroupCommit, engine: Engine, book: Book, ends: Ends, rules: Rules,
        *, actor: str, service: str, epoch: int,
    ) -> None:  # fmt: skip
        """`session` opens a connection of its own for a run; `engine` is a lane of its own for the issues."""
        self._session = session
        self._commands = commands
        self._engine = engine
        self._book = book
        self._ends = ends
        self._rules = rules
        self._actor = actor
        self._service = service
        self._epoch = epoch
        self._running: set[asyncio.Task[None]] = set()
        for result in ("success", "failed"):
            metrics.WORKER_RUNS.labels(WORKER, result)

    async def start(
        self, wish: StartRun, meta: Meta, key: RequestKey | None = None
    ) -> tuple[Outcome, asyncio.Task[None]]:
        """Begin a run; the task ends with it and raises nothing. Raises RunUnderWay, Unavailable."""
        db = await self._locked()
        try:
            await self._end_interrupted(db, meta)
            outcome = await self._commands.ask(
                Unit((Ask(wish.run_id, wish),), meta, key, answer=accepted if key else None)
            )
        except BaseException:
            await close(db)
            raise
        task = asyncio.create_task(self._see_through(db, wish, meta) if outcome.events else close(db))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return outcome, task

    async def refuse(self, wish: RefuseRun, meta: Meta) -> None:
        """Keep that somebody wanted a run and did not get it."""
        await self._commands.ask(Unit((Ask(wish.run_id, wish),), meta))

    async def _locked(self) -> Any:
        db = None
        try:
            db = await self._session()
            if (await db.fetch(LOCK))[0][0]:
                return db
        except Exception as error:
            await close(db)
            raise translated(error) or error from error
        await close(db)
        raise RunUnderWay

    async def _end_interrupted(self, db: Reader, meta: Meta) -> None:
        for run_id in await found.under_way(db):
            await self._commands.ask(Unit((Ask(run_id, FailRun(run_id=run_id, failure=INTERRUPTED)),), meta))
            _LOG.warning("run_interrupted", worker=WORKER, run_id=str(run_id))

    async def _see_through(self, db: Any, wish: StartRun, meta: Meta) -> None:
        about = {"worker": WORKER, "run_id": str(wish.run_id), "correlation_id": str(meta.correlation_id)}
        _LOG.info("run_started", trigger=wish.trigger, reason=wish.reason, **about)
        own = Meta(meta.tenant, self._actor, wish.run_id, None, meta.reason, meta.traceparent)
        end: CompleteRun | FailRun = FailRun(run_id=wish.run_id, failure=INTERRUPTED)
        try:
            end = await self._compared(db, wish.run_id, own)
            await self._say(end, meta)
        except Exception as error:  # noqa: BLE001 - it stays under way until the next run finds it interrupted
            _LOG.warning("run_end_not_recorded", error=_words(error), **about)
            end = FailRun(run_id=wish.run_id, failure=_words(error))
        finally:
            await close(db)
        self._tell(end, about)

    async def _say(self, end: CompleteRun | FailRun, meta: Meta) -> None:
        outcome = await self._commands.ask(Unit((Ask(end.run_id, end),), meta))
        if outcome.error is not None:
            raise outcome.error

    async def _compared(self, db: Reader, run_id: UUID, meta: Meta) -> CompleteRun | FailRun:
        """How it ended; whatever kept it from its end is its failure."""
        comparison = Comparison(
            db, self._engine, self._book, self._ends, self._rules, service=self._service, epoch=self._epoch,
            run_id=run_id, meta=meta,
        )  # fmt: skip
        try:
            async with asyncio.timeout(RUN_SECONDS_MAX):
                return await comparison.run()
        except Exception as error:  # noqa: BLE001 - said on the run, and whole in the log
            _LOG.exception("run_broken", worker=WORKER, run_id=str(run_id))
            return FailRun(run_id=run_id, failure=_words(error))

    def _tell(self, end: CompleteRun | FailRun, about: dict[str, str]) -> None:
        match end:
            case CompleteRun():
                metrics.WORKER_RUNS.labels(WORKER, "success").inc()
                _LOG.info(
                    "run_completed", transfers=end.transfers, not_judged=end.not_judged,
                    issues_opened=end.issues_opened, issues_cleared=end.issues_cleared, issues_open=end.issues_open,
                    **about,
                )  # fmt: skip
            case FailRun(failure=failure):
                metrics.WORKER_RUNS.labels(WORKER, "failed").inc()
                _LOG.error("run_failed", failure=failure, **about)


async def close(db: Any) -> None:
    """End the session, and with it its lock; one that does not answer is cut off."""
    if db is None:
        return
    try:
        await db.close(timeout=CLOSE_SECONDS)
    except Exception:  # noqa: BLE001 - the server sees the end of a cut connection too
        db.terminate()


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
