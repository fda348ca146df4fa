"""A coarse limit on many short waits. A timer for each would cost more than what it guards (40 µs a request)."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any


class Deadline:
    """`async with deadline:` ends the body by TimeoutError after `seconds`, or up to a second later."""

    def __init__(self, seconds: int) -> None:
        """One object for each kind of wait."""
        self._seconds = seconds
        self._buckets: dict[tuple[asyncio.AbstractEventLoop, int], set[asyncio.Task[Any]]] = {}

    async def __aenter__(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        second = int(loop.time()) + self._seconds + 1
        bucket = self._buckets.get((loop, second))
        if bucket is None:
            bucket = self._buckets[loop, second] = set()
            loop.call_at(second, self._end, loop, second)
        bucket.add(task)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        for bucket in reversed(self._buckets.values()):  # most waits are over in the second in which they began
            if task in bucket:
                bucket.remove(task)
                return
        if task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _end(self, loop: asyncio.AbstractEventLoop, second: int) -> None:
        for task in self._buckets.pop((loop, second)):
            task.cancel()
