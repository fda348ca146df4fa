"""What the health paths tell, and of whom."""

from __future__ import annotations

import asyncio
import time

import pytest

from services.kernel.health import LIMIT_SECONDS, PATHS, Check, Health
from tests.unit.kernel.door import (
    SECRET,
    send,
    service,
)


async def up() -> None:
    return None


async def not_at_head() -> bool:
    return False


async def down() -> None:
    raise ConnectionRefusedError(SECRET)


async def hanging() -> None:
    await asyncio.sleep(3600)


@pytest.mark.parametrize("path", PATHS)
async def test_all_health_paths_tell_the_same(path: str) -> None:
    answer = await send(service(Health(database=up, migrations=up, others={"kafka": Check(up)})), "GET", path)
    assert (answer.status, answer.json) == (
        200,
        {
            "ok": True, "db_ok": True, "ready": True, "migrations_ok": True, "status": "ok",
            "dependencies": {"postgres": "ok", "kafka": "ok", "redis": "not_configured"},
        },
    )  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
async def test_without_its_database_a_service_lives_but_is_not_ready(path: str) -> None:
    answer = await send(service(Health(database=down, migrations=up)), "GET", path)
    alive = path == "/healthz"
    assert answer.status == (200 if alive else 503)
    assert (answer.json["ok"], answer.json["db_ok"], answer.json["ready"]) == (alive, False, False)
    assert answer.json["dependencies"]["postgres"] == "down"
    assert SECRET not in answer.body.decode()


async def test_a_revision_that_is_not_head_is_not_ready() -> None:
    report = await Health(database=up, migrations=not_at_head).report()
    assert (report["db_ok"], report["migrations_ok"], report["ready"]) == (True, False, False)


async def test_a_dependency_that_is_not_required_only_degrades() -> None:
    report = await Health(database=up, others={"kafka": Check(down, required=False)}).report()
    assert (report["ready"], report["status"], report["dependencies"]["kafka"]) == (True, "degraded", "down")


async def test_a_stopping_service_is_not_ready() -> None:
    health = Health(database=up)
    health.draining = True
    assert (await health.report())["status"] == "draining"


async def test_a_hanging_dependency_is_down_after_a_second() -> None:
    started = time.monotonic()
    report = await Health(database=hanging, others={"kafka": Check(hanging)}).report()
    assert report["db_ok"] is False
    assert LIMIT_SECONDS <= time.monotonic() - started < 2 * LIMIT_SECONDS


async def test_dependencies_are_asked_once_a_second_however_many_ask() -> None:
    asked, clock = 0, [0.0]

    async def probe() -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)

    health = Health(database=probe, now=lambda: clock[0])
    await asyncio.gather(*(health.report() for _ in range(50)))
    clock[0] = 0.99
    await health.report()
    assert asked == 1
    clock[0] = 1.0
    await health.report()
    assert asked == 2
