"""The deciders of reconciliation, and how a run goes. Nothing is asked of a topic's records but their read tables."""

from __future__ import annotations

from typing import cast

from contracts.recon.v1 import (
    ISSUE_EVENTS,
    LINE_EVENTS,
    RUN_EVENTS,
    STATEMENT_EVENTS,
    IssueEvent,
    LineEvent,
    RunEvent,
    StatementEvent,
    StatementLineRecorded,
)
from contracts.upcasts import UPCASTS
from services.kernel.decider import Consumes, Decider
from services.reconciliation.domain import issues, runs
from services.reconciliation.domain.statements import entries, heads

CONSUMES: Consumes = {}


def run_decider() -> Decider[runs.Run, runs.RunCommand, RunEvent]:
    """One run; stream, key and correlation are its id."""
    return Decider(
        category="run",
        decide=runs.decide,
        evolve=runs.evolve,
        commands=runs.COMMANDS,
        events=RUN_EVENTS,
        upcasts=UPCASTS,
        stages=runs.STAGES,
        correlate=lambda event: event.run_id,
    )


def issue_decider() -> Decider[issues.Known, issues.IssueCommand, IssueEvent]:
    """One difference; it belongs to its transfer, if it has one."""
    return Decider(
        category="issue",
        decide=issues.decide,
        evolve=issues.evolve,
        commands=issues.COMMANDS,
        events=ISSUE_EVENTS,
        upcasts=UPCASTS,
        stages=issues.STAGES,
        correlate=lambda event: event.transfer_id or event.run_id,
    )


def statement_decider() -> Decider[heads.Known, heads.StatementCommand, StatementEvent]:
    """One statement; stream, key and correlation are its id."""
    return Decider(
        category="statement",
        decide=heads.decide,
        evolve=heads.evolve,
        commands=heads.COMMANDS,
        events=STATEMENT_EVENTS,
        upcasts=UPCASTS,
        stages=heads.STAGES,
        correlate=lambda event: event.statement_id,
    )


def line_decider() -> Decider[entries.Known, entries.LineCommand, LineEvent]:
    """One line; its records are keyed by its statement, so that they come behind its head."""
    return Decider(
        category="statement_line",
        decide=entries.decide,
        evolve=entries.evolve,
        commands=entries.COMMANDS,
        events=LINE_EVENTS,
        upcasts=UPCASTS,
        stages=entries.STAGES,
        key_of=lambda first: cast("StatementLineRecorded", first).statement_id,
        correlate=lambda event: event.statement_id,
    )


DECIDERS = (run_decider(), issue_decider(), statement_decider(), line_decider())
