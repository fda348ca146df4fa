"""What is left on both sides, put together where it is one difference, each with its cause. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from services.kernel.money import Money, total
from services.kernel.value import value
from services.reconciliation.domain.matching.causes import RANK, Cause, of_line_beside, of_named
from services.reconciliation.domain.matching.pairs import Candidates
from services.reconciliation.domain.matching.remaining import Remaining
from services.reconciliation.domain.matching.shape import Entry, Line, Movement, Sheet

LINKS_MAX = 3  # to others that it could be, of each entry: together they hold all that are one difference


@value(kw_only=True)
class Difference:
    """One break: what it is about on both sides, with the sums of each in each currency."""

    cause: Cause
    sheet: Sheet  # of the first movement, or else of the first line
    movements: tuple[str, ...]  # keys, left
    lines: tuple[str, ...]
    ours: tuple[Money, ...]  # by currency
    theirs: tuple[Money, ...]
    beside: tuple[str, ...] = ()  # matched movements that are named, or were counted twice


@value(kw_only=True)
class Link:
    """A left movement and a left line that are one difference; either may be missing."""

    cause: Cause
    movement: Movement | None = None
    line: Line | None = None
    beside: str | None = None


def differences(remaining: Remaining) -> tuple[Difference, ...]:
    """Each left entry is in one of them. What is called by name is put with its name, before anything is guessed."""
    links = [*_undone(remaining), *_named(remaining), *_beside(remaining)]
    links.extend(_alike(remaining, links))
    links.extend(_alone(remaining, links))
    return tuple(_difference(group) for group in _together(links))


def _undone(remaining: Remaining) -> Iterator[Link]:
    movements = {movement.key: movement for movement in remaining.movements}
    for line in remaining.lines:
        for key in remaining.refused.of_line(line.key):
            if key in movements:
                yield Link(cause=Cause.UNDONE, movement=movements[key], line=line)


def _named(remaining: Remaining) -> Iterator[Link]:
    """By name in any account, currency or side of the partner: at most LINKS_MAX of a name for each entry."""
    movements, lines = _names(remaining.movements), _names(remaining.lines)
    for line in remaining.lines:
        for movement in _called(line, movements):
            yield Link(cause=of_named(movement, line), movement=movement, line=line)
    for movement in remaining.movements:
        for line in _called(movement, lines):
            yield Link(cause=of_named(movement, line), movement=movement, line=line)


def _called(entry: Movement | Line, names: dict[tuple[str, str], list[Entry]]) -> list[Entry]:
    return _unique(other for name in entry.names for other in names.get((entry.partner, name), ())[:LINKS_MAX])


def _beside(remaining: Remaining) -> Iterator[Link]:
    """Entries that name a payment that was matched with another."""
    used = _names(tuple(remaining.used[key] for match in remaining.matches for key in match.movements))
    for line in remaining.lines:
        for movement in _first(line, used):
            yield Link(cause=of_line_beside(movement, line), line=line, beside=movement.key)
    for movement in remaining.movements:
        for twin in _first(movement, used):
            if (twin.sheet, twin.amount) == (movement.sheet, movement.amount):
                yield Link(cause=Cause.RECORDED_TWICE, movement=movement, beside=twin.key)


def _first(entry: Movement | Line, used: dict[tuple[str, str], list[Movement]]) -> list[Movement]:
    return next((used[entry.partner, name][:1] for name in entry.names if (entry.partner, name) in used), [])


def _alike(remaining: Remaining, links: Sequence[Link]) -> Iterator[Link]:
    """By amount and day: those that several could be, then those of which there is one on each side."""
    known_movements, known_lines = _keys(links)
    movements = [m for m in remaining.loose_movements if m.key not in known_movements]
    lines = [line for line in remaining.loose_lines if line.key not in known_lines]
    ambiguous = list(_ambiguous(remaining, movements, lines))
    yield from ambiguous
    ours, theirs = _keys(ambiguous)
    yield from _sole(
        remaining, [m for m in movements if m.key not in ours], [line for line in lines if line.key not in theirs]
    )


def _ambiguous(remaining: Remaining, movements: Sequence[Movement], lines: Sequence[Line]) -> Iterator[Link]:
    of_lines, of_movements = Candidates(remaining, movements), Candidates(remaining, lines)
    for line in lines:
        for movement in of_lines.movements(line, LINKS_MAX):
            yield Link(cause=Cause.AMBIGUOUS, movement=movement, line=line)
    for movement in movements:
        for line in of_movements.lines(movement, LINKS_MAX):
            yield Link(cause=Cause.AMBIGUOUS, movement=movement, line=line)


def _sole(remaining: Remaining, movements: Sequence[Movement], lines: Sequence[Line]) -> Iterator[Link]:
    """One movement and one line of an amount: what keeps them apart is the reference, or the day."""
    ours, theirs = _amounts(movements), _amounts(lines)
    for amount, few in ours.items():
        others = theirs.get(amount, [])
        if len(few) == len(others) == 1:
            movement, line = few[0], others[0]
            silent = movement.silent or line.silent
            if silent or _near(remaining, movement, line):
                cause = Cause.DATE_DIFFERS if silent else Cause.REFERENCE_DIFFERS
                yield Link(cause=cause, movement=movement, line=line)


def _near(remaining: Remaining, movement: Movement, line: Line) -> bool:
    window = remaining.policies.window(line.partner)
    assert line.on is not None
    return -window.before <= (line.on - movement.on).days <= window.after


def _alone(remaining: Remaining, links: Sequence[Link]) -> Iterator[Link]:
    movements, lines = _keys(links)
    for movement in remaining.movements:
        if movement.key not in movements:
            yield Link(cause=Cause.NOT_ON_STATEMENT, movement=movement)
    for line in remaining.lines:
        if line.key not in lines:
            yield Link(cause=Cause.REVERSAL_UNKNOWN if line.reversal else Cause.NOT_IN_OUR_BOOKS, line=line)


def _together(links: Sequence[Link]) -> list[list[Link]]:
    """Links that share an entry, as one group: in the order of their first."""
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(of: tuple[str, str]) -> tuple[str, str]:
        while parent.setdefault(of, of) != of:
            parent[of] = parent[parent[of]]
            of = parent[of]
        return of

    for link in links:
        ends = _ends(link)
        parent[root(ends[-1])] = root(ends[0])
    groups: dict[tuple[str, str], list[Link]] = defaultdict(list)
    for link in links:
        groups[root(_ends(link)[0])].append(link)
    return list(groups.values())


def _ends(link: Link) -> list[tuple[str, str]]:
    ours = [("movement", link.movement.key)] if link.movement else []
    theirs = [("line", link.line.key)] if link.line else []
    return [*ours, *theirs]


def _difference(links: Sequence[Link]) -> Difference:
    movements = _unique(link.movement for link in links if link.movement)
    lines = _unique(link.line for link in links if link.line)
    cause = min((link.cause for link in links), key=RANK.__getitem__)
    if cause == Cause.AMOUNT_DIFFERS and len(movements) + len(lines) > 2:
        cause = Cause.SUM_DIFFERS
    return Difference(
        cause=cause, sheet=(movements or lines)[0].sheet,
        movements=tuple(m.key for m in movements), lines=tuple(line.key for line in lines),
        ours=_sums(movements), theirs=_sums(lines),
        beside=tuple(sorted({link.beside for link in links if link.beside})),
    )  # fmt: skip


def _sums(entries: Sequence[Movement] | Sequence[Line]) -> tuple[Money, ...]:
    currencies = sorted({entry.amount.currency for entry in entries})
    return tuple(total((e.amount for e in entries if e.amount.currency == code), code) for code in currencies)


def _unique(entries: Iterable[Entry]) -> list[Entry]:
    return list({entry.key: entry for entry in entries}.values())


def _keys(links: Sequence[Link]) -> tuple[set[str], set[str]]:
    return {link.movement.key for link in links if link.movement}, {link.line.key for link in links if link.line}


def _names(entries: Sequence[Entry]) -> dict[tuple[str, str], list[Entry]]:
    found: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        for name in dict.fromkeys(entry.names):
            found[entry.partner, name].append(entry)
    return dict(found)


def _amounts(entries: Sequence[Entry]) -> dict[tuple[Sheet, int, bool], list[Entry]]:
    found: dict[tuple[Sheet, int, bool], list[Entry]] = defaultdict(list)
    for entry in entries:
        found[entry.sheet, entry.amount.minor, entry.reversal].append(entry)
    return dict(found)
