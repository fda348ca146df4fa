"""What reconciliation says: when it compared, and where the books differ. Stored, published and read in this form."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from services.kernel.value import value

Trigger = Literal["schedule", "request"]


@value(kw_only=True)
class CodeCount:
    """How many issues of one code."""

    code: str
    count: int


@value(kw_only=True)
class Total:
    """Two sums over all transfers that were judged. They may be negative: a sum of an account's two sides."""

    name: str  # deposits | funding | fees | payouts | trial_balance
    currency: str  # ISO 4217
    expected_minor: int
    actual_minor: int


@value(kw_only=True)
class RunStarted:
    """Somebody, or the schedule, has the books compared."""

    type: ClassVar[str] = "corridor.recon.run_started.v1"
    run_id: UUID
    trigger: Trigger
    requested_by: str  # the id of a person, or the service
    reason: str
    started_at: datetime


@value(kw_only=True)
class RunRefused:
    """Somebody wanted a run and did not get it."""

    type: ClassVar[str] = "corridor.recon.run_refused.v1"
    run_id: UUID
    requested_by: str
    reason: str  # empty when it was not said
    code: str  # of the refusal: FORBIDDEN, RUN_UNDER_WAY
    refused_at: datetime


@value(kw_only=True)
class RunCompleted:
    """Every transfer that had not moved shortly before `watermark` was judged."""

    type: ClassVar[str] = "corridor.recon.run_completed.v1"
    run_id: UUID
    watermark: datetime  # all topics were read at least to here
    transfers: int  # judged
    not_judged: int  # moved too shortly before
    issues_opened: int
    issues_cleared: int
    issues_open: int  # at the end, also those of earlier runs
    issues_by_code: tuple[CodeCount, ...]  # of those
    totals: tuple[Total, ...]
    completed_at: datetime


@value(kw_only=True)
class RunFailed:
    """The books could not be compared: a reader too far behind, a partner's book out of reach, our own bug."""

    type: ClassVar[str] = "corridor.recon.run_failed.v1"
    run_id: UUID
    failure: str
    failed_at: datetime


@value(kw_only=True)
class IssueOpened:
    """Two books differ. `subject` is what they differ about: a transfer's id, a route's, a payment's, an account."""

    type: ClassVar[str] = "corridor.recon.issue_opened.v1"
    issue_id: UUID
    run_id: UUID
    code: str
    subject: str
    transfer_id: UUID | None
    currency: str | None  # ISO 4217
    expected_minor: int | None  # as the book says that is the cause of the other
    actual_minor: int | None
    details: str
    opened_at: datetime


@value(kw_only=True)
class IssueCleared:
    """A later run judged the subject again and did not see the difference."""

    type: ClassVar[str] = "corridor.recon.issue_cleared.v1"
    issue_id: UUID
    run_id: UUID
    code: str
    transfer_id: UUID | None
    cleared_at: datetime


RunEvent = RunStarted | RunRefused | RunCompleted | RunFailed
IssueEvent = IssueOpened | IssueCleared
RUN_EVENTS = (RunStarted, RunRefused, RunCompleted, RunFailed)
ISSUE_EVENTS = (IssueOpened, IssueCleared)
EVENTS = (*RUN_EVENTS, *ISSUE_EVENTS)
