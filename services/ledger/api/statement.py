"""A statement: an account's lines between two moments, with the balance behind each. Pages, or all of it as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.kernel.book import Reader
from services.kernel.book_balances import LINE_MAX, AccountBalance, on_side, position
from services.kernel.book_entries import StatementLine, statement_lines
from services.kernel.book_moments import Moment
from services.ledger.api.views import line_view, stand_view

CSV_LINES = 1_000  # that are read at once
CSV_LINES_MAX = 100_000  # of one answer: 3 to 6 s, and the door gives it 30
COLUMNS = (
    "row", "account_id", "entry_seq", "line", "posted_at", "caused_at", "kind", "side", "amount_minor", "balance_minor",
    "currency", "entry_id", "cause_id", "transfer_id", "next_cursor",
)  # fmt: skip
At = tuple[int, int]  # an entry's number and a line of it; what follows is behind it
Sides = tuple[int, int]  # debits and credits, in minor units
Rows = list[Sequence[Any]]


def beginning(opening: Moment) -> At:
    """Where a statement begins."""
    return opening.entry_seq, LINE_MAX


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One account from behind one moment up to another, itself too. Entries never change, so that pages which are read
    one after the other belong together."""

    db: Reader
    account: AccountBalance
    opening: Moment
    closing: Moment

    async def page(self, after: At, limit: int) -> tuple[dict[str, Any], At | None]:
        """(the page behind a line, where the next one begins; None at the end)."""
        lines, sides = await self._lines(after, limit + 1), await self._sides(after)
        items = [line_view(line, balance) for line, balance in self._running(lines[:limit], sides)]
        following = (lines[limit - 1].entry_seq, lines[limit - 1].line) if len(lines) > limit else None
        normal = self.account.normal_side
        opening, closing = await self._stands()
        told = {
            "account_id": self.account.account_id,
            "currency": self.account.currency,
            "normal_side": normal,
            "opening": stand_view(self.opening, normal, opening),
            "closing": stand_view(self.closing, normal, closing),
            "items": items,
        }
        return told, following

    async def rows(self, after: At, cursor: Callable[[At], str], most: int = CSV_LINES_MAX) -> AsyncIterator[Rows]:
        """For CSV: `opening`, a `line` each, `closing`; or, when there are more than `most` lines, `more` with the
        cursor of the rest, which begins without `opening`. Whoever has neither at the end has not got all of it."""
        opening, closing = await self._stands()
        if after == beginning(self.opening):
            yield [self._stand("opening", self.opening, opening)]
        sides, left = await self._sides(after), most
        while left > 0:
            lines = await self._lines(after, min(CSV_LINES, left))
            yield [self._row(line, balance) for line, balance in self._running(lines, sides)]
            if len(lines) < min(CSV_LINES, left):
                yield [self._stand("closing", self.closing, closing)]
                return
            after, left = (lines[-1].entry_seq, lines[-1].line), left - len(lines)
            sides = moved(sides, lines)
        yield [ordered({"row": "more", "account_id": self.account.account_id, "next_cursor": cursor(after)})]

    async def _lines(self, after: At, limit: int) -> list[StatementLine]:
        return await statement_lines(self.db, self.account.account_id, after, self.closing.entry_seq, limit)

    async def _sides(self, after: At) -> Sides:
        return await position(self.db, self.account.account_id, *after)

    async def _stands(self) -> tuple[Sides, Sides]:
        return await self._sides(beginning(self.opening)), await self._sides(beginning(self.closing))

    def _running(self, lines: Sequence[StatementLine], sides: Sides) -> list[tuple[StatementLine, int]]:
        told = []
        for line in lines:
            sides = moved(sides, [line])
            told.append((line, on_side(self.account.normal_side, *sides)))
        return told

    def _stand(self, row: str, at: Moment, sides: Sides) -> Sequence[Any]:
        balance = on_side(self.account.normal_side, *sides)
        known = {
            "row": row,
            "account_id": self.account.account_id,
            "entry_seq": at.entry_seq,
            "posted_at": at.posted_at,
        }
        return ordered(known | {"balance_minor": balance, "currency": self.account.currency})

    def _row(self, line: StatementLine, balance: int) -> Sequence[Any]:
        known = line_view(line, balance) | {"row": "line", "account_id": self.account.account_id}
        return ordered(known | {"currency": self.account.currency})


def moved(sides: Sides, lines: Sequence[StatementLine]) -> Sides:
    """(debits, credits) behind the lines."""
    debit, credit = sides
    return (
        debit + sum(line.amount_minor for line in lines if line.side == "debit"),
        credit + sum(line.amount_minor for line in lines if line.side == "credit"),
    )


def ordered(known: dict[str, Any]) -> Sequence[Any]:
    """Values in the order of COLUMNS."""
    return [known.get(name) for name in COLUMNS]


def csv_text(rows: Rows) -> bytes:
    """Lines as RFC 4180 has them but for their ends; every text in them is ours."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([[_cell(value) for value in row] for row in rows])
    return written.getvalue().encode()


def _cell(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
