"""The deciders of reconciliation, and how a run goes. Nothing is asked of a topic's records but their read tables."""

from __future__ import annotations

from contracts.recon.v1 import ISSUE_EVENTS, RUN_EVENTS, IssueEvent, RunEvent
from contracts.upcasts import UPCASTS
from services.kernel.decider import Consumes, Decider
from services.reconciliation.domain import issues, runs

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


DECIDERS = (run_decider(), issue_decider())
