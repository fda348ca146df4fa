"""The one inner shape of a statement: what every format is read into. Amounts in minor units. Pure."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from hashlib import sha256
from typing import Literal
from uuid import UUID

from contracts.recon.v1 import LineDetail, Side, StatementBalance, StatementKind, StatementSource
from services.kernel.ids import derive
from services.kernel.money import Money
from services.kernel.value import value

ReferenceBy = Literal["servicer", "statement", "content"]
RAW_CHARS_MAX = 500
DETAILS_MAX = 500  # of one line: an event has a bound
REFERENCES_MAX = 10
LINES_MAX = 50_000  # of a file, good and bad


class Park(StrEnum):
    """Why a line is not recorded. Names stay: parked lines are stored under them."""

    UNREADABLE = "UNREADABLE"
    AMOUNT_INVALID = "AMOUNT_INVALID"
    CURRENCY_DIFFERS = "CURRENCY_DIFFERS"
    SIDE_INVALID = "SIDE_INVALID"
    DATE_INVALID = "DATE_INVALID"
    REFERENCE_INVALID = "REFERENCE_INVALID"
    REFERENCE_TWICE = "REFERENCE_TWICE"
    CONTENT_DIFFERS = "CONTENT_DIFFERS"
    ENTRY_DIFFERS_ELSEWHERE = "ENTRY_DIFFERS_ELSEWHERE"


class BadLine(Exception):
    """A line that cannot be recorded, and why."""

    def __init__(self, code: Park, reason: str) -> None:
        """`reason` is for a person and repeats nothing of the line but its amount or date."""
        super().__init__(reason)
        self.code = code
        self.reason = reason


class BadFile(Exception):
    """Nothing of the file can be used, and why: its words are for the person who sent it."""


@value(kw_only=True)
class StatementLine:
    """An entry that the partner has booked."""

    position: str
    entry_reference: str
    reference_by: ReferenceBy
    booking_date: date | None
    value_date: date | None
    amount: Money
    side: Side
    reversal: bool = False
    bank_transaction_code: str | None = None
    end_to_end_id: str | None = None
    our_reference: str | None = None
    references: tuple[str, ...] = ()
    charges: Money | None = None
    details: tuple[LineDetail, ...] = ()
    details_left_out: int = 0
    raw: str = ""  # masked: kept only if the line is parked

    @property
    def content(self) -> str:
        """A digest of all that it says but where it stood."""
        return _digest(
            self.booking_date, self.value_date, self.amount, self.side, self.reversal, self.bank_transaction_code,
            self.end_to_end_id, self.our_reference, self.references, self.charges, self.details, self.details_left_out,
        )  # fmt: skip

    @property
    def money(self) -> str:
        """What must be the same wherever the partner names this entry, however much else is said there."""
        return f"{self.side} {self.amount.minor} {self.amount.currency}"


@value(kw_only=True)
class ParkedLine:
    """A line that cannot be recorded, with where it stood and as much of it as may be kept."""

    position: str
    code: Park
    reason: str
    raw: str
    entry_reference: str | None = None

    @property
    def content(self) -> str:
        """A digest of it."""
        return _digest(self.code, self.entry_reference, self.raw)


@value(kw_only=True)
class Statement:
    """One statement, or one notification, of one account. `reference`: the partner's own id of it."""

    kind: StatementKind
    source: StatementSource
    message: str | None
    partner: str
    account: str
    reference: str
    currency: str
    sequence: int | None
    period_from: date
    period_to: date
    opening: StatementBalance | None
    closing: StatementBalance | None
    lines: tuple[StatementLine, ...]
    parked: tuple[ParkedLine, ...] = ()
    not_booked: int = 0
    ledger_account: str | None = None

    def statement_id(self, tenant: str) -> UUID:
        """The same statement, the same id, whoever sends it and how often."""
        return derive("statement", tenant, self.partner, self.kind, self.account, self.reference)

    @property
    def content(self) -> str:
        """A digest of its head: another one under the same id is a correction of the partner's."""
        return _digest(self.currency, self.sequence, self.period_from, self.period_to, self.opening, self.closing)


def line_id(statement_id: UUID, entry_reference: str) -> UUID:
    """The stream of a line: of (account, statement, entry reference)."""
    return derive("statement-line", statement_id, entry_reference)


def parked_stream(statement_id: UUID, line: ParkedLine) -> UUID:
    """The stream of a line that cannot be read: the same line at the same place is one."""
    return derive("statement-parked-line", statement_id, line.position, line.content)


def signed(balance: StatementBalance) -> int:
    """Minor units, negative when overdrawn."""
    return balance.amount.minor if balance.side == "credit" else -balance.amount.minor


def _digest(*parts: object) -> str:
    return sha256("\x1f".join(map(_text, parts)).encode()).hexdigest()[:32]


def _text(part: object) -> str:
    """A part as text, spelled out: a class that gains a field later must not change what old lines are compared by."""
    match part:
        case Money():
            return f"{part.minor} {part.currency}"
        case StatementBalance():
            return f"{part.side} {_text(part.amount)}"
        case LineDetail():
            return f"({_text(part.end_to_end_id)},{_text(part.our_reference)},{_text(part.amount)})"
        case tuple():
            return f"[{','.join(map(_text, part))}]"
        case _:
            return "-" if part is None else str(part)
