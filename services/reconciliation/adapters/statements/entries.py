"""The lines of one statement while they are being read: named where nobody named them, and of one currency."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from contracts.recon.v1 import StatementBalance, StatementKind, StatementSource
from services.reconciliation.domain.statements.shape import Park, ParkedLine, Statement, StatementLine


class NumberedLines:
    """Two equal lines without a reference are two lines: each has its number among its equals."""

    def __init__(self) -> None:
        self.lines: list[StatementLine] = []
        self._equals: Counter[str] = Counter()

    def add(self, line: StatementLine) -> None:
        """In the order of the file, on which the numbers hang."""
        if line.reference_by == "content":
            content = line.content
            self._equals[content] += 1
            line = replace(line, entry_reference=f"~{content}-{self._equals[content]}")
        self.lines.append(line)

    def statement(
        self, *, kind: StatementKind, source: StatementSource, message: str | None, partner: str, account: str,
        reference: str, currency: str, sequence: int | None, period_from: date, period_to: date,
        opening: StatementBalance | None, closing: StatementBalance | None, parked: Sequence[ParkedLine],
        not_booked: int = 0,
    ) -> Statement:  # fmt: skip
        """The whole, with the lines of another currency parked."""
        good = [each for each in self.lines if each.amount.currency == currency]
        strange = [_of_another_currency(each, currency) for each in self.lines if each.amount.currency != currency]
        return Statement(
            kind=kind, source=source, message=message, partner=partner, account=account, reference=reference,
            currency=currency, sequence=sequence, period_from=period_from, period_to=period_to, opening=opening,
            closing=closing, lines=tuple(good), parked=(*parked, *strange), not_booked=not_booked,
        )  # fmt: skip


def _of_another_currency(line: StatementLine, currency: str) -> ParkedLine:
    reason = f"its amount is in {line.amount.currency}, the account in {currency}"
    return ParkedLine(
        position=line.position, code=Park.CURRENCY_DIFFERS, reason=reason, raw=line.raw,
        entry_reference=line.entry_reference,
    )  # fmt: skip
