"""A lane's connection to PostgreSQL, which is the truth: one lock, one read, one write for a batch; small statements.

What is read is in reads.py, what is written in parts.py, what waits for the relay in outbox.py.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any
from uuid import UUID

import asyncpg

from services.kernel.codec import decode_meta
from services.kernel.decider import Due
from services.kernel.loader import Loader
from services.kernel.parts import PARTS, Part, Statement
from services.kernel.reads import known_from, read_statement
from services.kernel.store import (
    Conflict,
    ContentRefused,
    Fenced,
    Known,
    Partition,
    Position,
    Stage,
    StoredHead,
    StoredRow,
    Taken,
    Unavailable,
    Wanted,
    Write,
)

ONE_SESSION = "SELECT pg_advisory_lock($1)"  # held until the server has seen the session end
LOCK_STREAMS = "SELECT 1 FROM stream_state WHERE stream_id = ANY($1) ORDER BY stream_id FOR NO KEY UPDATE"
LOCK_EFFECTS = "SELECT effect_id, fence FROM side_effect WHERE effect_id = ANY($1) ORDER BY effect_id FOR UPDATE"
# The head by itself: joined alone, it would stay free where none of the accounts has a balance yet.
LOCK_ACCOUNTS = """
    WITH head AS MATERIALIZED (SELECT 1 FROM book_head FOR NO KEY UPDATE), accounts AS MATERIALIZED (
        SELECT 1 FROM head, balance WHERE account_id = ANY($1) ORDER BY account_id FOR NO KEY UPDATE OF balance)
    SELECT 1 FROM head UNION ALL SELECT 1 FROM accounts"""
STREAM_EVENTS = "SELECT event_type, data FROM event WHERE stream_id = $1 ORDER BY version"
HISTORY = """
    SELECT version, event_id, event_type, data, meta, occurred_at
    FROM event
    WHERE stream_id = $1
    ORDER BY version
    LIMIT $2"""
HEADS = """
    SELECT stream_id, tenant, category, record_key, version, hash, stage, state, fold
    FROM stream_state
    WHERE stream_id = ANY($1)"""
# now() and not clock_timestamp(): that one is volatile, and the planner would read every effect that is not due yet
TAKE_DUE = """
    WITH due AS (
        SELECT effect_id, stream_id
        FROM side_effect
        WHERE kind = $1 AND due_at <= now() AND (lease_until IS NULL OR lease_until < now())
        ORDER BY due_at
        LIMIT $2
        FOR UPDATE SKIP LOCKED
    ), judged AS (
        SELECT effect_id, EXISTS (
            SELECT FROM stream_state s
            JOIN unnest($4::text[], $5::text[], $6::smallint[]) AS o(category, stage, fold)
                USING (category, stage, fold)
            WHERE s.stream_id = due.stream_id) AS over
        FROM due
    ), dropped AS (
        DELETE FROM side_effect s USING judged j WHERE s.effect_id = j.effect_id AND j.over RETURNING 1
    ), taken AS (
        UPDATE side_effect s
        SET fence = fence + 1, attempts = attempts + 1, lease_until = now() + make_interval(secs => $3)
        FROM judged j
        WHERE s.effect_id = j.effect_id AND NOT j.over
        RETURNING s.effect_id, s.name, s.stream_id, s.attempts, s.fence, s.tenant, s.correlation_id, s.traceparent,
                  s.due_at, s.category)
    SELECT (SELECT count(*) FROM dropped), taken.* FROM (VALUES (1)) one LEFT JOIN taken ON true"""
ASSIGN = """
    INSERT INTO consumer_offset AS o (consumer, topic, epoch, partition, next_offset, starts)
    SELECT $1, r.topic, $2, r.partition, 0, 0
    FROM unnest($3::text[], $4::int[]) AS r(topic, partition)
    ORDER BY r.topic, r.partition
    ON CONFLICT (consumer, topic, epoch, partition) DO UPDATE SET starts = o.starts + 1
    RETURNING topic, partition, next_offset, checkpoint, taken, starts, suspect_offset, suspect_tries"""
SUSPECT = """
    UPDATE consumer_offset
    SET suspect_tries = CASE WHEN suspect_offset = $5 THEN suspect_tries + 1 ELSE 1 END, suspect_offset = $5
    WHERE (consumer, topic, epoch, partition) = ($1, $2, $3, $4)
    RETURNING suspect_tries"""

# Classes of SQLSTATE that are about the content: data, integrity, limits, our own triggers. Every other error is about
# the server, the role or the deploy (a standby, a missing table, a full disk) and must never park what was in hand.
_CONTENT = ("21", "22", "23", "44", "54", "CR", "P0")
_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    asyncio.TimeoutError,
)


_CONFLICTS = ("CR001", "40P01", "40001")
UNIQUE_VIOLATION = "23505"
# Somebody else made the same stream or took the same claim or key meanwhile. Not ON CONFLICT: it looks every index up
# first and writes a record more.
RACED = ("stream_state", "event", "claim", "request_key", "entry", "posting")


def translated(error: BaseException) -> Exception | None:
    """The port's word for what PostgreSQL or its client said; None when it is neither's."""
    if isinstance(error, asyncpg.PostgresError):
        state = getattr(error, "sqlstate", "") or ""
        if state in _CONFLICTS or (state == UNIQUE_VIOLATION and error.table_name in RACED):
            return Conflict(str(error))
        if state == "CR002":
            return Fenced(str(error))
        words = f"{state}: {error}"
        return ContentRefused(words) if state.startswith(_CONTENT) else Unavailable(words)
    if isinstance(error, asyncpg.DataError | ValueError | OverflowError):
        return ContentRefused(str(error))
    return Unavailable(f"{type(error).__name__}: {error}") if isinstance(error, _AWAY) else None


class PostgresTransaction:
    """The one transaction of a lane; see store.Transaction."""

    def __init__(self, session: PostgresStore, connection: asyncpg.Connection[Any], *, locking: bool) -> None:
        self._session = session
        self._connection = connection
        self._locking = locking

    async def read(self, wanted: Wanted) -> Known:
        """What the batch wants to know, as of one snapshot; of a locking transaction behind its locks."""
        effects = await self._lock(wanted) if self._locking else []
        sql, arguments = read_statement(wanted)
        known = known_from(await self._connection.fetch(sql, *arguments))
        known.effects = {row[0]: row[1] for row in effects}
        if wanted.accounts and self._session.read_accounts:
            known.accounts = await self._session.read_accounts(self._connection, sorted(wanted.accounts))
        return known

    async def _lock(self, wanted: Wanted) -> Sequence[Any]:
        """All in id order, in statements of their own: the read needs a newer snapshot than the locks."""
        connection = self._connection
        if wanted.streams:
            await connection.fetch(LOCK_STREAMS, sorted(wanted.streams))
        effects = await connection.fetch(LOCK_EFFECTS, sorted(wanted.effects)) if wanted.effects else []
        if wanted.accounts:
            await connection.fetch(LOCK_ACCOUNTS, sorted(wanted.accounts))
        return effects

    async def events(self, stream_id: UUID) -> Sequence[tuple[str, bytes]]:
        """(event type, data) of a stream in order."""
        return [(row[0], row[1]) for row in await self._connection.fetch(STREAM_EVENTS, stream_id)]

    async def fetch(self, sql: str, *values: Any) -> list[Any]:
        """Another read inside the transaction (a projection's rows)."""
        return list(await self._connection.fetch(sql, *values))

    async def write(self, write: Write) -> None:
        """One statement; see parts.py."""
        if write.rows:
            statement = self._session.statement(frozenset(write.rows))
            await self._connection.fetch(statement.sql, *statement.arguments(write))


class PostgresStore:
    """One lane's connection to a service's schema, made when needed and thrown away when anything is wrong with it."""

    def __init__(
        self,
        connect: Callable[[], Any],
        parts: Sequence[Part] = (),
        read_accounts: Callable[[Any, list[str]], Any] | None = None,
    ) -> None:
        self._connect = connect
        self._connection: asyncpg.Connection[Any] | None = None
        self._parts = {part.name: part for part in (*PARTS, *parts)}
        self._statements: dict[frozenset[str], Statement] = {}
        self._mutex = asyncio.Lock()
        self._lane = secrets.randbits(63)
        self._is_alone = False
        self._heads: Loader[UUID, StoredHead] = Loader(self._query_heads)
        self.read_accounts = read_accounts

    def statement(self, names: frozenset[str]) -> Statement:
        """The write statement for this set of parts, put together once."""
        found = self._statements.get(names)
        if found is None:
            parts = [part for name, part in self._parts.items() if name in names]
            assert len(parts) == len(names), f"unknown part in {sorted(names)}"
            found = self._statements[names] = Statement(parts)
        return found

    @asynccontextmanager
    async def transaction(self, *, locking: bool = True) -> AsyncIterator[PostgresTransaction]:
        """One at a time; every error leaves as a word of the port, or as it is when it is not the database's."""
        async with self._mutex:
            try:
                connection = await self._alone()
                async with connection.transaction() if locking else nullcontext():
                    yield PostgresTransaction(self, connection, locking=locking)
            except BaseException as error:
                known = translated(error)
                if not isinstance(known, Conflict | Fenced | ContentRefused):
                    await self.drop()
                if known is None:
                    raise
                raise known from error

    async def _ready(self) -> asyncpg.Connection[Any]:
        if self._connection is None or self._connection.is_closed():
            self._connection, self._is_alone = await self._connect(), False
        return self._connection

    async def _alone(self) -> asyncpg.Connection[Any]:
        """A connection that may write: its predecessor has ended, with whatever was still on its way (0013)."""
        connection = await self._ready()
        if not self._is_alone:
            await connection.fetch(ONE_SESSION, self._lane)
            self._is_alone = True
        return connection

    async def drop(self) -> None:
        """Forget the connection: its state is not known any more."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    @property
    def busy(self) -> bool:
        """A transaction or a statement is under way."""
        return self._mutex.locked()

    async def fetch(self, sql: str, *values: Any) -> list[Any]:
        """One read or one small statement outside of a batch. Raises Unavailable."""
        async with self._mutex:
            try:
                return await (await self._ready()).fetch(sql, *values)
            except BaseException as error:
                await self.drop()
                known = translated(error)
                if known is None:
                    raise
                raise known from error

    async def heads(self, streams: Sequence[UUID]) -> dict[UUID, StoredHead]:
        """Committed heads of the streams that exist; look-ups that wait go together."""
        return await self._heads.load(streams)

    async def _query_heads(self, streams: list[UUID]) -> dict[UUID, StoredHead]:
        return {row[0]: StoredHead(*row) for row in await self.fetch(HEADS, streams)}

    async def history(self, stream_id: UUID, limit: int | None = None) -> list[StoredRow]:
        """The committed events of a stream in order, or the first `limit` of them."""
        return [
            StoredRow(version, event_id, event_type, data, decode_meta(meta), at)
            for version, event_id, event_type, data, meta, at in await self.fetch(HISTORY, stream_id, limit)
        ]

    async def assign(self, consumer: str, epoch: int, partitions: Sequence[Partition]) -> dict[Partition, Position]:
        """The stored positions, made at 0 where they are missing; each counts a start until there is progress."""
        topics, numbers = [at[0] for at in partitions], [at[1] for at in partitions]
        rows = await self.fetch(ASSIGN, consumer, epoch, topics, numbers)
        return {(row[0], row[1]): Position(*row[2:]) for row in rows}

    async def suspect(self, consumer: str, epoch: int, at: Partition, offset: int) -> int:
        """How often this record was in hand, alone."""
        return int((await self.fetch(SUSPECT, consumer, at[0], epoch, at[1], offset))[0][0])

    async def take_due(self, kind: str, limit: int, lease_seconds: int, over: Sequence[Stage] = ()) -> Taken:
        """Lease up to `limit` due side effects, or drop them where their streams are over."""
        stages = [[each[column] for each in over] for column in range(3)]
        rows = await self.fetch(TAKE_DUE, kind, limit, float(lease_seconds), *stages)
        return Taken([Due(*row[1:]) for row in rows if row[1] is not None], rows[0][0])


# A session whose client is gone without a word holds its lane's lock: the server looks after it, for 15 s at most.
HALF_OPEN = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "14000",
    "client_connection_check_interval": "5000",
}


STATEMENT_MS = 15_000  # many times what a batch of 500 takes; see DB_STATEMENT_TIMEOUT_SECONDS
ANSWER_SECONDS = 5.0  # how long after its time-out a statement's error may be on its way


def connector(dsn: str, schema: str, application_name: str, **more: str) -> Callable[[], Any]:
    """Opens a connection fit for the write path: bounded waits, generic plans, one schema; `more` settings win."""
    settings = {
        "search_path": schema,
        "application_name": application_name,
        "statement_timeout": str(STATEMENT_MS),
        "lock_timeout": "10000",
        "idle_in_transaction_session_timeout": "10000",
        "plan_cache_mode": "force_generic_plan",  # planning a write of ten parts costs more than running it
        # every statement of ours finds rows by key, and keeps the plan that it got when the table was still empty
        "enable_seqscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "jit": "off",
        "timezone": "UTC",
        **HALF_OPEN,
        **more,
    }

    async def connect() -> asyncpg.Connection[Any]:
        patience = int(settings["statement_timeout"]) / 1_000 + ANSWER_SECONDS
        return await asyncpg.connect(
            dsn, server_settings=settings, timeout=5, command_timeout=patience, max_cached_statement_lifetime=0,
            max_cacheable_statement_size=0, statement_cache_size=500,
        )  # fmt: skip

    return connect
