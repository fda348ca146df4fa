"""The outbox of one service in PostgreSQL; see relay.Outbox."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import asyncpg

from services.kernel.envelope import StoredEvent


class PostgresOutbox:
    """The outbox of one service. The connection ends itself when its leader hangs (`idle_session_timeout`)."""

    TAKE = """
        SELECT o.global_seq, o.topic, e.stream_id, e.version, e.event_id, e.event_type, e.schema_version, e.record_key,
               e.data, e.meta, e.occurred_at, e.recorded_at, e.prev_hash, e.hash
        FROM (SELECT global_seq, topic FROM outbox WHERE stuck_at IS NULL ORDER BY global_seq LIMIT $1) o
        CROSS JOIN LATERAL (SELECT * FROM event WHERE event.global_seq = o.global_seq) e
        ORDER BY o.global_seq"""
    # rare and slower: streams that are stuck are left out before the batch is counted, or they would fill it
    TAKE_PAST_STUCK = TAKE.replace(
        "outbox WHERE stuck_at IS NULL",
        """outbox JOIN event v USING (global_seq) WHERE stuck_at IS NULL
               AND v.stream_id NOT IN (SELECT s.stream_id FROM outbox b JOIN event s USING (global_seq)
                                       WHERE b.stuck_at IS NOT NULL)""",
    )
    LEAD = "SELECT pg_try_advisory_lock(hashtextextended('corridor relay ' || current_schema(), 0))"
    STUCK = "UPDATE outbox SET stuck_at = now() WHERE global_seq = ANY($1)"
    HAS_STUCK = "SELECT EXISTS (SELECT 1 FROM outbox WHERE stuck_at IS NOT NULL)"

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._connection: asyncpg.Connection[Any] | None = None
        self._has_stuck = False

    async def lead(self) -> bool:
        """Try for the lock; the connection that holds it is the one that reads and deletes."""
        if self._connection is None:
            self._connection = await self._connect()
        led = bool(await self._connection.fetchval(self.LEAD))
        self._has_stuck = led and bool(await self._connection.fetchval(self.HAS_STUCK))
        return led

    async def take(self, limit: int) -> list[StoredEvent]:
        """The first `limit` events by global sequence; each found by its key, not by a walk along the event index."""
        take = self.TAKE_PAST_STUCK if self._has_stuck else self.TAKE
        return [StoredEvent(*row) for row in await self._held().fetch(take, limit)]

    async def delete(self, sequences: Sequence[int]) -> None:
        """They are acknowledged."""
        await self._held().execute("DELETE FROM outbox WHERE global_seq = ANY($1)", list(sequences))

    async def stuck(self, sequences: Sequence[int]) -> None:
        """Their streams are left out from now on."""
        self._has_stuck = True
        await self._held().execute(self.STUCK, list(sequences))

    def _held(self) -> asyncpg.Connection[Any]:
        assert self._connection is not None, "lead first"
        return self._connection
