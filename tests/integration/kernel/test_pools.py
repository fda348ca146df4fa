"""A pool of two, and more who want it: whoever waits too long is told so, nothing is half done, probes still answer."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from starlette.responses import Response

from services.kernel import metrics
from services.kernel.bulk import commit_item
from services.kernel.connections import Room, room, sessions_of
from services.kernel.event_store import PostgresStore
from services.kernel.http import App, create_app, json_reply, reply
from services.kernel.pool import Pool
from services.kernel.routing import Request, Router
from services.kernel.service import Runtime, Service
from services.kernel.settings import Kernel, load
from tests.support.builders import JAR, TOPIC, AddOnce, keyed
from tests.support.fakes import until
from tests.unit.kernel.door import send

SETTINGS = {
    "ENV": "test", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "JWT_SECRET": "0f9d1c3b5a7e88420f9d1c3b5a7e8842",
    "DB_POOL_SIZE": "2", "DB_POOL_TIMEOUT_SECONDS": "1",
}  # fmt: skip
AT_ONCE = 0.9  # seconds: less than anybody waits for a session
EXHAUSTED = (503, "DB_POOL_EXHAUSTED", "https://corridor.dev/problems/db-pool-exhausted", "1")


@dataclass
class Door:
    """A service on a database of its own, and how to ask it."""

    dsn: str
    runtime: Runtime
    app: App

    async def get(self, path: str) -> tuple[int, str, str, str]:
        """(status, code, type, Retry-After)."""
        answer = await send(self.app, "GET", path)
        problem = answer.headers["content-type"] == "application/problem+json"
        said = json.loads(answer.body) if problem else {}
        return answer.status, said.get("code", ""), said.get("type", ""), answer.headers.get("retry-after", "")

    async def gauge(self, name: str, lane: str) -> float:
        """As a scrape sees it."""
        text = (await send(self.app, "GET", "/metrics")).body.decode()
        line = next(line for line in text.splitlines() if line.startswith(f'{name}{{lane="{lane}"}}'))
        return float(line.rpartition(" ")[2])

    async def fetch(self, sql: str, *values: Any) -> list[Any]:
        connection = await asyncpg.connect(self.dsn, server_settings={"search_path": "quote"})
        try:
            return list(await connection.fetch(sql, *values))
        finally:
            await connection.close()

    @asynccontextmanager
    async def locked(self, table: str) -> AsyncIterator[None]:
        """Nobody else reads or writes `table`."""
        connection = await asyncpg.connect(self.dsn, server_settings={"search_path": "quote"})
        try:
            async with connection.transaction():
                await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
                yield
        finally:
            await connection.close()


@asynccontextmanager
async def door(dsn: str, **environment: str) -> AsyncIterator[Door]:
    settings = load(Kernel, "jar", SETTINGS | {"DATABASE_URL": dsn} | environment)
    runtime = Runtime(Service(name="jar", schema="quote", topic=TOPIC, deciders=(JAR,)), settings)
    commands = asyncio.create_task(runtime.commands.run())
    opened = Door(dsn, runtime, create_app(settings, [routes(runtime)], runtime.health()))
    try:
        yield opened
    finally:
        commands.cancel()
        await runtime.reads.drop()
        await asyncio.gather(runtime.probes.drop(), runtime.commands.engine.store.drop())  # type: ignore[attr-defined]


def routes(runtime: Runtime) -> Router:
    router = Router()

    @router.get("/count")
    async def get_count(_request: Request) -> Response:
        return json_reply({"count": (await runtime.reads.fetch("SELECT count(*) FROM claim"))[0][0]})

    @router.get("/heads/{jar}")
    async def get_head(request: Request) -> Response:
        return json_reply({"known": len(await runtime.reading.heads([UUID(request.path_params["jar"])]))})

    @router.get("/slow")
    async def get_slow(_request: Request) -> Response:
        await runtime.reads.fetch("SELECT pg_sleep(60)")
        return json_reply({})

    @router.get("/add/{jar}")
    async def add(request: Request) -> Response:
        jar = request.path_params["jar"]
        return reply(await commit_item(runtime.commands, keyed(UUID(jar), AddOnce(1), jar)))

    return router


async def timed(asked: Any) -> tuple[float, Any]:
    began = time.monotonic()
    found = await asked
    return time.monotonic() - began, found


async def test_reads_wait_for_a_session_for_so_long_and_no_longer(database: str) -> None:
    async with door(database) as there:
        async with there.locked("claim"):
            holding = [asyncio.create_task(there.get("/count")) for _ in range(2)]
            await until(lambda: _is(there.runtime.pool.in_use == 2))
            assert await there.gauge("corridor_db_pool_in_use", "reads") == 2
            crowd = [asyncio.create_task(timed(there.get("/count"))) for _ in range(20)]
            await until(lambda: _is(there.runtime.pool.waiting == 20))
            assert await there.gauge("corridor_db_pool_waiting", "reads") == 20
            assert await there.gauge("corridor_db_pool_size", "reads") == 2
            before = await there.gauge("corridor_db_pool_timeouts_total", "reads")
            for path in ("/healthz", "/readyz", "/metrics"):
                seconds, (status, *_) = await timed(there.get(path))
                assert (status, seconds < AT_ONCE) == (200, True)
            refused = await asyncio.gather(*crowd)
            assert {answer for _, answer in refused} == {EXHAUSTED}
            assert all(0.9 < seconds < 3 for seconds, _ in refused)
            assert await there.gauge("corridor_db_pool_timeouts_total", "reads") == before + 20
        assert [status for status, *_ in await asyncio.gather(*holding)] == [200, 200]
        assert [status for status, *_ in await asyncio.gather(*(there.get("/count") for _ in range(20)))] == [200] * 20
        assert await there.gauge("corridor_db_pool_in_use", "reads") == 0


async def test_look_ups_that_wait_for_each_other_do_so_no_longer_either(database: str) -> None:
    async with door(database) as there, there.locked("stream_state"):
        first = asyncio.create_task(there.get(f"/heads/{uuid4()}"))
        await until(lambda: _is(there.runtime.pool.in_use == 1))
        late = await asyncio.gather(*(there.get(f"/heads/{uuid4()}") for _ in range(5)))
        assert set(late) == {EXHAUSTED}
        first.cancel()


async def test_commands_are_refused_whole_before_they_begin_or_not_at_all(database: str) -> None:
    jars = [str(uuid4()) for _ in range(30)]
    async with door(database) as there:
        async with there.locked("event"):
            first = asyncio.create_task(there.get(f"/add/{jars[0]}"))
            await until(lambda: _is(there.runtime.commands.busy))
            crowd = [asyncio.create_task(timed(there.get(f"/add/{jar}"))) for jar in jars[1:]]
            await until(lambda: _is(there.runtime.commands.waiting == 29))
            assert await there.gauge("corridor_db_pool_waiting", "http") == 29
            seconds, (status, *_) = await timed(there.get("/readyz"))
            assert (status, seconds < AT_ONCE) == (200, True)
            refused = await asyncio.gather(*crowd)
            assert {answer for _, answer in refused} == {EXHAUSTED}
            assert all(0.9 < seconds < 3 for seconds, _ in refused)
        assert (await first)[0] == 201
        done = "SELECT stream_id::text AS jar, count(*) FROM event WHERE stream_id = ANY($1) GROUP BY 1"
        kept = "SELECT key, status FROM request_key WHERE key = ANY($1)"
        assert [tuple(row) for row in await there.fetch(done, jars)] == [(jars[0], 1)]
        assert [tuple(row) for row in await there.fetch(kept, jars)] == [(jars[0], 201)]
        assert {status for status, *_ in await asyncio.gather(*(there.get(f"/add/{jar}") for jar in jars))} == {201}
        assert {row[1] for row in await there.fetch(done, jars)} == {1}
        assert len(await there.fetch(done, jars)) == len(jars)


async def test_a_refusal_counts_as_a_key_that_could_not_be_reserved(database: str) -> None:
    counted = metrics.IDEMPOTENCY_EVENTS.labels("reserve_error")._value
    async with door(database) as there, there.locked("event"):
        first = asyncio.create_task(there.get(f"/add/{uuid4()}"))
        await until(lambda: _is(there.runtime.commands.busy))
        before = counted.get()
        assert await there.get(f"/add/{uuid4()}") == EXHAUSTED
        assert counted.get() == before + 1
        first.cancel()


async def test_a_statement_ends_at_its_time_out_and_so_does_a_transaction_that_idles(database: str) -> None:
    limits = {"DB_STATEMENT_TIMEOUT_SECONDS": "1", "DB_IDLE_IN_TRANSACTION_TIMEOUT_SECONDS": "1"}
    async with door(database, **limits) as there:
        seconds, answer = await timed(there.get("/slow"))
        assert answer[:2] == (503, "TEMPORARILY_UNAVAILABLE")
        assert seconds < 5
        session = await there.runtime.session("idling")()
        await session.execute("BEGIN; LOCK TABLE claim IN ACCESS EXCLUSIVE MODE")
        await until(lambda: _is(session.is_closed()))
        assert (await there.get("/count"))[0] == 200


async def test_every_session_has_the_time_outs_that_are_set(database: str) -> None:
    limits = {"DB_STATEMENT_TIMEOUT_SECONDS": "9", "DB_IDLE_IN_TRANSACTION_TIMEOUT_SECONDS": "4"}
    show = "SELECT current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout')"
    async with door(database, **limits) as there:
        vault = Pool.of(there.runtime.settings, "vault", "vault")
        lanes: list[PostgresStore | Pool] = [there.runtime.reads, there.runtime.store("some lane"), vault]
        assert [tuple((await lane.fetch(show))[0]) for lane in lanes] == [("9s", "4s")] * 3
        assert tuple((await there.runtime.probes.fetch(show))[0]) == ("1s", "4s")
        await vault.close()


async def test_the_overflow_is_opened_under_load_and_ended_after_it(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.kernel.pool.SPARE_SECONDS", 0.0)
    ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'corridor jar reads'"
    async with door(database, DB_POOL_SIZE="1", DB_POOL_OVERFLOW="2") as there:
        async with there.locked("claim"):
            holding = [asyncio.create_task(there.get("/count")) for _ in range(3)]
            await until(lambda: _is(there.runtime.pool.in_use == 3))
            assert await there.get("/count") == EXHAUSTED
        assert [status for status, *_ in await asyncio.gather(*holding)] == [200] * 3
        assert (await there.fetch(ours))[0][0] == 3
        await there.runtime.pool.trim()

        async def left() -> bool:
            return bool((await there.fetch(ours))[0][0] == 1)

        await until(left)


async def test_a_deploy_that_wants_more_sessions_than_there_are_is_told_so(database: str) -> None:
    async with door(database) as there:
        wanted = sessions_of((await send(there.app, "GET", "/metrics")).body.decode())
        found = await room(database)
    assert wanted >= 2 + 1 + 1 + 1 + 1  # reads, http, probes, relay, wakes
    assert found.fault({"jar": wanted}) is None
    crowded = Room(most=100, reserved=3, others=90).fault({"jar": 5, "lid": 4})
    assert crowded is not None
    assert "room for 7" in crowded
    assert "may open 9: jar 5, lid 4" in crowded


async def _is(value: bool) -> bool:
    return value
