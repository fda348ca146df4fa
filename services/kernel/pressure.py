"""Whether the machine is full: how much of the last ten seconds somebody waited for a processor, as Linux tells it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

PRESSURE = Path("/proc/pressure/cpu")  # some avg10=1.53 avg60=0.87 avg300=0.73 total=1234
FULL_PERCENT = 30.0
LOOK_SECONDS = 1.0


class Pressure:
    """Looked at once a second at most; a machine that does not tell is never full."""

    def __init__(self, path: Path = PRESSURE, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._known = False
        self._until = 0.0

    def is_full(self) -> bool:
        """Somebody waited for more than FULL_PERCENT of the time."""
        now = self._clock()
        if now >= self._until:
            self._until = now + LOOK_SECONDS
            self._known = self._waited() > FULL_PERCENT
        return self._known

    def _waited(self) -> float:
        try:
            text = self._path.read_text(encoding="ascii")
            return float(text.partition("avg10=")[2].partition(" ")[0])
        except (OSError, ValueError):
            return 0.0
