"""Keys of requests go when their time is over, and nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from services.kernel import expiry
from services.kernel.event_store import PostgresStore, connector
from services.kernel.migrations.run import ONCALL, SCHEMAS
from services.kernel.store import Unavailable

BATCH = 1_000  # sql/expiry.sql
KEYS = """
    INSERT INTO quote.request_key (tenant, principal, key, fingerprint, status, answer, expires_at)
    SELECT 'corridor', 'anna', $1 || n, 'f', 201, '{}', now() + $3 * interval '1 second'
    FROM generate_series(1, $2) n"""
TOO_LONG = 5.0  # seconds: who waits for a lock waits until the holder's transaction ends, which it does not


@pytest.fixture
async def owner(database: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """The administrator, on tables without keys."""
    connection = await asyncpg.connect(database)
    await connection.execute("TRUNCATE quote.request_key")
    yield connection
    await connection.close()


@pytest.fixture
async def service(database: str) -> AsyncIterator[Callable[[], PostgresStore]]:
    """Lanes of processes of the quote service, with its own role."""
    lanes: list[PostgresStore] = []
    connect = connector(database, "quote", "test")

    async def as_quote() -> Any:
        opened = await connect()
        await opened.execute("SET SESSION AUTHORIZATION corridor_quote")
        return opened

    def lane() -> PostgresStore:
        lanes.append(PostgresStore(as_quote))
        return lanes[-1]

    yield lane
    for each in lanes:
        await each.drop()


async def keys(owner: asyncpg.Connection[Any]) -> int:
    return int(await owner.fetchval("SELECT count(*) FROM quote.request_key"))


async def soon(work: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(work, TOO_LONG)


async def test_expired_keys_go_and_the_others_stay(
    owner: asyncpg.Connection[Any], service: Callable[[], PostgresStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "PAUSE_SECONDS", 0.0)
    await owner.execute(KEYS, "old", 2 * BATCH + 1, 0.0)
    await owner.execute(KEYS, "new", 3, 60.0)
    assert await expiry.delete_expired(service()) == 2 * BATCH + 1
    assert [row[0] for row in await owner.fetch("SELECT key FROM quote.request_key ORDER BY key")] == [
        "new1", "new2", "new3",
    ]  # fmt: skip


async def test_a_statement_deletes_a_bounded_batch_the_oldest_first(
    owner: asyncpg.Connection[Any], service: Callable[[], PostgresStore]
) -> None:
    await owner.execute(KEYS, "old", BATCH, -60.0)
    await owner.execute(KEYS, "older", 1, -120.0)
    assert (await service().fetch(expiry.DELETE_BATCH))[0][0] == BATCH
    assert await owner.fetchval("SELECT count(*) FROM quote.request_key WHERE key LIKE 'older%'") == 0
    assert await keys(owner) == 1


async def test_two_processes_at_once_take_different_keys_and_neither_waits(
    owner: asyncpg.Connection[Any], service: Callable[[], PostgresStore]
) -> None:
    await owner.execute(KEYS, "old", BATCH + 10, -60.0)
    async with service().transaction() as first:
        assert (await soon(first.fetch(expiry.DELETE_BATCH)))[0][0] == BATCH
        assert (await soon(service().fetch(expiry.DELETE_BATCH)))[0][0] == 10
        assert (await soon(service().fetch(expiry.DELETE_BATCH)))[0][0] == 0
    assert await keys(owner) == 0


async def test_a_request_that_is_being_written_is_not_waited_for(
    owner: asyncpg.Connection[Any], service: Callable[[], PostgresStore]
) -> None:
    await owner.execute(KEYS, "old", 1, -60.0)
    async with owner.transaction():
        await owner.execute(KEYS, "new", 1, 60.0)
        assert (await soon(service().fetch(expiry.DELETE_BATCH)))[0][0] == 1


async def test_the_expired_are_found_by_the_index(owner: asyncpg.Connection[Any]) -> None:
    await owner.execute(KEYS, "new", 20_000, 60.0)
    await owner.execute("ANALYZE quote.request_key")
    plan = await owner.fetch(
        "EXPLAIN SELECT ctid FROM quote.request_key WHERE expires_at <= now() ORDER BY expires_at LIMIT 1000"
    )
    assert any("request_key_expires" in row[0] for row in plan)


@pytest.mark.parametrize("schema", SCHEMAS.values())
async def test_a_service_deletes_expired_keys_of_its_own_and_no_other_key(database: str, schema: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(f"SET SESSION AUTHORIZATION corridor_{schema}")
        await connection.fetchval(f"SELECT {schema}.delete_expired_request_keys()")
        for other in set(SCHEMAS.values()) - {schema}:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetchval(f"SELECT {other}.delete_expired_request_keys()")
        for statement in ("DELETE FROM", "TRUNCATE", "SELECT 1 FROM"):
            locked = " FOR UPDATE" if statement.startswith("SELECT") else ""
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"{statement} {schema}.request_key{locked}")
    finally:
        await connection.close()


@pytest.mark.parametrize("schema", SCHEMAS.values())
async def test_a_service_may_delete_where_a_queue_is_and_nowhere_else(database: str, schema: str) -> None:
    connection = await asyncpg.connect(database)
    rows = await connection.fetch(
        """SELECT c.relname FROM pg_class c WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'v')
           AND has_table_privilege($2, c.oid, 'DELETE, TRUNCATE')""",
        schema,
        f"corridor_{schema}",
    )
    await connection.close()
    read_tables = {"transfer": {"quote_terms_v1", "profiles_v1", "currency_halts_v1"}, "payout": {"currency_halts_v1"}}
    rebuilt = read_tables.get(schema, set())
    assert {row[0] for row in rows} == {"outbox", "outbox_stuck", "side_effect"} | rebuilt


@pytest.mark.parametrize("schema", SCHEMAS.values())
async def test_the_on_call_deletes_no_key(database: str, schema: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(f"SET SESSION AUTHORIZATION {ONCALL}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetchval(f"SELECT {schema}.delete_expired_request_keys()")
    finally:
        await connection.close()


async def test_a_table_of_the_caller_s_own_is_not_taken_for_the_keys(
    owner: asyncpg.Connection[Any], service: Callable[[], PostgresStore]
) -> None:
    await owner.execute(KEYS, "old", 1, -60.0)
    lane = service()
    await lane.fetch("CREATE TEMPORARY TABLE request_key (expires_at timestamptz)")
    assert (await lane.fetch(expiry.DELETE_BATCH))[0][0] == 1


async def test_a_database_that_is_away_is_waited_for_and_the_connection_is_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(expiry, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(expiry, "PAUSE_SECONDS", 0.0)
    lane = Faltering([Unavailable("away"), 5, 0])
    with pytest.raises(StopAsyncIteration):
        await soon(expiry.run(lane))  # type: ignore[arg-type]  # the two methods that it needs
    assert lane.drops == 2


class Faltering:
    """A lane that gives these answers, then ends."""

    def __init__(self, answers: list[Any]) -> None:
        self._answers = answers
        self.drops = 0

    async def fetch(self, sql: str) -> list[Any]:
        assert sql == expiry.DELETE_BATCH
        if not self._answers:
            raise StopAsyncIteration
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return [[answer]]

    async def drop(self) -> None:
        self.drops += 1
