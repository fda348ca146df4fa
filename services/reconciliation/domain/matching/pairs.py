"""One movement, one line: by the partner's key, by our reference, by amount and day. Each O(n log n). Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from itertools import islice

from services.reconciliation.domain.matching import evidence
from services.reconciliation.domain.matching.policy import booked_between, moved_between
from services.reconciliation.domain.matching.remaining import Remaining
from services.reconciliation.domain.matching.shape import Field, Line, Match, Movement, Pass, Sheet, day
from services.reconciliation.domain.matching.undo import Refused


def exact_key(remaining: Remaining) -> Iterator[Match]:
    """The partner's own reference of the payment, and the amount."""
    return _by_name(
        remaining, Pass.EXACT_KEY, "partner_reference",
        lambda movement: (movement.partner_reference,) if movement.partner_reference else (),
        lambda line: line.partner_references,
    )  # fmt: skip


def reference_and_amount(remaining: Remaining) -> Iterator[Match]:
    """A reference of ours, letter by letter, and the amount. A reference that is cut, or looks alike, is another."""
    return _by_name(
        remaining, Pass.REFERENCE_AND_AMOUNT, "our_reference",
        lambda movement: movement.our_references, lambda line: line.our_references,
    )  # fmt: skip


Waiting = dict[tuple[Sheet, int, str], deque[Movement]]


def _by_name(
    remaining: Remaining, found_by: Pass, field: Field,
    ours: Callable[[Movement], Sequence[str]], theirs: Callable[[Line], Sequence[str]],
) -> Iterator[Match]:  # fmt: skip
    """The first of equal ones goes to the first: which of two equal payments under one name is which is no question."""
    waiting: Waiting = defaultdict(deque)
    for movement in remaining.movements:
        for name in ours(movement):
            waiting[movement.sheet, movement.amount.minor, name].append(movement)
    used: set[str] = set()
    for line in remaining.lines:
        for name in theirs(line):
            found = _first(waiting.get((line.sheet, line.amount.minor, name)), line, used, remaining.refused)
            if found is not None:
                used.add(found.key)
                yield evidence.pair(found_by, found, line, (field, name))
                break


def _first(queue: deque[Movement] | None, line: Line, used: set[str], refused: Refused) -> Movement | None:
    if queue is None:
        return None
    while queue and queue[0].key in used:
        queue.popleft()
    free = (m for m in queue if m.key not in used and not refused.forbids((m.key,), (line.key,)))
    return next(free, None)


def amount_and_date(remaining: Remaining) -> Iterator[Match]:
    """The amount within the partner's window, where each is the only one that the other could be."""
    of_lines, of_movements = Candidates.of_lines(remaining), Candidates.of_movements(remaining)
    for line in remaining.loose_lines:
        movements = of_lines.movements(line, 2)
        if len(movements) == 1 and len(of_movements.lines(movements[0], 2)) == 1:
            yield evidence.pair(Pass.AMOUNT_AND_DATE, movements[0], line)


Heap = tuple[Sheet, int, bool]  # with its amount, and whether it takes money back


class Candidates:
    """Who could be whom by amount and day. What says nothing of a reference could be any; what names one only what
    names none: a name that differs is a contradiction."""

    def __init__(self, remaining: Remaining, entries: Sequence[Movement] | Sequence[Line]) -> None:
        """`entries` come in_order(), each with a day."""
        self._policies, self._refused = remaining.policies, remaining.refused
        self._all: dict[Heap, list[Movement | Line]] = defaultdict(list)
        self._silent: dict[Heap, list[Movement | Line]] = defaultdict(list)
        for entry in entries:
            self._all[_heap(entry)].append(entry)
            if entry.silent:
                self._silent[_heap(entry)].append(entry)

    @classmethod
    def of_lines(cls, remaining: Remaining) -> Candidates:
        """The movements that a line could be."""
        return cls(remaining, remaining.loose_movements)

    @classmethod
    def of_movements(cls, remaining: Remaining) -> Candidates:
        """The lines that a movement could be."""
        return cls(remaining, remaining.loose_lines)

    def movements(self, line: Line, most: int) -> list[Movement]:
        """At most `most`, in their order."""
        assert line.on is not None
        first, last = moved_between(line.on, self._policies.window(line.partner))
        around = self._around(line, first, last)
        free = (m for m in around if isinstance(m, Movement) and not self._refused.forbids((m.key,), (line.key,)))
        return list(islice(free, most))

    def lines(self, movement: Movement, most: int) -> list[Line]:
        """At most `most`, in their order."""
        first, last = booked_between(movement, self._policies.window(movement.partner))
        around = self._around(movement, first, last)
        free = (x for x in around if isinstance(x, Line) and not self._refused.forbids((movement.key,), (x.key,)))
        return list(islice(free, most))

    def _around(self, entry: Movement | Line, first: date, last: date) -> Iterator[Movement | Line]:
        entries = (self._all if entry.silent else self._silent).get(_heap(entry), [])
        start, end = bisect_left(entries, first, key=day), bisect_right(entries, last, key=day)
        return (entries[n] for n in range(start, end))


def _heap(entry: Movement | Line) -> Heap:
    return entry.sheet, entry.amount.minor, entry.reversal
