"""The outbox of one service in PostgreSQL, a row for each committed batch; see relay.Outbox and decision 0009."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from services.kernel.envelope import StoredEvent
from services.kernel.event_store import translated

ROWS_MAX = 256  # of one take; the limit in events ends it sooner


class PostgresOutbox:
    """The outbox of one service. The connection ends itself when its leader hangs (`idle_session_timeout`)."""

    LEAD = "SELECT pg_try_advisory_lock(hashtextextended('corridor relay ' || current_schema(), 0))"
    # whole rows until the limit is reached; each event is found by its key, not by a walk along the event index.
    # What `gone` deletes is still seen by the rest of the statement.
    TAKE = """
        WITH gone AS (DELETE FROM outbox WHERE first_seq = ANY($3::bigint[])),
        taken AS (
            SELECT first_seq, topic, seqs
            FROM (SELECT first_seq, topic, seqs,
                         sum(cardinality(seqs)) OVER (ORDER BY first_seq) - cardinality(seqs) AS before
                  FROM (SELECT first_seq, topic, seqs FROM outbox
                        WHERE first_seq <> ALL($3::bigint[]) ORDER BY first_seq LIMIT $2) o) counted
            WHERE before < $1)
        SELECT s.global_seq, t.topic, e.stream_id, e.version, e.event_id, e.event_type, e.schema_version, e.record_key,
               e.data, e.meta, e.occurred_at, e.recorded_at, e.prev_hash, e.hash, t.first_seq
        FROM taken t
        CROSS JOIN LATERAL unnest(t.seqs) AS s(global_seq)
        CROSS JOIN LATERAL (SELECT * FROM event WHERE event.global_seq = s.global_seq) e
        ORDER BY s.global_seq"""
    SHORTEN = "UPDATE outbox SET seqs = $2 WHERE first_seq = $1"
    STUCK = """
        INSERT INTO outbox_stuck (global_seq, topic) SELECT * FROM unnest($1::bigint[], $2::text[])
        ON CONFLICT DO NOTHING"""
    STUCK_STREAMS = "SELECT DISTINCT stream_id FROM outbox_stuck JOIN event USING (global_seq)"

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._connection: asyncpg.Connection[Any] | None = None
        self._stuck_streams: set[UUID] = set()
        self._taken: dict[int, StoredEvent] = {}  # by global sequence
        self._rows: dict[int, list[int]] = {}  # first_seq -> the sequences of that row, which were taken
        self._settled: set[int] = set()  # acknowledged or stuck, of what was taken

    async def lead(self) -> bool:
        """Try for the lock; the connection that holds it is the one that reads and deletes. Raises Unavailable."""
        try:
            return await self._lead()
        except BaseException as error:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.terminate()
            known = translated(error)
            if known is None:
                raise
            raise known from error

    async def _lead(self) -> bool:
        if self._connection is None:
            self._connection = await self._connect()
        led = bool(await self._connection.fetchval(self.LEAD))
        if led:
            self._stuck_streams = {row[0] for row in await self._connection.fetch(self.STUCK_STREAMS)}
        return led

    async def take(self, limit: int) -> list[StoredEvent]:
        """Whole batches, up to the first that passes `limit` events, in the order of their global sequence."""
        while True:
            gone = await self._settle()
            self._remember(await self._held().fetch(self.TAKE, limit, ROWS_MAX, gone))
            behind = [seq for seq, event in self._taken.items() if event.stream_id in self._stuck_streams]
            if not behind:
                return list(self._taken.values())
            await self.stuck(behind)

    def acknowledged(self, sequences: Sequence[int]) -> None:
        """The next take deletes them; should the process end before, they are sent again."""
        self._settled.update(sequences)

    async def stuck(self, sequences: Sequence[int]) -> None:
        """They wait for a person, and so will all that follows in their streams."""
        events = [self._taken[seq] for seq in sequences]
        self._stuck_streams.update(event.stream_id for event in events)
        await self._held().execute(self.STUCK, list(sequences), [event.topic for event in events])
        self._settled.update(sequences)

    def _remember(self, rows: Sequence[Any]) -> None:
        self._taken, self._rows, self._settled = {}, {}, set()
        for *fields, first_seq in rows:
            event = StoredEvent(*fields)
            self._taken[event.global_seq] = event
            self._rows.setdefault(first_seq, []).append(event.global_seq)

    async def _settle(self) -> list[int]:
        """Shorten the rows of which something is left; the others, which can go."""
        gone = []
        for first, row in self._rows.items():
            rest = [seq for seq in row if seq not in self._settled]
            if not rest:
                gone.append(first)
            elif rest != row:
                await self._held().execute(self.SHORTEN, first, rest)
        return gone

    def _held(self) -> asyncpg.Connection[Any]:
        assert self._connection is not None, "lead first"
        return self._connection
