"""A relay's connection to the store in memory; see relay.Outbox, and outbox.py for PostgreSQL's."""

from __future__ import annotations

from collections.abc import Sequence

from services.kernel.envelope import StoredEvent
from services.kernel.memory import MemoryStore
from services.kernel.store import Unavailable


class MemoryOutbox:
    """`close` is what a lost connection does to its lock."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._acknowledged: list[int] = []

    async def lead(self) -> bool:
        """Whether this connection holds the lock now."""
        await self._store.reached("lead")
        if self._store.leader is None:
            self._store.leader = self
        return self._store.leader is self

    async def take(self, limit: int) -> list[StoredEvent]:
        """The first `limit` events by global sequence whose streams are not stuck."""
        await self._delete()
        await self._ours("take")
        outbox, events = self._store.tables.outbox, self._store.tables.events
        stuck = {events[sequence - 1].stream_id for sequence, why in outbox.items() if why}
        waiting = (events[sequence - 1] for sequence in sorted(outbox))
        return [each for each in waiting if each.stream_id not in stuck][:limit]

    def acknowledged(self, sequences: Sequence[int]) -> None:
        """The next take deletes them."""
        self._acknowledged.extend(sequences)

    async def _delete(self) -> None:
        if self._acknowledged:
            await self._ours("delete")
        for sequence in self._acknowledged:
            self._store.tables.outbox.pop(sequence, None)
        self._acknowledged.clear()

    async def stuck(self, sequences: Sequence[int]) -> None:
        """Their streams are left out from now on."""
        await self._ours("stuck")
        for sequence in sequences:
            self._store.tables.outbox[sequence] = "can never be sent"

    async def _ours(self, point: str) -> None:
        await self._store.reached(point)
        if self._store.leader is not self:
            raise Unavailable("the relay's connection is gone")

    def close(self) -> None:
        """The connection is lost; another may lead."""
        if self._store.leader is self:
            self._store.leader = None
