"""What the routes of statements take and answer, with a unit in each description."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from services.kernel.cursors import CURSOR_CHARS_MAX
from services.kernel.pages import LIMIT_DEFAULT, LIMIT_MAX, Query, Whole
from services.kernel.strict_json import Body
from services.reconciliation.domain.runs import REASON_CHARS_MIN
from services.reconciliation.ports import Format

REASON_CHARS_MAX = 500


class BookDay(Body):
    """A day of the partner's own book, where it has one that we read: instead of a file."""

    day: date = Field(description="of UTC; days that are over are complete", strict=False)


class ImportQuery(Query):
    """Whose file it is, and why it is brought."""

    partner: str = Field(min_length=1, max_length=80, description="as deploy/statement-maps.json names it")
    reason: str = Field(
        min_length=REASON_CHARS_MIN, max_length=REASON_CHARS_MAX,
        description="why; kept with the statement, no personal data",
    )  # fmt: skip
    format: Format | None = Field(None, description="of the file; XML says itself whether it is camt.053 or camt.054")


class TakenReply(Body):
    """What became of one statement of a file."""

    statement_id: UUID
    partner: str
    account: str
    reference: str = Field(description="the partner's own id of the statement")
    currency: str
    lines: int = Field(description="of this statement in our books now, however they came there")
    repeated: int = Field(description="recorded under an earlier statement of the account")
    parked: int = Field(description="not recorded, each with its position and reason")
    not_booked: int = Field(description="pending or for information; left out")
    difference_minor: int | None = Field(description="opening + entries - closing; null without both balances")


class ImportReply(Body):
    """The statements of a file. `receiving`: it goes on; ask for the statements, or again with the same key."""

    state: Literal["complete", "receiving"]
    file_sha256: str
    statements: list[TakenReply]
    receiving: list[UUID] = Field(description="the statements that are being taken; none before the file is read")


class StatementReply(Body):
    """A statement. Amounts in minor units, negative when the account was overdrawn. `receiving`: its file is not in."""

    statement_id: UUID
    state: Literal["complete", "receiving"]
    partner: str
    account: str
    ledger_account: str | None
    reference: str
    kind: Literal["statement", "notification"]
    source: Literal["camt053", "camt054", "csv", "book"]
    message: str | None
    file_sha256: str
    currency: str
    sequence: int | None
    period_from: date
    period_to: date
    opening_minor: int | None
    closing_minor: int | None
    head: int = Field(description="1, and one more for each other head that came under this id; the last one counts")
    lines: int = Field(description="of its file that could be read")
    bad_lines: int
    not_booked: int
    recorded: int | None = Field(description="lines in our books; only when one statement is asked for")
    repeated: int | None
    parked: int | None
    credit_minor: int | None
    debit_minor: int | None
    difference_minor: int | None
    received_at: datetime
    completed_at: datetime | None


class StatementsReply(Body):
    """Statements, newest first."""

    items: list[StatementReply]
    next_cursor: str | None = Field(description="null at the end")


class DetailReply(Body):
    """One transaction of a batch."""

    end_to_end_id: str | None
    our_reference: str | None
    amount: dict[str, Any] | None = Field(description="minor, currency")


class LineReply(Body):
    """A line that is recorded."""

    line_id: UUID
    statement_id: UUID
    entry_reference: str
    reference_by: Literal["servicer", "statement", "content"]
    position: str
    booking_date: date | None
    value_date: date | None
    amount_minor: int
    currency: str
    side: Literal["credit", "debit"]
    reversal: bool
    bank_transaction_code: str | None
    end_to_end_id: str | None
    our_reference: str | None
    reference_ids: list[str]
    charges_minor: int | None
    details: list[DetailReply]
    details_left_out: int
    recorded_at: datetime


class LinesReply(Body):
    """Lines in the order of their recording."""

    items: list[LineReply]
    next_cursor: str | None = Field(description="null at the end")


class ParkedReply(Body):
    """A line that is not recorded, and why. What may name a person is masked: the file itself has it."""

    parked_id: UUID
    line_id: UUID
    statement_id: UUID
    position: str
    entry_reference: str | None
    code: str
    reason: str
    raw: str
    parked_at: datetime


class ParkedLinesReply(Body):
    """Parked lines, oldest first."""

    items: list[ParkedReply]
    next_cursor: str | None = Field(description="null at the end")


class PageQuery(Query):
    """Which page."""

    limit: Whole = Field(LIMIT_DEFAULT, ge=1, le=LIMIT_MAX, description="rows of a page, at most")
    cursor: str | None = Field(None, max_length=CURSOR_CHARS_MAX, description="`next_cursor` of the page before")


class StatementsQuery(PageQuery):
    """Which statements."""

    partner: str | None = Field(None, max_length=80)
    account: str | None = Field(None, max_length=80)
