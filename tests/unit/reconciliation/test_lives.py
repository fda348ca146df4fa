"""A run begins once and ends once; an issue is opened once however many runs see it, and may come back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from contracts.recon.v1 import IssueCleared, IssueOpened, RunCompleted, RunFailed, RunRefused, RunStarted
from services.reconciliation.domain import issues, runs
from services.reconciliation.domain.codes import Code
from services.reconciliation.domain.facts import Issue
from services.reconciliation.handlers import issue_decider, run_decider
from tests.support.spec import Spec
from tests.unit.reconciliation.samples import AT, TRANSFER

RUN, LATER_RUN = UUID(int=70), UUID(int=71)
START = runs.StartRun(run_id=RUN, trigger="request", requested_by="olga", reason="daily reconciliation")
REFUSE = runs.RefuseRun(run_id=RUN, requested_by="olga", reason="", code="RUN_UNDER_WAY")
COMPLETE = runs.CompleteRun(
    run_id=RUN, watermark=AT, transfers=3, not_judged=1, issues_opened=0, issues_cleared=0, issues_open=0,
    issues_by_code=(), totals=(),
)  # fmt: skip
FAIL = runs.FailRun(run_id=RUN, failure="x" * 1_000)
STARTED = RunStarted(run_id=RUN, trigger="request", requested_by="olga", reason="daily reconciliation", started_at=AT)
REFUSED = RunRefused(run_id=RUN, requested_by="olga", reason="", code="RUN_UNDER_WAY", refused_at=AT)
COMPLETED = RunCompleted(
    run_id=RUN, watermark=AT, transfers=3, not_judged=1, issues_opened=0, issues_cleared=0, issues_open=0,
    issues_by_code=(), totals=(), completed_at=AT,
)  # fmt: skip
FAILED = RunFailed(run_id=RUN, failure="x" * runs.FAILURE_CHARS_MAX, failed_at=AT)
ISSUE = Issue(
    code=Code.PROVIDER_MISSING, subject=str(TRANSFER), transfer_id=TRANSFER, currency="ETB", expected_minor=5,
    actual_minor=0, details="payout 1",
)  # fmt: skip
OPEN, CLEAR = issues.OpenIssue(run_id=RUN, issue=ISSUE), issues.ClearIssue(run_id=LATER_RUN, issue_id=ISSUE.issue_id)
OPENED = IssueOpened(
    issue_id=ISSUE.issue_id, run_id=RUN, code="PROVIDER_MISSING", subject=str(TRANSFER), transfer_id=TRANSFER,
    currency="ETB", expected_minor=5, actual_minor=0, details="payout 1", opened_at=AT,
)  # fmt: skip
CLEARED = IssueCleared(
    issue_id=ISSUE.issue_id, run_id=LATER_RUN, code="PROVIDER_MISSING", transfer_id=TRANSFER, cleared_at=AT
)
of_run, of_issue = Spec(run_decider(), AT), Spec(issue_decider(), AT)


@pytest.mark.parametrize(
    ("history", "command", "events"),
    [
        ((), START, (STARTED,)),
        ((STARTED,), START, ()),
        ((STARTED,), COMPLETE, (COMPLETED,)),
        ((STARTED,), FAIL, (FAILED,)),
        ((STARTED, COMPLETED), FAIL, ()),
        ((STARTED, FAILED), COMPLETE, ()),
        ((STARTED, COMPLETED), START, ()),
        ((), REFUSE, (REFUSED,)),
        ((REFUSED,), REFUSE, ()),
        ((REFUSED,), COMPLETE, ()),
    ],
)
def test_a_run(history: tuple[Any, ...], command: Any, events: tuple[Any, ...]) -> None:
    of_run.given(*history).when(command).then(*events)


@pytest.mark.parametrize(
    ("history", "command", "events"),
    [
        ((), OPEN, (OPENED,)),
        ((OPENED,), OPEN, ()),
        ((OPENED,), CLEAR, (CLEARED,)),
        ((OPENED, CLEARED), CLEAR, ()),
        ((OPENED, CLEARED), OPEN, (OPENED,)),
        ((), CLEAR, ()),
    ],
)
def test_an_issue(history: tuple[Any, ...], command: Any, events: tuple[Any, ...]) -> None:
    of_issue.given(*history).when(command).then(*events)


@pytest.mark.parametrize("module", [runs, issues])
def test_the_table_of_transitions_is_what_the_fold_does(module: Any) -> None:
    samples = {type(each): each for each in (STARTED, REFUSED, COMPLETED, FAILED, OPENED, CLEARED)}
    reached: dict[str, Any] = {"-": None}
    for state, event, after, _ in module.TRANSITIONS:
        reached[after] = module.evolve(reached[state], samples[event])
        assert reached[after].state == after
    assert {stage.state for stage in module.STAGES} == set(reached) - {"-"}
