"""What no pass has matched yet, as the next pass sees it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

from services.reconciliation.domain.matching.policy import Policies
from services.reconciliation.domain.matching.shape import Entry, Line, Match, Movement, Sheet
from services.reconciliation.domain.matching.undo import Refused


class Remaining:
    """Movements and lines in their order, with what the passes before have made."""

    def __init__(
        self, movements: tuple[Movement, ...], lines: tuple[Line, ...], policies: Policies, refused: Refused,
        matches: tuple[Match, ...] = (), used: dict[str, Movement] | None = None,
    ) -> None:  # fmt: skip
        """Both come in_order(). `used`: matched movements by key."""
        self.movements = movements
        self.lines = lines
        self.policies = policies
        self.refused = refused
        self.matches = matches
        self.used = used or {}

    def without(self, made: Iterable[Match]) -> Remaining:
        """What remains after these. Asserts that nothing is used twice."""
        made = tuple(made)
        ours, theirs = [k for m in made for k in m.movements], [k for m in made for k in m.lines]
        gone, booked = set(ours), set(theirs)
        assert len(gone) == len(ours), "a movement was used twice"
        assert len(booked) == len(theirs), "a line was used twice"
        kept = tuple(m for m in self.movements if m.key not in gone)
        left = tuple(line for line in self.lines if line.key not in booked)
        assert len(kept) == len(self.movements) - len(gone), "a movement was used before"
        assert len(left) == len(self.lines) - len(booked), "a line was used before"
        used = {**self.used, **{m.key: m for m in self.movements if m.key in gone}}
        return Remaining(kept, left, self.policies, self.refused, (*self.matches, *made), used)

    @cached_property
    def movements_by_name(self) -> dict[tuple[Sheet, str], list[Movement]]:
        """Unused movements by what they can be called, in their order."""
        return _by_name(self.movements)

    @cached_property
    def lines_by_name(self) -> dict[tuple[Sheet, str], list[Line]]:
        """Unused lines by what they call their payment, in their order."""
        return _by_name(self.lines)

    @cached_property
    def loose_movements(self) -> tuple[Movement, ...]:
        """Those that no unused line calls by name: who is called is not a stranger's."""
        return tuple(m for m in self.movements if not any((m.sheet, n) in self.lines_by_name for n in m.names))

    @cached_property
    def loose_lines(self) -> tuple[Line, ...]:
        """Those that call no unused movement by name, and have a day."""
        return tuple(
            line for line in self.lines
            if line.on and not any((line.sheet, n) in self.movements_by_name for n in line.names)
        )  # fmt: skip


def _by_name(entries: tuple[Entry, ...]) -> dict[tuple[Sheet, str], list[Entry]]:
    """An entry with two names stands under both."""
    found: dict[tuple[Sheet, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        for name in dict.fromkeys(entry.names):
            found[entry.sheet, name].append(entry)
    return dict(found)
