"""A person takes a match back: what was undone is data, and is not made again automatically. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from services.kernel.rejected import Invalid, NotFound
from services.kernel.value import value
from services.reconciliation.domain.matching.shape import Match

REASON_MIN, REASON_MAX = 8, 500  # characters


class MatchNotFound(NotFound):
    """No such match stands: it was never made, or was undone with another one in its place."""


class UndoReasonInvalid(Invalid):
    """A reason has 8 to 500 characters: whoever reads it next year was not there."""


@value(kw_only=True)
class Undone:
    """A match that a person took back. Its keys are kept: it is refused by them, whichever pass would find it."""

    match_id: str
    movements: tuple[str, ...]
    lines: tuple[str, ...]
    reason: str
    undone_by: str


def undo(standing: Match | None, done: Undone | None, reason: str, by: str) -> tuple[Undone, ...]:
    """What to record; () when this match was undone before. Raises MatchNotFound, UndoReasonInvalid."""
    if done is not None:
        return ()
    if standing is None:
        raise MatchNotFound
    if not REASON_MIN <= len(reason.strip()) <= REASON_MAX:
        raise UndoReasonInvalid
    return (
        Undone(
            match_id=str(standing.match_id), movements=standing.movements, lines=standing.lines,
            reason=reason.strip(), undone_by=by,
        ),
    )  # fmt: skip


class Refused:
    """Which matches may not be made again: those that hold an undone one, alone or with more beside it."""

    def __init__(self, undone: Iterable[Undone] = ()) -> None:
        """An undone pair keeps its two apart in every match; an undone group is refused as a group."""
        self._by_line: dict[str, list[tuple[frozenset[str], frozenset[str]]]] = defaultdict(list)
        self._by_movement: dict[str, set[str]] = defaultdict(set)
        for one in undone:
            for line in one.lines:
                self._by_line[line].append((frozenset(one.movements), frozenset(one.lines)))
            for movement in one.movements:
                self._by_movement[movement].update(one.lines)

    def forbids(self, movements: Sequence[str], lines: Sequence[str]) -> bool:
        """Whether a person has said no to this, or to a part of it."""
        if not self._by_line:
            return False
        return any(
            theirs <= set(lines) and ours <= set(movements) and bool(ours) == bool(movements)
            for line in lines
            for ours, theirs in self._by_line.get(line, ())
        )

    def of_line(self, line: str) -> tuple[str, ...]:
        """The movements that it was taken from, by key."""
        return tuple(sorted({key for ours, _ in self._by_line.get(line, ()) for key in ours}))

    def of_movement(self, movement: str) -> tuple[str, ...]:
        """The lines that it was taken from, by key."""
        return tuple(sorted(self._by_movement.get(movement, ())))
