"""Pace: small turns do not follow each other faster than this, so that what arrives meanwhile goes together.

A turn of one costs nearly as much as a turn of twenty: a transaction, a request to the broker, the wake-ups of four
processes. The first turn after a quiet time never waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


class Pace:
    """`await turn()` before each turn; `hurry()` after one that left work behind."""

    def __init__(
        self,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._pause = pause
        self._next = 0.0  # the earliest begin of the next turn

    async def turn(self) -> None:
        """Wait until `seconds` have gone since the last turn began."""
        left = self._next - self._clock()
        if left > 0:
            await self._pause(left)
        self._next = self._clock() + self._seconds

    def hurry(self) -> None:
        """There is more than one turn could take: the next one begins at once."""
        self._next = 0.0
