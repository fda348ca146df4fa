"""All SQL of the kernel's write path: one lock, one read, one write for a batch. PostgreSQL is the truth.

The write is one data-modifying statement put together from named parts, of which only those with rows take part. Each part
is sorted by its key and must touch as many rows as it was given; else the statement raises and nothing is written.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from services.kernel.codec import decode_meta
from services.kernel.decider import Due, Owner
from services.kernel.envelope import StoredEvent
from services.kernel.store import (
    Conflict,
    ContentRefused,
    Cursor,
    Fenced,
    Known,
    Partition,
    Position,
    StoredAnswer,
    StoredHead,
    StoredRow,
    Unavailable,
    Wanted,
    Write,
)

LOCK_STREAMS = "SELECT 1 FROM stream_state WHERE stream_id = ANY($1) ORDER BY stream_id FOR NO KEY UPDATE"
LOCK_EFFECTS = "SELECT effect_id, fence FROM side_effect WHERE effect_id = ANY($1) ORDER BY effect_id FOR UPDATE"
LOCK_ACCOUNTS = "SELECT 1 FROM balance WHERE account_id = ANY($1) ORDER BY account_id FOR NO KEY UPDATE"
STREAM_EVENTS = "SELECT event_type, data FROM event WHERE stream_id = $1 ORDER BY version"
HISTORY = (
    """SELECT version, event_id, event_type, data, meta, occurred_at FROM event WHERE stream_id = $1 ORDER BY version"""
)
HEADS = """SELECT stream_id, tenant, category, record_key, version, hash, stage, state, fold
           FROM stream_state WHERE stream_id = ANY($1)"""
TAKE_DUE = """UPDATE side_effect s SET fence = fence + 1, attempts = attempts + 1,
                     lease_until = clock_timestamp() + make_interval(secs => $3)
              FROM (SELECT effect_id FROM side_effect
                    WHERE kind = $1 AND due_at <= clock_timestamp() AND (lease_until IS NULL OR lease_until < clock_timestamp())
                    ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED) due
              WHERE s.effect_id = due.effect_id
              RETURNING s.effect_id, s.name, s.stream_id, s.attempts, s.fence, s.tenant, s.correlation_id, s.traceparent, s.due_at, s.category"""

ASSIGN = """INSERT INTO consumer_offset AS o (consumer, topic, epoch, partition, next_offset, starts)
            SELECT $1, r.topic, $2, r.partition, 0, 0 FROM unnest($3::text[], $4::int[]) AS r(topic, partition)
            ORDER BY r.topic, r.partition
            ON CONFLICT (consumer, topic, epoch, partition) DO UPDATE SET starts = o.starts + 1
            RETURNING topic, partition, next_offset, starts, suspect_offset, suspect_tries"""
SUSPECT = """UPDATE consumer_offset
             SET suspect_tries = CASE WHEN suspect_offset = $5 THEN suspect_tries + 1 ELSE 1 END, suspect_offset = $5
             WHERE (consumer, topic, epoch, partition) = ($1, $2, $3, $4) RETURNING suspect_tries"""

# The read: one UNION ALL over the same columns, of which only the wanted branches take part.
_READS = {
    "streams": """SELECT 's', stream_id, category, stage, tenant, version::bigint, fold::int, hash, state, record_key, NULL::timestamptz
                  FROM stream_state WHERE stream_id = ANY({streams}::uuid[])""",
    "claims": """SELECT 'c', stream_id, c.namespace, c.value, c.tenant, NULL, NULL, convert_to(content, 'UTF8'), NULL, NULL, NULL
                 FROM claim c JOIN unnest({namespace}::text[], {value}::text[], {tenant}::text[]) AS w(namespace, value, tenant)
                   ON (c.namespace, c.value, c.tenant) = (w.namespace, w.value, w.tenant)""",
    "requests": """SELECT 'k', NULL, r.tenant, r.principal, r.key, status::bigint, NULL, convert_to(fingerprint, 'UTF8'), answer, NULL, NULL
                   FROM request_key r JOIN unnest({tenant}::text[], {principal}::text[], {key}::text[]) AS w(tenant, principal, key)
                     ON (r.key, r.principal, r.tenant) = (w.key, w.principal, w.tenant)""",
    "cursors": """SELECT 'u', u.stream_id, u.source, NULL, NULL, last_version::bigint, parked::int, last_hash, NULL, NULL, NULL
                  FROM unnest({source}::text[], {stream}::uuid[]) AS w(source, stream_id)
                  JOIN stream_cursor u ON (u.stream_id, u.source) = (w.stream_id, w.source) AND u.consumer = {consumer}::text""",
    "events": """SELECT 'e', event_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
                 FROM event WHERE event_id = ANY({event}::uuid[])""",
}
_CLOCK = "SELECT 'n', NULL::uuid, NULL::text, NULL::text, NULL::text, NULL::bigint, NULL::int, NULL::bytea, NULL::bytea, NULL::uuid, clock_timestamp()"


@dataclass(frozen=True)
class Part:
    """One named part of the write. `{rows}` in its SQL is the unnest of its columns, with `ord` as the last column."""

    name: str
    columns: tuple[tuple[str, str], ...]  # column, array element type
    sql: str
    state: str | None = "CR001"  # raised when it touches fewer rows than it was given; None: it may


PARTS: tuple[Part, ...] = (
    Part(
        "fence",
        (
            ("consumer", "text"),
            ("topic", "text"),
            ("epoch", "int"),
            ("partition", "int"),
            ("expected", "bigint"),
            ("next", "bigint"),
        ),
        """UPDATE consumer_offset o SET next_offset = r.next, starts = 0, suspect_tries = 0
           FROM {rows} WHERE (o.consumer, o.topic, o.epoch, o.partition) = (r.consumer, r.topic, r.epoch, r.partition)
             AND o.next_offset = r.expected RETURNING 1""",
        "CR002",
    ),
    Part(
        "new_streams",
        (
            ("stream_id", "uuid"),
            ("tenant", "text"),
            ("category", "text"),
            ("record_key", "uuid"),
            ("version", "int"),
            ("hash", "bytea"),
            ("stage", "text"),
            ("state", "bytea"),
            ("fold", "smallint"),
        ),
        """INSERT INTO stream_state (stream_id, tenant, category, record_key, version, hash, stage, state, fold)
           SELECT stream_id, tenant, category, record_key, version, hash, stage, state, fold FROM {rows} ORDER BY stream_id
           ON CONFLICT DO NOTHING RETURNING 1""",
    ),
    Part(
        "moved_streams",
        (
            ("stream_id", "uuid"),
            ("expected", "int"),
            ("version", "int"),
            ("hash", "bytea"),
            ("stage", "text"),
            ("state", "bytea"),
            ("fold", "smallint"),
        ),
        """UPDATE stream_state s SET version = r.version, hash = r.hash, stage = r.stage, state = r.state, fold = r.fold, changed_at = now()
           FROM {rows} WHERE s.stream_id = r.stream_id AND s.version = r.expected RETURNING 1""",
    ),
    Part(
        "claims",
        (("namespace", "text"), ("value", "text"), ("tenant", "text"), ("stream_id", "uuid"), ("content", "text")),
        """INSERT INTO claim (namespace, value, tenant, stream_id, content)
           SELECT namespace, value, tenant, stream_id, content FROM {rows} ORDER BY namespace, value, tenant
           ON CONFLICT DO NOTHING RETURNING 1""",
    ),
    Part(
        "requests",
        (
            ("tenant", "text"),
            ("principal", "text"),
            ("key", "text"),
            ("fingerprint", "text"),
            ("status", "smallint"),
            ("answer", "bytea"),
        ),
        """INSERT INTO request_key (tenant, principal, key, fingerprint, status, answer)
           SELECT tenant, principal, key, fingerprint, status, answer FROM {rows} ORDER BY key, principal, tenant
           ON CONFLICT DO NOTHING RETURNING 1""",
    ),
    Part(
        "events",
        (
            ("stream_id", "uuid"),
            ("version", "int"),
            ("event_id", "uuid"),
            ("event_type", "text"),
            ("schema_version", "smallint"),
            ("record_key", "uuid"),
            ("data", "bytea"),
            ("meta", "bytea"),
            ("occurred_at", "timestamptz"),
            ("prev_hash", "bytea"),
            ("hash", "bytea"),
        ),
        """INSERT INTO event (stream_id, version, event_id, event_type, schema_version, record_key, data, meta, occurred_at, prev_hash, hash)
           SELECT stream_id, version, event_id, event_type, schema_version, record_key, data, meta, occurred_at, prev_hash, hash
           FROM {rows} ORDER BY ord ON CONFLICT DO NOTHING RETURNING global_seq""",
    ),
    Part(
        "cursors",
        (
            ("stream_id", "uuid"),
            ("consumer", "text"),
            ("source", "text"),
            ("version", "int"),
            ("hash", "bytea"),
            ("parked", "boolean"),
        ),
        """INSERT INTO stream_cursor (stream_id, consumer, source, last_version, last_hash, parked)
           SELECT stream_id, consumer, source, version, hash, parked FROM {rows} ORDER BY stream_id, consumer, source
           ON CONFLICT (stream_id, consumer, source) DO UPDATE
             SET last_version = excluded.last_version, last_hash = excluded.last_hash, parked = excluded.parked RETURNING 1""",
    ),
    Part(
        "arrivals",
        (
            ("arrival_id", "uuid"),
            ("tenant", "text"),
            ("source", "text"),
            ("transport", "text"),
            ("body", "bytea"),
            ("headers", "bytea"),
            ("verdict", "text"),
            ("reference", "text"),
            ("content", "text"),
        ),
        """INSERT INTO raw_arrival (arrival_id, tenant, source, transport, body, headers, verdict, reference, content)
           SELECT arrival_id, tenant, source, transport, body, headers, verdict, reference, content FROM {rows} ORDER BY arrival_id
           ON CONFLICT DO NOTHING RETURNING 1""",
        None,
    ),
    Part(
        "parked",
        (
            ("consumer", "text"),
            ("topic", "text"),
            ("partition", "int"),
            ("position", "bigint"),
            ("stream_id", "uuid"),
            ("version", "int"),
            ("event_type", "text"),
            ("error", "text"),
            ("fingerprint", "text"),
            ("key", "bytea"),
            ("headers", "bytea"),
            ("value", "bytea"),
        ),
        """INSERT INTO parked_event (consumer, topic, partition, "offset", stream_id, version, event_type, error, fingerprint, key, headers, value)
           SELECT consumer, topic, partition, position, stream_id, version, event_type, error, fingerprint, key, headers, value
           FROM {rows} ORDER BY ord ON CONFLICT DO NOTHING RETURNING 1""",
        None,
    ),
    Part(
        "effects",
        (
            ("effect_id", "uuid"),
            ("stream_id", "uuid"),
            ("kind", "text"),
            ("name", "text"),
            ("due_at", "timestamptz"),
            ("category", "text"),
            ("tenant", "text"),
            ("correlation_id", "uuid"),
            ("traceparent", "text"),
        ),
        """INSERT INTO side_effect (effect_id, stream_id, kind, name, due_at, category, tenant, correlation_id, traceparent)
           SELECT effect_id, stream_id, kind, name, due_at, category, tenant, correlation_id, traceparent FROM {rows} ORDER BY effect_id
           ON CONFLICT DO NOTHING RETURNING 1""",
    ),
    Part(
        "effects_done",
        (("effect_id", "uuid"), ("fence", "bigint")),
        """DELETE FROM side_effect s USING {rows} WHERE s.effect_id = r.effect_id AND s.fence = r.fence RETURNING 1""",
    ),
    Part(
        "effects_again",
        (("effect_id", "uuid"), ("fence", "bigint"), ("after_seconds", "int")),
        """UPDATE side_effect s SET due_at = clock_timestamp() + make_interval(secs => r.after_seconds), lease_until = NULL
           FROM {rows} WHERE s.effect_id = r.effect_id AND s.fence = r.fence RETURNING 1""",
    ),
)
OUTBOX = "outbox AS (INSERT INTO outbox (global_seq, topic) SELECT global_seq, {topic}::text FROM events RETURNING 1)"

_HOLE = re.compile(r"\{([a-z_]+)\}")


class Statement:
    """A statement put together for one set of parts, with its parameters in order."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self._number = 0
        bodies = [f"{part.name} AS ({self._body(part)})" for part in parts]
        if any(part.name == "events" for part in parts):
            bodies.append(OUTBOX.replace("{topic}", self._next()))
        checks = [self._check(part) for part in parts if part.state]
        self.sql = f"WITH {', '.join(bodies)} SELECT {', '.join(checks) or '1'}"

    def _next(self) -> str:
        self._number += 1
        return f"${self._number}"

    def _body(self, part: Part) -> str:
        numbers = {name: f"{self._next()}::{kind}[]" for name, kind in part.columns}
        names = ", ".join(numbers)
        rows = f"unnest({', '.join(numbers.values())}) WITH ORDINALITY AS r({names}, ord)"
        return _HOLE.sub(lambda hole: rows if hole[1] == "rows" else numbers[hole[1]], part.sql)

    def _check(self, part: Part) -> str:
        count = f"(SELECT count(*) FROM {part.name})"
        return f"CASE WHEN {count} < {self._next()}::int THEN corridor_raise('{part.state}', '{part.name}') END"

    def arguments(self, write: Write) -> list[Any]:
        """The columns of each part, the topic when there are events, then how many rows each checked part must touch."""
        values: list[Any] = []
        for part in self.parts:
            values.extend(zip(*write.rows[part.name], strict=True))
        if any(part.name == "events" for part in self.parts):
            values.append(write.topic)
        values.extend(len(write.rows[part.name]) for part in self.parts if part.state)
        return values


# Classes of SQLSTATE that are about the content: data, integrity, limits, our own triggers. Every other error is about the
# server, the role or the deploy (a standby, a missing table, a full disk) and must never park what was in hand.
_CONTENT = ("21", "22", "23", "44", "54", "CR", "P0")
_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    asyncio.TimeoutError,
)


def translated(error: BaseException) -> Exception | None:
    """The port's word for what PostgreSQL or its client said; None when it is neither's."""
    if isinstance(error, asyncpg.PostgresError):
        state = getattr(error, "sqlstate", "") or ""
        if state == "CR001" or state in ("40P01", "40001"):
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

    def __init__(self, session: PostgresStore, connection: asyncpg.Connection[Any]) -> None:
        self._session = session
        self._connection = connection

    async def read(self, wanted: Wanted) -> Known:
        """Locks first, in id order, in a statement of its own: the read needs a newer snapshot than the locks."""
        connection = self._connection
        if wanted.streams:
            await connection.fetch(LOCK_STREAMS, sorted(wanted.streams))
        effects = await connection.fetch(LOCK_EFFECTS, sorted(wanted.effects)) if wanted.effects else []
        if wanted.accounts:
            await connection.fetch(LOCK_ACCOUNTS, sorted(wanted.accounts))
        sql, arguments = _read_statement(wanted)
        known = _known(await connection.fetch(sql, *arguments))
        known.effects = {row[0]: row[1] for row in effects}
        if wanted.accounts and self._session.read_accounts:
            known.accounts = await self._session.read_accounts(connection, sorted(wanted.accounts))
        return known

    async def events(self, stream_id: UUID) -> Sequence[tuple[str, bytes]]:
        """(event type, data) of a stream in order."""
        return [(row[0], row[1]) for row in await self._connection.fetch(STREAM_EVENTS, stream_id)]

    async def fetch(self, sql: str, *values: Any) -> list[Any]:
        """Another read inside the transaction (a projection's rows)."""
        return list(await self._connection.fetch(sql, *values))

    async def write(self, write: Write) -> None:
        """One statement; see the module's first lines."""
        if write.rows:
            statement = self._session.statement(frozenset(write.rows))
            await self._connection.fetch(statement.sql, *statement.arguments(write))


def _read_statement(wanted: Wanted) -> tuple[str, list[Any]]:
    branches, values = [_CLOCK], []

    def hole(value: Any) -> str:
        values.append(value)
        return f"${len(values)}"

    def branch(name: str, **columns: Any) -> None:
        numbers = {column: hole(value) for column, value in columns.items()}
        branches.append(_HOLE.sub(lambda found: numbers[found[1]], _READS[name]))

    if wanted.streams:
        branch("streams", streams=list(wanted.streams))
    if wanted.claims:
        tenants, namespaces, texts = zip(*wanted.claims, strict=True)
        branch("claims", namespace=namespaces, value=texts, tenant=tenants)
    if wanted.requests:
        tenants, principals, keys = zip(*wanted.requests, strict=True)
        branch("requests", tenant=tenants, principal=principals, key=keys)
    if wanted.cursors:
        sources, streams = zip(*wanted.cursors, strict=True)
        branch("cursors", source=sources, stream=streams, consumer=wanted.consumer)
    if wanted.events:
        branch("events", event=list(wanted.events))
    return " UNION ALL ".join(branches), values


def _known(rows: Sequence[Any]) -> Known:
    known = Known(at=next(row[10] for row in rows if row[0] == "n"))
    for kind, row_id, first, second, third, number, small, some, more, other, _ in rows:
        match kind:
            case "s":
                known.streams[row_id] = StoredHead(row_id, third, first, other, number, some, second, more, small)
            case "u":
                known.cursors[(first, row_id)] = Cursor(number, some, bool(small))
            case "c":
                known.claims[(third, first, second)] = Owner(row_id, some.decode())
            case "k":
                known.requests[(first, second, third)] = StoredAnswer(some.decode(), number, more)
            case "e":
                known.committed = row_id
            case _:
                pass
    return known


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
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        """One at a time; every error leaves as a word of the port, or as it is when it is not the database's."""
        async with self._mutex:
            try:
                connection = await self._ready()
                async with connection.transaction():
                    yield PostgresTransaction(self, connection)
            except BaseException as error:
                known = translated(error)
                if not isinstance(known, Conflict | Fenced | ContentRefused):
                    await self.drop()
                if known is None:
                    raise
                raise known from error

    async def _ready(self) -> asyncpg.Connection[Any]:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        return self._connection

    async def drop(self) -> None:
        """Forget the connection: its state is not known any more."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

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
        """Committed heads of the streams that exist."""
        return {row[0]: StoredHead(*row) for row in await self.fetch(HEADS, list(streams))}

    async def history(self, stream_id: UUID) -> list[StoredRow]:
        """The committed events of a stream in order."""
        return [
            StoredRow(version, event_id, event_type, data, decode_meta(meta), at)
            for version, event_id, event_type, data, meta, at in await self.fetch(HISTORY, stream_id)
        ]

    async def assign(self, consumer: str, epoch: int, partitions: Sequence[Partition]) -> dict[Partition, Position]:
        """The stored positions, made at 0 where they are missing; each counts a start until there is progress."""
        topics, numbers = [at[0] for at in partitions], [at[1] for at in partitions]
        rows = await self.fetch(ASSIGN, consumer, epoch, topics, numbers)
        return {(row[0], row[1]): Position(*row[2:]) for row in rows}

    async def suspect(self, consumer: str, epoch: int, at: Partition, offset: int) -> int:
        """How often this record was in hand, alone."""
        return int((await self.fetch(SUSPECT, consumer, at[0], epoch, at[1], offset))[0][0])

    async def take_due(self, kind: str, limit: int, lease_seconds: int) -> list[Due]:
        """Lease up to `limit` due side effects."""
        rows = await self.fetch(TAKE_DUE, kind, limit, float(lease_seconds))
        return [Due(*row) for row in rows]


class PostgresOutbox:
    """The outbox of one service. The connection ends itself when its leader hangs (`idle_session_timeout`)."""

    TAKE = """SELECT o.global_seq, o.topic, e.stream_id, e.version, e.event_id, e.event_type, e.schema_version, e.record_key,
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
        """The first `limit` events by global sequence; each found by its key, never by a walk along the event index."""
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


def connector(dsn: str, schema: str, application_name: str, **more: str) -> Callable[[], Any]:
    """Opens a connection that is fit for the write path: bounded waits, generic plans, one schema; `more` settings win."""
    settings = {
        "search_path": schema,
        "application_name": application_name,
        "statement_timeout": "30000",
        "lock_timeout": "10000",
        "idle_in_transaction_session_timeout": "10000",
        "plan_cache_mode": "force_generic_plan",  # planning a write of ten parts costs more than running it
        "jit": "off",
        "timezone": "UTC",
        **more,
    }

    async def connect() -> asyncpg.Connection[Any]:
        return await asyncpg.connect(
            dsn, server_settings=settings, timeout=5, command_timeout=35, max_cached_statement_lifetime=0,
            max_cacheable_statement_size=0, statement_cache_size=500,
        )  # fmt: skip

    return connect
