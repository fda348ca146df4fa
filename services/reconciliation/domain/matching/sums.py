"""Batched and split settlements: sums that agree. Searches are bounded, and find one answer or none. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from contracts.recon.v1 import LineDetail
from services.reconciliation.domain.matching import evidence
from services.reconciliation.domain.matching.policy import booked_between, moved_between
from services.reconciliation.domain.matching.remaining import Remaining
from services.reconciliation.domain.matching.shape import Entry, Line, Match, Movement, Pass, Sheet, day, named_by

GROUP_MAX = 1_000  # entries of one match: it is an event, and a person reads it
SEARCHED_MAX = 12  # entries among which a sum is searched: 4,096 subsets
SEARCHES_MAX = 1_000  # in one round of a pass: 4 million subsets at the most

Book = dict[tuple[Sheet, bool], list[Entry]]


def batch_details(remaining: Remaining) -> Iterator[Match]:
    """A line that says what it is made of: each part names a movement of that amount, and the parts are the whole."""
    used: set[str] = set()
    for line in remaining.lines:
        parts = _parts(remaining, line, used)
        if parts and not remaining.refused.forbids([m.key for m in parts], (line.key,)):
            used.update(movement.key for movement in parts)
            yield evidence.group(Pass.BATCH_DETAILS, parts, (line,))


def _parts(remaining: Remaining, line: Line, used: set[str]) -> list[Movement]:
    """All of them, or none."""
    stated = sum(detail.amount.minor for detail in line.details if detail.amount)
    if not 2 <= len(line.details) <= GROUP_MAX or line.details_left_out or stated != line.amount.minor:
        return []
    found: dict[str, Movement] = {}
    for detail in line.details:
        movement = _part(remaining, line, detail, used | found.keys())
        if movement is None:
            return []
        found[movement.key] = movement
    return list(found.values())


def _part(remaining: Remaining, line: Line, detail: LineDetail, used: set[str]) -> Movement | None:
    named = (m for name in named_by(detail) for m in remaining.movements_by_name.get((line.sheet, name), ()))
    return next((m for m in named if m.amount == detail.amount and m.key not in used), None)


def reference_sum(remaining: Remaining) -> Iterator[Match]:
    """All that is called by one name, where one side is a single entry and the sums agree."""
    used: set[str] = set()
    for (sheet, name), movements in remaining.movements_by_name.items():
        lines = remaining.lines_by_name.get((sheet, name), [])
        keys = [*(m.key for m in movements), *(line.key for line in lines)]
        if _one_to_some(movements, lines) and used.isdisjoint(keys) and _allowed(remaining, movements, lines):
            used.update(keys)
            yield evidence.group(Pass.REFERENCE_SUM, movements, lines, name)


def _one_to_some(movements: Sequence[Movement], lines: Sequence[Line]) -> bool:
    few, many = sorted((len(movements), len(lines)))
    return few == 1 and 2 <= many <= GROUP_MAX and _sum(movements) == _sum(lines)


def many_to_one(remaining: Remaining) -> Iterator[Match]:
    """A line that names nothing: all movements of one day within its window, or the only few that make its sum."""
    movements = _book(remaining.loose_movements)
    days = _days(remaining.loose_movements)
    targets = [line for line in remaining.loose_lines if line.silent]
    found = []
    searches = iter(range(SEARCHES_MAX))
    for line in targets:
        assert line.on is not None
        span = moved_between(line.on, remaining.policies.window(line.partner))
        parts = _whole_day(line, days, span) or _search(remaining, line, movements, span, searches)
        if parts:
            found.append((parts, [line]))
    return _undisputed(Pass.MANY_TO_ONE, remaining, found)


def one_to_many(remaining: Remaining) -> Iterator[Match]:
    """A movement that no line names: the only few lines within its window that name nothing and make its sum."""
    lines = _book(tuple(line for line in remaining.loose_lines if line.silent))
    found = []
    searches = iter(range(SEARCHES_MAX))
    for movement in remaining.loose_movements:
        span = booked_between(movement, remaining.policies.window(movement.partner))
        parts = _search(remaining, movement, lines, span, searches)
        if parts:
            found.append(([movement], parts))
    return _undisputed(Pass.ONE_TO_MANY, remaining, found)


def _undisputed(
    found_by: Pass, remaining: Remaining, found: list[tuple[list[Movement], list[Line]]]
) -> Iterator[Match]:
    """Who is wanted by two is left to a person: the order of entries decides nothing here."""
    ours = Counter(movement.key for movements, _ in found for movement in movements)
    theirs = Counter(line.key for _, lines in found for line in lines)
    for movements, lines in found:
        sole = all(ours[m.key] == 1 for m in movements) and all(theirs[line.key] == 1 for line in lines)
        if sole and _allowed(remaining, movements, lines):
            yield evidence.group(found_by, movements, lines)


def _allowed(remaining: Remaining, movements: Sequence[Movement], lines: Sequence[Line]) -> bool:
    return not remaining.refused.forbids([m.key for m in movements], [line.key for line in lines])


Days = dict[tuple[Sheet, bool, date], list[Movement]]


def _days(movements: Sequence[Movement]) -> Days:
    found: Days = defaultdict(list)
    for movement in movements:
        found[movement.sheet, movement.reversal, movement.on].append(movement)
    return {day: batch for day, batch in found.items() if 2 <= len(batch) <= GROUP_MAX}


def _whole_day(line: Line, days: Days, span: tuple[date, date]) -> list[Movement]:
    """Everything of a day, if one day alone makes the sum."""
    first, last = span
    batches = (
        days.get((line.sheet, line.reversal, first + timedelta(days=n)), []) for n in range((last - first).days + 1)
    )
    fitting = [batch for batch in batches if batch and _sum(batch) == line.amount.minor]
    return fitting[0] if len(fitting) == 1 else []


def _book(entries: Sequence[Entry]) -> Book[Entry]:
    found: Book[Entry] = defaultdict(list)
    for entry in entries:
        found[entry.sheet, entry.reversal].append(entry)
    return found


def _search(
    remaining: Remaining, target: Movement | Line, book: Book[Entry], span: tuple[date, date], searches: Iterator[int]
) -> list[Entry]:
    """The only entries of the span that make the target's amount; none where more than SEARCHED_MAX could."""
    entries = book.get((target.sheet, target.reversal), [])
    start, end = bisect_left(entries, span[0], key=day), bisect_right(entries, span[1], key=day)
    if not 2 <= end - start <= SEARCHED_MAX or next(searches, None) is None:
        return []
    near = entries[start:end]
    answers = subsets(tuple(entry.amount.minor for entry in near), target.amount.minor)
    return [near[n] for n in answers[0]] if len(answers) == 1 else []


def subsets(amounts: Sequence[int], wanted: int) -> list[tuple[int, ...]]:
    """Indices of two or more amounts that make `wanted`: the first two answers at the most."""
    answers: list[tuple[int, ...]] = []

    def go(at: int, missing: int, chosen: tuple[int, ...]) -> None:
        if missing == 0 and len(chosen) > 1:
            answers.append(chosen)
        if missing <= 0 or len(answers) > 1:
            return
        for n in range(at, len(amounts)):
            if 0 < amounts[n] <= missing:
                go(n + 1, missing - amounts[n], (*chosen, n))

    go(0, wanted, ())
    return answers[:2]


def _sum(entries: Sequence[Movement | Line]) -> int:
    return sum(entry.amount.minor for entry in entries)
