"""Look-ups by key that wait for each other: those that arrive while a query runs are the next one, all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")


class Loader(Generic[Key, Found]):
    """One query is in flight at a time. What is not found is not in the answer; one that fails, fails its askers."""

    def __init__(
        self, query: Callable[[list[Key]], Awaitable[Mapping[Key, Found]]], wait_seconds: float | None = None
    ) -> None:
        """`wait_seconds`: how long the query before may hold up the next one, whose askers get TimeoutError then."""
        self._query = query
        self._wait_seconds = wait_seconds
        self._waiting: set[Key] = set()
        self._next: asyncio.Task[Mapping[Key, Found]] | None = None
        self._turn = asyncio.Lock()

    async def load(self, keys: Iterable[Key]) -> dict[Key, Found]:
        """The values of those that exist."""
        wanted = list(keys)
        self._waiting.update(wanted)
        if self._next is None:
            self._next = asyncio.create_task(self._run())
        found = await asyncio.shield(self._next)
        return {key: found[key] for key in wanted if key in found}

    async def _run(self) -> Mapping[Key, Found]:
        try:
            if self._turn.locked():
                async with asyncio.timeout(self._wait_seconds):
                    await self._turn.acquire()
            else:
                await self._turn.acquire()
        finally:
            keys, self._waiting, self._next = list(self._waiting), set(), None
        try:
            return await self._query(keys)
        finally:
            self._turn.release()
