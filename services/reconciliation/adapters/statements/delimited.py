"""CSV, as a partner's map says. A line of the file is a line of the statement: no field goes on in the next one, so
that a quotation mark too many spoils one line and not all behind it."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from contracts.recon.v1 import Side, StatementBalance
from services.kernel.money import Money
from services.reconciliation.adapters.statements.entries import NumberedLines
from services.reconciliation.adapters.statements.maps import Csv, SideColumn, TwoColumns
from services.reconciliation.domain.statements.amounts import (
    currency_of,
    decimal_text,
    masked,
    money,
    our_reference,
    reference,
)
from services.reconciliation.domain.statements.shape import (
    LINES_MAX,
    RAW_CHARS_MAX,
    BadFile,
    BadLine,
    Park,
    ParkedLine,
    Statement,
    StatementLine,
)

FIELDS_MAX = 200
KEPT = ("booking_date", "value_date", "amount", "currency", "entry_reference", "balance", "bank_transaction_code")
Cells = Mapping[str, str]


@dataclass
class _Open:
    """A statement of the file, while its lines are being read."""

    first: Cells
    lines: NumberedLines = field(default_factory=NumberedLines)
    parked: list[ParkedLine] = field(default_factory=list)
    running: list[tuple[int, str]] = field(default_factory=list)  # of first and last: net minor units, balance after


def read(body: bytes, partner: str, form: Csv) -> Iterator[Statement]:
    """Every statement of the file. Raises BadFile; a line that cannot be read is parked."""
    try:
        rows = body.decode(form.encoding).splitlines()
    except UnicodeDecodeError:
        raise BadFile(f"the file is not {form.encoding}, as the map of {partner} says") from None
    if len(rows) > LINES_MAX + 1:
        raise BadFile(f"more than {LINES_MAX} lines")
    try:
        head = _head(rows, form)
    except BadLine as bad:
        raise BadFile(f"the head of the file: {bad.reason}") from None
    found: dict[tuple[str, str], _Open] = {}
    homeless: list[ParkedLine] = []
    for number, row in enumerate(rows[1:], start=2):
        if row.strip():
            _row(f"line {number}", row, head, form, found, homeless)
    if not found:
        raise BadFile("there is no line in the file that can be read")
    next(iter(found.values())).parked.extend(homeless)
    for (account, named), each in found.items():
        yield _statement(account, named, each, partner, form)


def _head(rows: Sequence[str], form: Csv) -> Sequence[str]:
    head = _cells(rows[0], form) if rows else []
    wanted = [each for name in form.columns.__struct_fields__ if (each := getattr(form.columns, name))]
    match form.side:
        case SideColumn(column=column):
            wanted.append(column)
        case TwoColumns(credit=credit, debit=debit):
            wanted += [credit, debit]
        case _:
            pass
    missing = [each for each in wanted if each not in head]
    if missing or len(set(head)) != len(head):
        words = f"has no column {', '.join(missing)}" if missing else "has a column twice"
        raise BadFile(f"the head of the file {words}")
    return head


def _cells(row: str, form: Csv) -> list[str]:
    """Raises BadLine."""
    try:
        cells = next(csv.reader([row], delimiter=form.delimiter, strict=True))
    except csv.Error:
        raise BadLine(Park.UNREADABLE, "its quotation marks do not close") from None
    return [each.strip() for each in cells[:FIELDS_MAX]]


def _row(
    position: str, row: str, head: Sequence[str], form: Csv, found: dict[tuple[str, str], _Open],
    homeless: list[ParkedLine],
) -> None:  # fmt: skip
    """Into its statement, read or parked; a line that does not say of which it is goes with the first."""
    home, raw, named = homeless, masked(row)[:RAW_CHARS_MAX], None
    try:
        cells = _named(_cells(row, form), head)
        raw, named = _raw(cells, form), _cell(cells, form.columns.entry_reference)[:35] or None
        opened = _home(cells, form, found)
        home = opened.parked
        line = _line(position, raw, cells, form)
        opened.lines.add(line)
        if form.columns.balance:
            net = line.amount.minor if line.side == "credit" else -line.amount.minor
            opened.running.append((net, _cell(cells, form.columns.balance)))
    except BadLine as bad:
        home.append(ParkedLine(position=position, code=bad.code, reason=bad.reason, raw=raw, entry_reference=named))


def _named(cells: Sequence[str], head: Sequence[str]) -> Cells:
    if len(cells) != len(head):
        raise BadLine(Park.UNREADABLE, f"it has {len(cells)} fields and the head has {len(head)}")
    return dict(zip(head, cells, strict=True))


def _cell(cells: Cells, column: str | None) -> str:
    return cells[column] if column else ""


def _raw(cells: Cells, form: Csv) -> str:
    """What names nobody as it stands, everything else only in its form."""
    open_ = {getattr(form.columns, name) for name in KEPT}
    if isinstance(form.side, SideColumn):
        open_.add(form.side.column)
    if isinstance(form.side, TwoColumns):
        open_ |= {form.side.credit, form.side.debit}
    shown = [text if name in open_ else masked(text) for name, text in cells.items()]
    return form.delimiter.join(shown)[:RAW_CHARS_MAX]


def _home(cells: Cells, form: Csv, found: dict[tuple[str, str], _Open]) -> _Open:
    account = reference(_cell(cells, form.columns.account) or form.account, 35)
    if not account:
        raise BadLine(Park.REFERENCE_INVALID, "it does not say of which account it is")
    named = reference(_cell(cells, form.columns.statement), 35) or ""
    return found.setdefault((account, named), _Open(cells))


def _line(position: str, raw: str, cells: Cells, form: Csv) -> StatementLine:
    columns = form.columns
    amount, side = _amount(cells, form)
    named = reference(_cell(cells, columns.entry_reference), 35)
    return StatementLine(
        position=position, entry_reference=named or "", reference_by="servicer" if named else "content",
        booking_date=_day(_cell(cells, columns.booking_date), form),
        value_date=_day(text, form) if (text := _cell(cells, columns.value_date)) else None,
        amount=amount, side=side, bank_transaction_code=reference(_cell(cells, columns.bank_transaction_code), 70),
        end_to_end_id=reference(_cell(cells, columns.end_to_end_id), 36),
        our_reference=our_reference(_cell(cells, columns.remittance), _cell(cells, columns.end_to_end_id)), raw=raw,
    )  # fmt: skip


def _amount(cells: Cells, form: Csv) -> tuple[Money, Side]:
    """Raises BadLine."""
    match form.side:
        case SideColumn(column=column, credit=credit, debit=debit):
            word = cells[column]
            if word not in credit and word not in debit:
                raise BadLine(Park.SIDE_INVALID, f"{word[:12]!r} says neither credit nor debit")
            return _money(cells[form.columns.amount or ""], cells, form), "credit" if word in credit else "debit"
        case TwoColumns(credit=credit, debit=debit):
            if bool(cells[credit]) == bool(cells[debit]):
                raise BadLine(Park.SIDE_INVALID, "one of the columns of credits and debits must have the amount")
            return _money(cells[credit] or cells[debit], cells, form), "credit" if cells[credit] else "debit"
        case _:
            return _signed(cells[form.columns.amount or ""], cells, form)


def _signed(text: str, cells: Cells, form: Csv) -> tuple[Money, Side]:
    digits = text.removeprefix("-")
    side: Side = "debit" if digits != text else "credit"
    return _money(digits if side == "debit" else text.removeprefix("+"), cells, form), side


def _money(text: str, cells: Cells, form: Csv) -> Money:
    currency = _cell(cells, form.columns.currency) or form.currency or ""
    return money(decimal_text(text, form.decimal_mark, form.group_mark), currency)


def _day(text: str, form: Csv) -> date:
    try:
        return datetime.strptime(text, form.date_format).date()  # noqa: DTZ007 - a day as it is stated
    except ValueError:
        raise BadLine(Park.DATE_INVALID, f"{text[:24]!r} is no date of the form {form.date_format}") from None


def _statement(account: str, named: str, opened: _Open, partner: str, form: Csv) -> Statement:
    """Raises BadFile."""
    lines = opened.lines.lines
    days = [each.booking_date for each in lines if each.booking_date]
    if not days:
        raise BadFile(f"no line of {named or account} can be read: is the map of {partner} the right one?")
    currency = _cell(opened.first, form.columns.currency) or form.currency or ""
    try:
        currency_of(currency)
        opening, closing = _balances(opened, form)
        sequence = _number(_cell(opened.first, form.columns.sequence))
    except BadLine as bad:
        raise BadFile(f"statement {named or account}: {bad.reason}") from None
    return opened.lines.statement(
        kind="statement", source="csv", message=None, partner=partner, account=account,
        reference=named or f"{min(days)}/{max(days)}", currency=currency, sequence=sequence, period_from=min(days),
        period_to=max(days), opening=opening, closing=closing, parked=opened.parked,
    )  # fmt: skip


def _balances(opened: _Open, form: Csv) -> tuple[StatementBalance | None, StatementBalance | None]:
    """As columns say it, or by the running balance around the first and behind the last line."""
    opening = _balance(_cell(opened.first, form.columns.opening_balance), opened.first, form)
    closing = _balance(_cell(opened.first, form.columns.closing_balance), opened.first, form)
    if opened.running:
        (net, first), (_, last) = opened.running[0], opened.running[-1]
        behind_first = _balance(first, opened.first, form)
        if opening is None and behind_first is not None:
            opening = _less(behind_first, net)
        closing = closing or _balance(last, opened.first, form)
    return opening, closing


def _less(balance: StatementBalance, net_minor: int) -> StatementBalance:
    minor = (balance.amount.minor if balance.side == "credit" else -balance.amount.minor) - net_minor
    return StatementBalance(side="debit" if minor < 0 else "credit", amount=Money(abs(minor), balance.amount.currency))


def _balance(text: str, cells: Cells, form: Csv) -> StatementBalance | None:
    if not text:
        return None
    amount, side = _signed(text, cells, form)
    return StatementBalance(side=side, amount=amount)


def _number(text: str) -> int | None:
    if text and not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise BadLine(Park.UNREADABLE, "its number is no whole number")
    return int(text) if text else None
