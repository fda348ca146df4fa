"""What must hold in the books, checked on what was read of them. Pure; `Found` says what does not hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from contracts.ledger.v1 import CurrencySums, Difference
from services.ledger.domain.blocks import Booked, Line, canonical
from services.ledger.domain.chart import account_kind, currency_of

UNATTRIBUTED = ""  # a difference of no currency: all of them are concerned

ZERO_SUM = "L1"  # debits and credits of an entry, by currency
SUMS = "L2"  # debits and credits of all balances, by currency
LINES = "L3"  # two lines or more, each to an account of its currency and as charted
DIGEST = "L6"  # a settled block is what it was
CAUSE = "L7"  # one cause, one entry
BALANCE = "L9"  # balance = sum of postings
EVENT = "L10"  # an entry is what its event says
NUMBERS = "numbers"  # entries are numbered without gaps


class Found(NamedTuple):
    """A difference in one currency, or UNATTRIBUTED."""

    currency: str
    difference: Difference


class Sides(NamedTuple):
    """Both sides of an account, in minor units."""

    debit_minor: int
    credit_minor: int


def entry_faults(entry: Booked, expected: Booked | None) -> list[Found]:
    """What is wrong with an entry in itself (L1, L3), or beside its event (L10).

    `expected` is the same entry by its event, of the same class; None when no event of it was found.
    """
    found = [*_unbalanced(entry), *_bad_lines(entry)]
    if expected is not None and entry != expected:
        found += _unlike(entry, expected)
    return found


def _unbalanced(entry: Booked) -> Iterable[Found]:
    net: Counter[str] = Counter()
    for line in entry.lines:
        net[line.currency] += line.amount_minor if line.side == "debit" else -line.amount_minor
    for currency, minor in net.items():
        if minor:
            yield _entry(ZERO_SUM, currency, entry, f"debits less credits {minor:+d}", abs(minor))


def _bad_lines(entry: Booked) -> Iterable[Found]:
    if len(entry.lines) < 2:
        only = entry.lines[0].currency if entry.lines else UNATTRIBUTED
        yield _entry(LINES, only, entry, f"{len(entry.lines)} lines", sum(line.amount_minor for line in entry.lines))
    for line in entry.lines:
        if currency_of(line.account_id) != line.currency or not _is_charted(line.account_id):
            found = f"line {line.line}: {line.currency} in {line.account_id}"[:200]
            yield _entry(LINES, line.currency, entry, found, line.amount_minor)


def _is_charted(account_id: str) -> bool:
    try:
        account_kind(account_id)
    except KeyError:
        return False
    return True


def _unlike(entry: Booked, expected: Booked) -> list[Found]:
    """The entry says something else than its event: in each currency of either."""
    is_, was = _amounts(entry), _amounts(expected)
    said = sha256(canonical(entry)).hexdigest()[:16]
    currencies = sorted({line.currency for line in (*entry.lines, *expected.lines)})
    moved = [name for name in currencies if is_.get(name) != was.get(name)] or currencies
    return [
        _entry(EVENT, name, entry, f"not what its event says: {said}", _apart(is_.get(name, {}), was.get(name, {})))
        for name in moved
    ]


def _amounts(entry: Booked) -> dict[str, dict[tuple[str, str], int]]:
    """By currency: (account, side) -> minor units."""
    amounts: dict[str, dict[tuple[str, str], int]] = {}
    for line in entry.lines:
        of = amounts.setdefault(line.currency, {})
        of[line.account_id, line.side] = of.get((line.account_id, line.side), 0) + line.amount_minor
    return amounts


def _apart(one: Mapping[tuple[str, str], int], other: Mapping[tuple[str, str], int]) -> int:
    return max((abs(one.get(at, 0) - other.get(at, 0)) for at in {*one, *other}), default=0)


def eventless(entry: Booked) -> list[Found]:
    """An entry that no event says: money made by hand."""
    currencies = {line.currency for line in entry.lines} or {UNATTRIBUTED}
    return [
        _entry(EVENT, name, entry, "no event says it", sum(x.amount_minor for x in entry.lines if x.currency == name))
        for name in sorted(currencies)
    ]


def _entry(check: str, currency: str, entry: Booked, found: str, minor: int) -> Found:
    subject = f"entry {entry.entry_seq}"
    return Found(currency, Difference(check=check, subject=subject, journal=entry.entry_id, found=found,
                                      difference_minor=minor))  # fmt: skip


def repeated(entry: Booked, times: int) -> list[Found]:
    """Its cause was booked more than once as this kind (L7)."""
    currencies = sorted({line.currency for line in entry.lines})
    return [_entry(CAUSE, name, entry, f"one of {times} of its cause and kind", 0) for name in currencies]


def orphaned(entry_seq: int, lines: Sequence[Line]) -> list[Found]:
    """Lines of an entry that does not exist."""
    minor: Counter[str] = Counter()
    for line in lines:
        minor[line.currency] += line.amount_minor
    return [
        Found(currency, Difference(check=LINES, subject=f"entry {entry_seq}", journal=None, found="lines of no entry",
                                   difference_minor=each))
        for currency, each in sorted(minor.items())
    ]  # fmt: skip


def not_as_charted(account_id: str, currency: str, found: str) -> Found:
    """An account that is not what the chart says, or is missing."""
    return Found(
        currency,
        Difference(check=LINES, subject=f"account {account_id}"[:200], journal=None, found=found, difference_minor=0),
    )


def missing(seq_from: int, seq_to: int, seen: Sequence[int]) -> list[Found]:
    """Numbers of a range that no entry has; of which currency, nobody can say."""
    gaps, expected = [], seq_from
    for number in (*sorted(set(seen)), seq_to + 1):
        if number > expected:
            gaps.append((expected, number - 1))
        expected = number + 1
    return [unnumbered(f"entries {first} to {last}", "missing") for first, last in gaps]


def unnumbered(subject: str, found: str) -> Found:
    """The numbers of the book do not fit."""
    return Found(UNATTRIBUTED, Difference(check=NUMBERS, subject=subject, journal=None, found=found,
                                          difference_minor=0))  # fmt: skip


def unequal(account_id: str, currency: str, where: str, is_: Sides, should: Sides) -> list[Found]:
    """A kept balance beside the sum of its postings (L9)."""
    debit, credit = is_.debit_minor - should.debit_minor, is_.credit_minor - should.credit_minor
    if not (debit or credit):
        return []
    subject, found = f"{where} of {account_id}"[:200], f"debit {debit:+d}, credit {credit:+d}"
    minor = max(abs(debit), abs(credit))
    return [Found(currency, Difference(check=BALANCE, subject=subject, journal=None, found=found,
                                       difference_minor=minor))]  # fmt: skip


def unbalanced_sums(sums: Iterable[CurrencySums]) -> list[Found]:
    """Debits and credits of all balances (L2)."""
    return [
        Found(each.currency, Difference(check=SUMS, subject="balances", journal=None,
                                        found=f"debits less credits {net:+d}", difference_minor=abs(net)))
        for each in sums
        if (net := each.debit_minor - each.credit_minor)
    ]  # fmt: skip


def unsettled(number: int, what: str, found: str) -> Found:
    """A settled block is not what its event says (L6)."""
    return Found(
        UNATTRIBUTED,
        Difference(check=DIGEST, subject=f"block {number}", journal=None, found=f"{what} {found}", difference_minor=0),
    )


def by_currency(found: Iterable[Found], all_currencies: Iterable[str]) -> dict[str, tuple[Difference, ...]]:
    """The differences of each currency; what is of none is of all."""
    everywhere, sorted_out = list(all_currencies), dict[str, list[Difference]]()
    for currency, difference in found:
        for name in [currency] if currency != UNATTRIBUTED else everywhere:
            sorted_out.setdefault(name, []).append(difference)
    return {name: tuple(each) for name, each in sorted(sorted_out.items())}
