"""How far a consumer is behind, in records and in seconds, from what it sees itself: no question to the broker.

The oldest record that was not taken came after the last one that was, and after the last look at which there was
nothing behind it. The later of the two is when it came at the earliest: its age is never said too low by more than the
time between two records, and too high by no more than the time between two looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from services.kernel.store import Partition

Behind = tuple[int, float]  # records, seconds


class Lag:
    """Of one consumer. Times are wall-clock seconds."""

    def __init__(self) -> None:
        self._taken: dict[Partition, tuple[int, float]] = {}  # offset of the last that was taken, and when it came
        self._level: dict[Partition, float] = {}  # the last look at which nothing was behind
        self._first: dict[Partition, float] = {}  # the first look of all

    def took(self, records: Iterable[Any], now: float) -> None:
        """These were taken, in order. A stranger's clock that is ahead of ours is not believed."""
        for at, last in {(each.topic, each.partition): each for each in records}.items():
            self._taken[at] = (last.offset, min(last.timestamp / 1_000, now))

    def look(
        self, positions: Mapping[Partition, int], newest: Mapping[Partition, int], now: float
    ) -> dict[str, Behind]:
        """By topic: the records behind `positions`, and the age of the oldest of them, 0 when there are none."""
        found: dict[str, Behind] = {}
        for at, position in positions.items():
            behind = max(0, newest.get(at, position) - position)
            if not behind:
                self._level[at] = now
            seconds = max(0.0, now - self._since(at, position, now)) if behind else 0.0
            records, oldest = found.get(at[0], (0, 0.0))
            found[at[0]] = (records + behind, max(oldest, seconds))
        for gone in self._first.keys() - positions.keys():
            for known in (self._first, self._level, self._taken):
                known.pop(gone, None)
        return found

    def _since(self, at: Partition, position: int, now: float) -> float:
        """When the record at `position` came at the earliest; for as long as we look, when nothing else is known."""
        first = self._first.setdefault(at, now)
        offset, came = self._taken.get(at, (position, 0.0))
        known = [when for when in (self._level.get(at), came if offset < position else None) if when is not None]
        return max(known, default=first)
