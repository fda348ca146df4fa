"""The deposit watcher without its vault, and with it: what a partner reports is kept, and nobody reads it by SQL."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp
import asyncpg
import pytest

from services.deposit_watcher.__main__ import Settings, build
from services.kernel.consumer import Inbox
from services.kernel.engine import Engine
from services.kernel.service import Runtime
from services.kernel.settings import Secret, SharedKey, load
from services.kernel.vault import Wrapping
from services.kernel.vault_arrivals import open_arrival
from services.kernel.vault_keys import ARRIVALS, PostgresKeys
from services.kernel.webhook import HEADER, header_of
from tests.integration.core_api.conftest import served
from tests.support.fakes import KEK, until

KEY = SharedKey("acme", "k1", Secret("0123456789abcdef0123456789abcdef"))
PATH = "/v1/webhooks/deposit"


@dataclass
class Door:
    """The watcher over HTTP, the database as an administrator sees it."""

    url: str
    session: aiohttp.ClientSession
    pool: asyncpg.Pool[asyncpg.Record]
    begun: list[str]  # the consumers that have begun to read

    async def report(self, reference: str, *, signed: bool = True) -> int:
        body = body_of(reference)
        headers = {"content-type": "application/json"}
        headers |= {HEADER: header_of(KEY, body, int(time.time()))} if signed else {}
        async with self.session.post(self.url + PATH, data=body, headers=headers) as answer:
            return answer.status

    async def ready(self) -> bool:
        async with self.session.get(self.url + "/readyz") as answer:
            return bool((await answer.json())["dependencies"].get("vault") == "ok")


def body_of(reference: str) -> bytes:
    report = {"reference": reference, "route": "Anna from Leeds", "amount_minor": 5, "currency": "GBP"}
    return json.dumps(report | {"booked_at": "2026-03-02T09:30:00Z"}).encode()


@pytest.fixture
async def door(database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    begun: list[str] = []

    async def consume(_runtime: Runtime, inbox: Inbox, _lane: Engine) -> None:
        begun.append(inbox.name)

    monkeypatch.setattr(Runtime, "_consume", consume)  # there is no broker here
    environ = {
        "ENV": "test", "DATABASE_URL": database, "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "PORT": "0",
        "JWT_SECRET": "an-hs256-key-of-32-chars-or-more", "CORRIDOR_KEK": KEK.reveal(),
        "DEPOSIT_WEBHOOK_SECRETS": f"acme:k1:{KEY.secret.reveal()}",
    }  # fmt: skip
    async with AsyncExitStack() as opened:
        pool = await opened.enter_async_context(asyncpg.create_pool(database, min_size=0, max_size=1))
        await pool.execute("ALTER TABLE vault.arrival_key RENAME TO away")
        running = await build(load(Settings, "deposit_watcher", environ), opened)
        for name in ("commands", "arrival-keys", "consumer"):
            opened.callback(asyncio.create_task(running.tasks[name]()).cancel)
        url = await opened.enter_async_context(served(running.app))
        session = await opened.enter_async_context(aiohttp.ClientSession())
        yield Door(url, session, pool, begun)


async def test_without_its_vault_it_is_not_ready_and_reads_nothing_and_with_it_everything_is_kept_sealed(
    door: Door,
) -> None:
    assert not await door.ready()
    assert await door.report("R1") == 503
    assert door.begun == []

    await door.pool.execute("ALTER TABLE vault.away RENAME TO arrival_key")
    await until(door.ready)
    assert door.begun == ["deposit_watcher"]
    assert [await door.report("R1"), await door.report("R1"), await door.report("R2", signed=False)] == [200, 200, 401]

    rows = await door.pool.fetch("SELECT * FROM deposit.raw_arrival ORDER BY received_at, arrival_id")
    assert [row["verdict"] for row in rows] == ["accepted", "duplicate", "invalid_signature:missing"]
    keys, wrapping = PostgresKeys(door.pool, ARRIVALS), Wrapping(KEK, None)
    for row, reference in zip(rows, ("R1", "R1", "R2"), strict=True):
        assert b"Leeds" not in row["body"]
        columns = {name: row[name] for name in ("tenant", "arrival_id", "source", "body", "headers")}
        assert (await open_arrival(keys, wrapping, **columns))[0] == body_of(reference)
