"""What reconciliation says: when it compared, where the books differ, and what partners' statements say. Stored,
published and read in this form."""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar, Literal
from uuid import UUID

from services.kernel.money import Money
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
    run_id: UUID  # that saw it; of an issue about a statement, the statement whose intake did
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
    run_id: UUID  # likewise
    code: str
    transfer_id: UUID | None
    cleared_at: datetime


Side = Literal["credit", "debit"]  # of the account as its owner sees it: a credit is money that came in
StatementKind = Literal["statement", "notification"]
StatementSource = Literal["camt053", "camt054", "csv", "book"]


@value(kw_only=True)
class StatementBalance:
    """What stood in the account. A debit balance is one that is overdrawn."""

    side: Side
    amount: Money


@value(kw_only=True)
class LineDetail:
    """One transaction of an entry that the partner booked as a whole."""

    end_to_end_id: str | None
    our_reference: str | None
    amount: Money | None


@value(kw_only=True)
class StatementReceived:
    """The head of a partner's statement, before its lines.

    A statement that comes again with another head says it again, under the next number.
    """

    type: ClassVar[str] = "corridor.recon.statement_received.v1"
    statement_id: UUID  # derived from tenant, partner, kind, account and reference
    head: int  # 1, and one more for each other head under this id
    partner: str
    account: str  # as the partner names it
    ledger_account: str | None  # its path in our chart
    reference: str  # the partner's own id of the statement
    kind: StatementKind
    source: StatementSource
    message: str | None  # the name of the ISO 20022 message: camt.053.001.08
    file_sha256: str
    currency: str  # ISO 4217
    sequence: int | None
    period_from: date
    period_to: date  # the last day of it
    opening: StatementBalance | None
    closing: StatementBalance | None
    lines: int  # that could be read, booked by the partner
    bad_lines: int
    not_booked: int  # pending or for information: not recorded
    received_at: datetime


@value(kw_only=True)
class StatementLineRecorded:
    """One entry of a statement. What a person could be known by is left out; what matching needs is here."""

    type: ClassVar[str] = "corridor.recon.statement_line_recorded.v1"
    line_id: UUID  # derived from the statement's id and the entry's reference
    statement_id: UUID
    partner: str
    account: str
    entry_reference: str
    reference_by: Literal["servicer", "statement", "content"]  # who made it: unique with them
    position: str  # in the file: line 12, or /Document/BkToCstmrStmt/Stmt[1]/Ntry[12]
    booking_date: date | None
    value_date: date | None
    amount: Money
    side: Side
    reversal: bool
    bank_transaction_code: str | None
    end_to_end_id: str | None
    our_reference: str | None  # the first reference of ours that the remittance information names
    references: tuple[str, ...]  # other ids of the payment, as those on its way gave them
    charges: Money | None  # taken off by the partner, and included in the amount
    details: tuple[LineDetail, ...]  # more than one: the entry is a batch
    details_left_out: int
    recorded_at: datetime


@value(kw_only=True)
class StatementLineParked:
    """A line that is not recorded: it cannot be read, or it contradicts one that is. It is kept for a person."""

    type: ClassVar[str] = "corridor.recon.statement_line_parked.v1"
    parked_id: UUID
    line_id: UUID  # of the line that it contradicts; of itself where it could not be read
    statement_id: UUID
    position: str
    entry_reference: str | None
    code: str  # AMOUNT_INVALID, CONTENT_DIFFERS, ...
    reason: str
    raw: str  # bounded; what may name a person is masked
    parked_at: datetime


@value(kw_only=True)
class StatementCompleted:
    """Every line of one file of the statement was recorded, known already, or parked."""

    type: ClassVar[str] = "corridor.recon.statement_completed.v1"
    statement_id: UUID
    delivery: int  # 1, and one more for each other file, or other result of the same file
    file_sha256: str
    lines: int  # of this statement in our books now
    repeated: int  # recorded under an earlier statement of the account
    parked: int
    not_booked: int
    credits_minor: int  # of lines and repeated ones, in the statement's currency
    debits_minor: int
    difference_minor: int | None  # opening + credits - debits - closing; null without both balances
    completed_at: datetime


RunEvent = RunStarted | RunRefused | RunCompleted | RunFailed
IssueEvent = IssueOpened | IssueCleared
StatementEvent = StatementReceived | StatementCompleted
LineEvent = StatementLineRecorded | StatementLineParked
RUN_EVENTS = (RunStarted, RunRefused, RunCompleted, RunFailed)
ISSUE_EVENTS = (IssueOpened, IssueCleared)
STATEMENT_EVENTS = (StatementReceived, StatementCompleted)
LINE_EVENTS = (StatementLineRecorded, StatementLineParked)
EVENTS = (*RUN_EVENTS, *ISSUE_EVENTS, *STATEMENT_EVENTS, *LINE_EVENTS)
