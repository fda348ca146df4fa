"""How far long work is, at which rate, and when it will be done."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

REPORT_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far it is. `total` is what is known of it now."""

    phase: str
    done: int
    total: int
    per_second: float = 0.0

    @property
    def remaining_seconds(self) -> float | None:
        """At the present rate; None when nobody can say."""
        return (self.total - self.done) / self.per_second if self.per_second > 0 else None


Reports = Callable[[Progress], None]


class Clock:
    """Tells how fast it goes, not more often than somebody can read."""

    def __init__(self, reports: Reports, phase: str, total: int) -> None:
        self._reports = reports
        self._phase = phase
        self._total = total
        self._began = time.monotonic()
        self._said = 0.0

    def tell(self, done: int, *, last: bool = False) -> None:
        """Report, when it is time."""
        now = time.monotonic()
        if last or now - self._said >= REPORT_SECONDS:
            self._said = now
            rate = done / max(now - self._began, 1e-6)
            self._reports(Progress(phase=self._phase, done=done, total=max(done, self._total), per_second=rate))
