"""Whether a statement adds up, and whether one is missing between two. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Literal
from uuid import UUID

from contracts.recon.v1 import StatementBalance
from services.kernel.value import value
from services.reconciliation.domain.codes import Code
from services.reconciliation.domain.facts import Issue
from services.reconciliation.domain.statements.shape import signed

Calendar = Literal["every", "business", "none"]  # on which days the partner makes a statement
OF_STATEMENTS = frozenset({Code.STATEMENT_DOES_NOT_ADD_UP, Code.STATEMENT_LINES_PARKED})
SATURDAY = 5


@value(kw_only=True)
class Head:
    """A statement as its neighbours see it."""

    statement_id: UUID
    partner: str
    account: str
    reference: str
    currency: str
    sequence: int | None
    period_from: date
    period_to: date
    opening: StatementBalance | None
    closing: StatementBalance | None

    @property
    def subject(self) -> str:
        """How issues name it."""
        return f"statement {self.partner} {self.account} {self.reference}"

    @property
    def after(self) -> str:
        """How issues name the place behind it."""
        return f"after {self.subject}"


def difference(opening: StatementBalance | None, closing: StatementBalance | None, net_minor: int) -> int | None:
    """Opening + entries - closing, in minor units; None without both balances. `net_minor`: credits less debits."""
    if opening is None or closing is None:
        return None
    return signed(opening) + net_minor - signed(closing)


def judge(head: Head, difference_minor: int | None, parked: int) -> Iterable[Issue]:
    """What is wrong with one statement."""
    if difference_minor and head.closing is not None:
        yield Issue(
            code=Code.STATEMENT_DOES_NOT_ADD_UP, subject=head.subject, currency=head.currency,
            expected_minor=signed(head.closing), actual_minor=signed(head.closing) + difference_minor,
            details="closing balance, and opening balance with all entries that are recorded"
            + (f"; {parked} lines are parked" if parked else ""),
        )  # fmt: skip
    if parked:
        yield Issue(
            code=Code.STATEMENT_LINES_PARKED, subject=head.subject, currency=head.currency,
            details=f"{parked} lines are parked: each with its position and reason",
        )  # fmt: skip


def gap(before: Head, after: Head, calendar: Calendar) -> Iterable[Issue]:
    """The one issue between two statements of an account that follow each other, if any is missing or contradicts."""
    words = [*_numbers(before, after), *_balances(before, after), *_days(before, after, calendar)]
    if words:
        known = before.closing is not None and after.opening is not None
        yield Issue(
            code=Code.STATEMENT_GAP, subject=before.after, currency=before.currency,
            expected_minor=signed(before.closing) if known and before.closing else None,
            actual_minor=signed(after.opening) if known and after.opening else None,
            details=f"next is {after.reference}: " + "; ".join(words),
        )  # fmt: skip


def _numbers(before: Head, after: Head) -> Iterable[str]:
    """A year, or a bank, may begin again with 1."""
    if before.sequence is None or after.sequence is None or after.sequence == before.sequence + 1:
        return
    if after.sequence == 1 and after.period_from.year > before.period_to.year:
        return
    yield f"number {after.sequence} follows {before.sequence}"


def _balances(before: Head, after: Head) -> Iterable[str]:
    if before.closing is None or after.opening is None:
        return
    if signed(before.closing) != signed(after.opening):
        yield f"it opens with {signed(after.opening)} and the one before closes with {signed(before.closing)}"


def _days(before: Head, after: Head, calendar: Calendar) -> Iterable[str]:
    """Only where nothing better than days says what is missing."""
    if calendar == "none" or (before.sequence is not None and after.sequence is not None):
        return
    missing, day = 0, before.period_to + timedelta(days=1)
    first = day
    while day < after.period_from and missing < DAYS_MAX:
        if calendar == "every" or day.weekday() < SATURDAY:
            missing += 1
            first = day if missing == 1 else first
        day += timedelta(days=1)
    if missing:
        yield f"{missing}{' or more' if missing == DAYS_MAX else ''} days are missing, the first is {first}"


DAYS_MAX = 366
