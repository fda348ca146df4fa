"""What is matched, and what comes of it. Amounts in minor units; a side is the account's as its owner sees it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from typing import Literal, NamedTuple, TypeVar
from uuid import UUID

from contracts.recon.v1 import LineDetail, Side, StatementLineRecorded
from services.kernel.ids import derive
from services.kernel.money import Currency, Money
from services.kernel.rejected import Invalid
from services.kernel.value import value


class KeyTwice(Invalid):
    """Two movements, or two lines, came with one key: counted twice before they were matched."""


class Sheet(NamedTuple):
    """Nothing is matched across two of these."""

    partner: str
    account: str
    currency: Currency
    side: Side


@value(kw_only=True)
class Movement:
    """What our ledger, payouts or deposits say moved at a partner's account."""

    key: str  # of our books, unique: the posting, or the payout's or deposit's id
    partner: str
    account: str  # as the partner names it
    amount: Money
    side: Side
    on: date  # in the partner's time zone
    our_references: tuple[str, ...] = ()  # what we gave the partner, or asked the payer to name
    partner_reference: str | None = None  # what the partner gave us
    transfer_id: UUID | None = None
    reversal: bool = False

    @property
    def sheet(self) -> Sheet:
        """Where it can be matched."""
        return Sheet(self.partner, self.account, self.amount.currency, self.side)

    @property
    def names(self) -> tuple[str, ...]:
        """All that it could be called by."""
        return (*self.our_references, self.partner_reference) if self.partner_reference else self.our_references

    @property
    def silent(self) -> bool:
        """No reference of ours: nothing that a line says could contradict it."""
        return not self.our_references


@value(kw_only=True)
class Line:
    """An entry of a partner's statement, as far as matching looks at it."""

    key: str  # its line_id
    partner: str
    account: str
    amount: Money
    side: Side
    on: date | None  # booked, or else valued
    our_references: tuple[str, ...] = ()  # end_to_end_id, then what the remittance information names
    partner_references: tuple[str, ...] = ()  # its own of the entry, then those of the payment
    charges: Money | None = None  # taken by the partner, and included in the amount
    reversal: bool = False
    bank_transaction_code: str | None = None
    details: tuple[LineDetail, ...] = ()
    details_left_out: int = 0

    @property
    def sheet(self) -> Sheet:
        """Where it can be matched."""
        return Sheet(self.partner, self.account, self.amount.currency, self.side)

    @property
    def names(self) -> tuple[str, ...]:
        """All that it calls the payment, those of its details too."""
        inner = tuple(name for detail in self.details for name in named_by(detail))
        return (*self.our_references, *self.partner_references, *inner)

    @property
    def silent(self) -> bool:
        """No reference of ours, neither on it nor inside."""
        return not self.our_references and not any(named_by(detail) for detail in self.details)


def named_by(detail: LineDetail) -> tuple[str, ...]:
    """The references of ours that one transaction of a batch names."""
    return tuple(name for name in (detail.end_to_end_id, detail.our_reference) if name)


def recorded(line: StatementLineRecorded) -> Line:
    """A line as its event says it. A reference that was made of the content by us is nobody's key."""
    own = () if line.reference_by == "content" else (line.entry_reference,)
    return Line(
        key=str(line.line_id), partner=line.partner, account=line.account, amount=line.amount, side=line.side,
        on=line.booking_date or line.value_date, charges=line.charges, reversal=line.reversal,
        our_references=tuple(dict.fromkeys(name for name in (line.end_to_end_id, line.our_reference) if name)),
        partner_references=tuple(dict.fromkeys((*own, *line.references))),
        bank_transaction_code=line.bank_transaction_code, details=line.details, details_left_out=line.details_left_out,
    )  # fmt: skip


class Pass(StrEnum):
    """How a match was found, the surest first. Names stay: matches are stored under them."""

    EXACT_KEY = "EXACT_KEY"
    REFERENCE_AND_AMOUNT = "REFERENCE_AND_AMOUNT"
    AMOUNT_AND_DATE = "AMOUNT_AND_DATE"
    BATCH_DETAILS = "BATCH_DETAILS"
    REFERENCE_SUM = "REFERENCE_SUM"
    MANY_TO_ONE = "MANY_TO_ONE"
    ONE_TO_MANY = "ONE_TO_MANY"
    FEE_TAKEN_OFF = "FEE_TAKEN_OFF"
    FEE_LINE = "FEE_LINE"


Field = Literal["partner_reference", "our_reference", "amount", "date", "sum", "fee", "parts", "fee_of"]


@value
class Evidence:
    """One field of a match: what we say, what the partner says, how far apart (minor units, or days)."""

    field: Field
    ours: str
    theirs: str
    difference: int = 0


@value(kw_only=True)
class Match:
    """Movements and lines that are the same money. `fee`: what the partner took, and all that the sums differ by."""

    found_by: Pass
    sheet: Sheet
    movements: tuple[str, ...]  # keys, in order; none for a fee's own line
    lines: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    fee: Money | None = None

    @property
    def match_id(self) -> UUID:
        """Of what is matched and not of how: the same match found by another pass is the same."""
        return match_id(self.movements, self.lines)


def match_id(movements: Sequence[str], lines: Sequence[str]) -> UUID:
    """The id of a match of these keys, in whatever order they come."""
    return derive("match", "movements", *sorted(movements), "lines", *sorted(lines))


Entry = TypeVar("Entry", Movement, Line)


def in_order(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """By day, then key: the order that everything here goes by, whatever order they came in. Raises KeyTwice."""
    keys = {entry.key for entry in entries}
    if len(keys) != len(entries):
        raise KeyTwice(f"{len(entries) - len(keys)} more than keys")
    return tuple(sorted(entries, key=lambda entry: (day(entry), entry.key)))


def day(entry: Movement | Line) -> date:
    """The day that it is sorted by: a line without one comes last."""
    return entry.on or date.max
