"""The life of a run: asked for, then completed or failed; or refused. Pure: no clock, no randomness, no I/O."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from contracts.recon.v1 import CodeCount, RunCompleted, RunEvent, RunFailed, RunRefused, RunStarted, Total, Trigger
from services.kernel.rejected import Rejected
from services.kernel.value import value

REASON_CHARS_MIN = 8
FAILURE_CHARS_MAX = 300


class RunUnderWay(Rejected):
    """The books are being compared already: ask for that run."""


@value(kw_only=True)
class StartRun:
    """A wish, or the schedule's."""

    run_id: UUID
    trigger: Trigger
    requested_by: str
    reason: str


@value(kw_only=True)
class RefuseRun:
    """The wish of somebody who may not, or who comes while another is under way. Kept for whoever audits."""

    run_id: UUID
    requested_by: str
    reason: str
    code: str


@value(kw_only=True)
class CompleteRun:
    """All of it was compared."""

    run_id: UUID
    watermark: datetime
    transfers: int
    not_judged: int
    issues_opened: int
    issues_cleared: int
    issues_open: int
    issues_by_code: tuple[CodeCount, ...]
    totals: tuple[Total, ...]


@value(kw_only=True)
class FailRun:
    """It could not be compared, or its process has died."""

    run_id: UUID
    failure: str


@value(kw_only=True)
class Running:
    """Under way."""

    state: ClassVar[str] = "running"

    started: RunStarted


@value(kw_only=True)
class Completed:
    """Its issues are recorded."""

    state: ClassVar[str] = "completed"

    started: RunStarted
    completed: RunCompleted


@value(kw_only=True)
class Failed:
    """What it had found until then stays recorded."""

    state: ClassVar[str] = "failed"

    started: RunStarted
    failed: RunFailed


@value(kw_only=True)
class Refused:
    """It never began."""

    state: ClassVar[str] = "refused"

    refused: RunRefused


Run = Running | Completed | Failed | Refused | None  # None: no such run
RunCommand = StartRun | RefuseRun | CompleteRun | FailRun
STAGES = (Running, Completed, Failed, Refused)
COMMANDS = (StartRun, RefuseRun, CompleteRun, FailRun)
TRANSITIONS = (  # (state, event, next state, deadline)
    ("-", RunStarted, "running", "the next run finds that its process has died → `recon.run_failed`"),
    ("-", RunRefused, "refused", ""),
    ("running", RunCompleted, "completed", ""),
    ("running", RunFailed, "failed", ""),
)


def decide(run: Run, command: RunCommand, at: datetime) -> tuple[RunEvent, ...]:
    """The events that `command` causes at `at`, () when it was already done."""
    match command:
        case StartRun():
            return (_started(command, at),) if run is None else ()
        case RefuseRun():
            return (_refused(command, at),) if run is None else ()
        case CompleteRun():
            return (_completed(command, at),) if isinstance(run, Running) else ()
        case FailRun(run_id=run_id, failure=failure):
            failed = RunFailed(run_id=run_id, failure=failure[:FAILURE_CHARS_MAX], failed_at=at)
            return (failed,) if isinstance(run, Running) else ()


def _started(wish: StartRun, at: datetime) -> RunStarted:
    return RunStarted(
        run_id=wish.run_id, trigger=wish.trigger, requested_by=wish.requested_by, reason=wish.reason, started_at=at
    )


def _refused(wish: RefuseRun, at: datetime) -> RunRefused:
    return RunRefused(
        run_id=wish.run_id, requested_by=wish.requested_by, reason=wish.reason, code=wish.code, refused_at=at
    )


def _completed(fact: CompleteRun, at: datetime) -> RunCompleted:
    return RunCompleted(
        run_id=fact.run_id, watermark=fact.watermark, transfers=fact.transfers, not_judged=fact.not_judged,
        issues_opened=fact.issues_opened, issues_cleared=fact.issues_cleared, issues_open=fact.issues_open,
        issues_by_code=fact.issues_by_code, totals=fact.totals, completed_at=at,
    )  # fmt: skip


def evolve(run: Run, event: RunEvent) -> Run:
    """Believes every stored event."""
    match event:
        case RunStarted():
            return Running(started=event)
        case RunRefused():
            return Refused(refused=event)
        case RunCompleted():
            assert isinstance(run, Running), "completed before it was started"
            return Completed(started=run.started, completed=event)
        case RunFailed():
            assert isinstance(run, Running), "failed before it was started"
            return Failed(started=run.started, failed=event)
