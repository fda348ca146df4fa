"""A statement of a day out of the book that a partner shows over HTTP: one for each account and currency.

The book has no balances, only entries in order: an account opens with the sum of all that was booked before the day.
A day is one of UTC.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from contracts.recon.v1 import Side, StatementBalance
from services.kernel.money import Currency, CurrencyUnsupported, Money, iso4217
from services.kernel.rejected import Rejected
from services.reconciliation.domain.facts import SETTLED
from services.reconciliation.domain.statements.amounts import masked, reference
from services.reconciliation.domain.statements.shape import (
    LINES_MAX,
    BadFile,
    BadLine,
    Park,
    ParkedLine,
    Statement,
    StatementLine,
)
from services.reconciliation.ports import Book, Collected, Paid


@dataclass
class _Account:
    """An account of the book until the day, and its lines on it."""

    before_minor: int = 0
    lines: list[StatementLine] = field(default_factory=list)
    parked: list[ParkedLine] = field(default_factory=list)
    not_booked: int = 0


async def read(book: Book, partner: str, day: date) -> tuple[Statement, ...]:
    """What the book of `partner` has of `day`. Raises BookUnavailable; BadFile when that is nothing."""
    accounts: dict[tuple[str, str], _Account] = defaultdict(_Account)
    async for page in book.pages():
        for collected in page.collected:
            if collected.partner == partner:
                _collected(collected, day, accounts["collected", collected.currency])
        for paid in page.paid:
            _paid(paid, day, accounts["paid", paid.currency])
        if sum(len(each.lines) for each in accounts.values()) > LINES_MAX:
            raise BadFile(f"more than {LINES_MAX} entries on {day}")
    made = [_statement(partner, *where, day, each) for where, each in accounts.items() if each.lines or each.parked]
    if not made:
        raise BadFile(f"the book of {partner} has nothing of {day}")
    return tuple(made)


def _collected(each: Collected, day: date, account: _Account) -> None:
    _entry(
        each.seq, each.booked_at, "credit", each.amount_minor, each.currency, day, account,
        our_reference=None, end_to_end_id=None, references=(each.reference,),
    )  # fmt: skip


def _paid(each: Paid, day: date, account: _Account) -> None:
    """Only what is settled has left the account."""
    if each.status != SETTLED or each.settled_at is None:
        account.not_booked += each.accepted_at.astimezone(UTC).date() == day
        return
    _entry(
        each.seq, each.settled_at, "debit", each.amount_minor, each.currency, day, account,
        our_reference=str(each.transfer_id) if each.transfer_id else None, end_to_end_id=each.payment_id, references=(),
    )  # fmt: skip


def _entry(
    seq: int, at: datetime, side: Side, minor: int, currency: str, day: date, account: _Account, *,
    our_reference: str | None, end_to_end_id: str | None, references: Sequence[str],
) -> None:  # fmt: skip
    booked = at.astimezone(UTC).date()
    if booked < day:
        account.before_minor += minor if side == "credit" else -minor
    if booked != day:
        return
    position = f"book entry {seq}"
    try:
        account.lines.append(
            StatementLine(
                position=position, entry_reference=f"{seq}", reference_by="servicer", booking_date=booked,
                value_date=booked, amount=_money(minor, currency), side=side, our_reference=our_reference,
                end_to_end_id=reference(end_to_end_id), references=tuple(filter(None, map(reference, references))),
                raw=f"{side} {minor} {currency}",
            )
        )  # fmt: skip
    except BadLine as bad:
        raw = masked(f"{side} {minor} {currency[:8]}")
        account.parked.append(ParkedLine(position=position, code=bad.code, reason=bad.reason, raw=raw))


def _money(minor: int, currency: str) -> Money:
    try:
        return Money(minor, iso4217(currency))
    except Rejected as refused:
        raise BadLine(Park.AMOUNT_INVALID, refused.detail[:80]) from None


def _statement(partner: str, what: str, currency: str, day: date, account: _Account) -> Statement:
    try:
        known = iso4217(currency)
    except CurrencyUnsupported:
        raise BadFile(f"the book of {partner} has a currency that there is not: {currency[:8]}") from None
    net = sum(each.amount.minor if each.side == "credit" else -each.amount.minor for each in account.lines)
    name = f"{partner} {what} {currency}"
    return Statement(
        kind="statement", source="book", message=None, partner=partner, account=name, reference=str(day),
        currency=currency, sequence=None, period_from=day, period_to=day,
        opening=_balance(account.before_minor, known), closing=_balance(account.before_minor + net, known),
        lines=tuple(account.lines), parked=tuple(account.parked), not_booked=account.not_booked,
    )  # fmt: skip


def _balance(minor: int, currency: Currency) -> StatementBalance:
    return StatementBalance(side="debit" if minor < 0 else "credit", amount=Money(abs(minor), currency))
