"""The life of a difference: open from the run that saw it to the one that no longer does. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from contracts.recon.v1 import IssueCleared, IssueEvent, IssueOpened
from services.kernel.value import value
from services.reconciliation.domain.facts import Issue


@value(kw_only=True)
class OpenIssue:
    """A run sees it."""

    run_id: UUID
    issue: Issue


@value(kw_only=True)
class ClearIssue:
    """A run has judged its subject and does not see it any more."""

    run_id: UUID
    issue_id: UUID


@value(kw_only=True)
class Open:
    """Two books differ."""

    state: ClassVar[str] = "open"

    opened: IssueOpened


@value(kw_only=True)
class Cleared:
    """They do not differ any more; the same difference may come back."""

    state: ClassVar[str] = "cleared"

    opened: IssueOpened


Known = Open | Cleared | None  # None: never seen
IssueCommand = OpenIssue | ClearIssue
STAGES = (Open, Cleared)
COMMANDS = (OpenIssue, ClearIssue)
TRANSITIONS = (  # (state, event, next state, deadline)
    ("-", IssueOpened, "open", "a person looks → review"),
    ("open", IssueCleared, "cleared", ""),
    ("cleared", IssueOpened, "open", "a person looks → review"),
)


def decide(known: Known, command: IssueCommand, at: datetime) -> tuple[IssueEvent, ...]:
    """Opened once however many runs see it, cleared once."""
    match command:
        case OpenIssue():
            return () if isinstance(known, Open) else (_opened(command, at),)
        case ClearIssue(run_id=run_id):
            return (_cleared(known.opened, run_id, at),) if isinstance(known, Open) else ()


def _opened(command: OpenIssue, at: datetime) -> IssueOpened:
    issue = command.issue
    return IssueOpened(
        issue_id=issue.issue_id, run_id=command.run_id, code=issue.code.value, subject=issue.subject,
        transfer_id=issue.transfer_id, currency=issue.currency, expected_minor=issue.expected_minor,
        actual_minor=issue.actual_minor, details=issue.details, opened_at=at,
    )  # fmt: skip


def _cleared(opened: IssueOpened, run_id: UUID, at: datetime) -> IssueCleared:
    return IssueCleared(
        issue_id=opened.issue_id, run_id=run_id, code=opened.code, transfer_id=opened.transfer_id, cleared_at=at
    )


def evolve(known: Known, event: IssueEvent) -> Known:
    """Believes every stored event."""
    match event:
        case IssueOpened():
            return Open(opened=event)
        case IssueCleared():
            assert isinstance(known, Open), "cleared before it was opened"
            return Cleared(opened=known.opened)
