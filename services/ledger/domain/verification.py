"""Does what stands in the books follow from what happened? Pure: rows and events in, what differs out, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from contracts.ledger.v1 import HoldEvent, HoldPlaced, HoldPosted, HoldRefused, HoldVoided, Posting
from services.kernel.money import Money, Rate
from services.ledger.domain.chart import CHART
from services.ledger.domain.templates import HELD

ChartRow = tuple[str, str, str, bool, str]  # kind, class, normal side, protected, owner


# Entries that services of ours ask for by HTTP: no event of another service makes them.
ASKED = frozenset({"treasury.float_funded", "treasury.swept"})


class Line(NamedTuple):
    """A posting as it stands in the books."""

    line: int
    account_id: str
    currency: str
    side: str
    amount_minor: int


class BookedEntry(NamedTuple):
    """An entry as it stands in the books, with its lines in their order."""

    entry_seq: int
    entry_id: UUID
    cause_id: UUID
    kind: str
    transfer_id: UUID | None
    caused_at: datetime
    posted_at: datetime
    lines: tuple[Line, ...]


def booked_entry(row: Sequence[Any], lines: Sequence[Sequence[Any]]) -> BookedEntry:
    """From the columns of both tables, in the order of the fields."""
    return BookedEntry._make((*row, tuple(map(Line._make, lines))))


class Wanted(Protocol):
    """What an entry ought to be: an event that is one, or the command that a fact makes."""

    @property
    def entry_id(self) -> UUID: ...
    @property
    def cause_id(self) -> UUID: ...
    @property
    def kind(self) -> str: ...
    @property
    def transfer_id(self) -> UUID | None: ...
    @property
    def lines(self) -> Sequence[Posting]: ...
    @property
    def caused_at(self) -> datetime: ...


class Said(Wanted, Protocol):
    """An event of the ledger that is an entry."""

    @property
    def posted_at(self) -> datetime: ...


def against_event(booked: BookedEntry, said: Said) -> Iterator[str]:
    """L10: what of the rows is not what the event says, byte for byte."""
    yield from against_cause(booked, said)
    if booked.posted_at != said.posted_at:
        yield f"posted_at is {booked.posted_at.isoformat()}, ought to be {said.posted_at.isoformat()}"


def against_cause(booked: BookedEntry, wanted: Wanted) -> Iterator[str]:
    """L10: what of the rows is not what the fact makes. When it was posted is the ledger's own affair."""
    ought = (wanted.entry_id, wanted.cause_id, wanted.kind, wanted.transfer_id, wanted.caused_at)
    if booked[_FIRST:_LAST] != ought:
        for name, stands, right in zip(BookedEntry._fields[_FIRST:_LAST], booked[_FIRST:_LAST], ought, strict=True):
            if stands != right:
                yield f"{name} is {stands}, ought to be {right}"
    lines = lines_of(wanted.lines)
    if booked.lines != lines:
        yield from _lines_differ(booked.lines, lines)


_FIRST, _LAST = 1, 6  # the fields of a booked entry that follow from what caused it


def lines_of(postings: Sequence[Posting]) -> tuple[Line, ...]:
    """The rows that these lines become."""
    return tuple(
        [
            Line(number, line.account, line.amount.currency, line.side, line.amount.minor)
            for number, line in enumerate(postings, start=1)
        ]
    )


def _lines_differ(stands: tuple[Line, ...], ought: tuple[Line, ...]) -> Iterator[str]:
    for number, (line, right) in enumerate(zip_longest(stands, ought), start=1):
        if line != right:
            yield f"line {number} is {_words(line)}, ought to be {_words(right)}"


def _words(line: Line | None) -> str:
    return f"{line.side} {line.account_id} {line.amount_minor} {line.currency}" if line else "missing"


class Exchange(NamedTuple):
    """How a customer's money became another currency, as the fact that the ledger posts says."""

    send: Money
    fee: Money
    spread: Money
    converted: Money
    receive: Money


def exchanged(took: Exchange, terms: Exchange, rate: Rate) -> Iterator[str]:
    """L8: what is not as it was promised, or does not follow from the locked rate by the documented rounding."""
    for name in Exchange._fields:
        if getattr(took, name) != getattr(terms, name):
            yield f"{name} is {getattr(took, name)}, promised was {getattr(terms, name)}"
    if rate.convert(took.converted) != took.receive:
        yield f"{took.converted} at {rate.value} make {rate.convert(took.converted)}, not {took.receive}"
    if took.fee + took.spread + took.converted != took.send:
        yield f"fee, spread and what was converted are not {took.send}"


def charted(rows: Sequence[ChartRow]) -> Iterator[str]:
    """What of the table `chart` is not the chart of this release."""
    ought = {line.kind: (line.kind, line.account_class, line.normal, line.protected, line.owner) for line in CHART}
    stands: Mapping[str, ChartRow] = {row[0]: row for row in rows}
    for kind in sorted(ought.keys() | stands.keys()):
        if stands.get(kind) != ought.get(kind):
            yield f"{kind} is {stands.get(kind, 'missing')}, ought to be {ought.get(kind, 'no kind')}"


class Holds:
    """L5: events of holds, stream by stream. `open` is what is held, by account, in minor units."""

    def __init__(self) -> None:
        self.open: Counter[str] = Counter()
        self._hold: object = None
        self._placed: HoldPlaced | None = None
        self._resolved = 0

    def take(self, event: HoldEvent) -> Iterator[str]:
        """The next event. What ought not to follow."""
        if event.hold_id != self._hold:
            self._hold, self._placed, self._resolved = event.hold_id, None, 0
        match event:
            case HoldPlaced():
                self._placed = event
                self.open[_held(event)] += event.amount.minor
            case HoldPosted() | HoldVoided():
                yield from self._resolve(event)
            case HoldRefused():
                self._resolved += 1
            case _:
                pass

    def _resolve(self, event: HoldPosted | HoldVoided) -> Iterator[str]:
        self._resolved += 1
        if self._placed is None:
            yield "is resolved and was never placed"
            return
        if self._resolved > 1:
            yield f"is resolved {self._resolved} times"
            return
        if isinstance(event, HoldPosted) and not event.amount <= self._placed.amount:
            yield f"posts {event.amount} of {self._placed.amount}"
        account = _held(self._placed)
        self.open[account] -= self._placed.amount.minor
        if not self.open[account]:
            del self.open[account]

    def against(self, held: Mapping[str, int]) -> Iterator[tuple[str, str]]:
        """Accounts on which the postings of holds do not add up to what is open, with words."""
        for account in sorted(self.open.keys() | held.keys()):
            if self.open.get(account, 0) != held.get(account, 0):
                yield account, f"open holds are {self.open.get(account, 0)}, their postings {held.get(account, 0)}"


def _held(placed: HoldPlaced) -> str:
    return f"{HELD.format(customer=placed.customer_id)}:{placed.amount.currency}"
