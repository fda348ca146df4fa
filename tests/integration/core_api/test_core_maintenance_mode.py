"""S2-54: maintenance closes the door for what customers would change, everywhere, and for nothing else."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from services.kernel.tokens import Principal
from tests.integration.core_api.conftest import System, opened_system

PATH = "/v1/admin/maintenance"
ADMIN = uuid4()


def bearer(system: System, *roles: str) -> dict[str, str]:
    return system.bearer(Principal(ADMIN if "admin" in roles else uuid4(), "corridor", frozenset(roles)))


async def switch(system: System, *, enabled: bool, reason: str = "database upgrade") -> tuple[int, Any]:
    return await system.ask("POST", PATH, {"enabled": enabled, "reason": reason}, **bearer(system, "admin"))


async def write(system: System, path: str, who: dict[str, str]) -> tuple[int, dict[str, str]]:
    async with system.session.post(system.url + path, data=b"{}", headers=who) as answer:
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}


async def off(system: System) -> None:
    assert (await switch(system, enabled=False, reason="done"))[0] == 200


async def test_s2_54_customers_change_nothing_and_are_told_when_to_come_again(system: System) -> None:
    assert (await switch(system, enabled=True))[0] == 200
    customer = bearer(system, "customer")
    for path in ("/v1/transfers", "/v1/quotes", "/v1/transfers/batch", f"/v1/transfers/{uuid4()}/cancel"):
        status, headers = await write(system, path, customer)
        assert (status, headers["retry-after"]) == (503, "30")
    profile = {"kind": "sender", "country": "GB", "name": "Ada"}
    for path, body in (("/v1/profiles", profile), ("/v1/auth/signup", system.credentials("m@example.com"))):
        status, problem = await system.ask("POST", path, body, idempotency_key=str(uuid4()), **customer)
        assert (status, problem["code"], problem["type"].rpartition("/")[2]) == (503, "MAINTENANCE", "maintenance")
    assert not any(echo.asked for echo in system.behind.values())
    await off(system)
    assert (await write(system, "/v1/transfers", customer))[0] == 200


async def test_s2_54_reads_webhooks_logins_health_and_staff_go_on(system: System) -> None:
    await system.user("goes-on@example.com", "customer")
    await switch(system, enabled=True)
    try:
        granted = await system.login("goes-on@example.com")
        assert (await system.ask("POST", "/v1/auth/refresh", {"refresh_token": granted["refresh_token"]}))[0] == 200
        for path in ("/v1/transfers/1", "/v1/me", "/healthz", "/readyz"):
            async with system.session.get(system.url + path, headers=bearer(system, "customer")) as answer:
                assert answer.status == 200
        for path in ("/v1/webhooks/deposit", "/v1/webhooks/deposit/batch", "/v1/webhooks/payout"):
            for who in ({}, bearer(system, "customer")):  # it is the signature that counts
                assert (await write(system, path, who))[0] == 200
        for role in ("operator", "admin"):
            assert (await write(system, "/v1/payouts/1/approve", bearer(system, role)))[0] == 200
        assert (await write(system, "/v1/transfers", {"authorization": "Bearer forged"}))[0] == 200  # judged behind
    finally:
        await off(system)


async def test_s2_54_it_is_audited_with_who_and_why(system: System, database: str) -> None:
    _, state = await switch(system, enabled=True, reason="  disk swap ")
    await switch(system, enabled=True, reason="another")
    status, shown = await system.ask("GET", PATH, **bearer(system, "operator"))
    assert (status, shown) == (200, state)
    assert (state["enabled"], state["reason"], state["by"]) == (True, "disk swap", str(ADMIN))
    assert state["since"]
    await off(system)
    connection = await asyncpg.connect(database)
    rows = await connection.fetch(
        "SELECT event_type, convert_from(meta, 'UTF8') AS meta FROM core.event"
        " WHERE event_type LIKE '%maintenance%' ORDER BY global_seq DESC LIMIT 2"
    )
    await connection.close()
    assert [row["event_type"].split(".")[2] for row in rows] == ["maintenance_ended", "maintenance_started"]
    assert str(ADMIN) in rows[1]["meta"]
    assert "disk swap" in rows[1]["meta"]


@pytest.mark.parametrize("body", [{"enabled": True}, {"enabled": True, "reason": "   "}])
async def test_s2_54_a_blank_reason_is_400_and_changes_nothing(system: System, body: dict[str, Any]) -> None:
    status, problem = await system.ask("POST", PATH, body, **bearer(system, "admin"))
    assert (status, problem["code"]) == (400, "REASON_REQUIRED")
    assert (await system.ask("GET", PATH, **bearer(system, "admin")))[1]["enabled"] is False


async def test_s2_54_another_replica_knows_within_2_s_and_one_that_starts_knows_at_once(database: str) -> None:
    async with opened_system(database) as one, opened_system(database) as other:
        customer = bearer(other, "customer")
        for enabled, wanted in ((True, 503), (False, 200)):
            await switch(one, enabled=enabled)
            started = time.monotonic()
            while (await write(other, "/v1/transfers", customer))[0] != wanted:
                assert time.monotonic() - started < 2
                await asyncio.sleep(0.02)
            async with opened_system(database) as late:
                assert (await write(late, "/v1/transfers", customer))[0] == wanted


async def test_s2_54_a_look_from_before_the_switch_does_not_open_the_door_again(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watch has read that there is none, and says so after the switch was answered."""
    (gate,) = {system.door._passed._app._gate}
    read, seen, go_on = gate._reads.heads, asyncio.Event(), asyncio.Event()

    async def slow(streams: Any) -> Any:
        found = await read(streams)
        seen.set()
        await go_on.wait()
        return found

    with monkeypatch.context() as patched:
        patched.setattr(gate._reads, "heads", slow)
        looking = asyncio.create_task(gate.look())
        await seen.wait()
        await switch(system, enabled=True)
    go_on.set()
    await looking
    assert gate.closed
    await switch(system, enabled=False)
    assert not gate.closed


async def test_s2_54_before_anything_is_known_customers_are_asked_to_come_again() -> None:
    async with opened_system("postgresql://nobody@127.0.0.1:1/nowhere") as system:
        async with system.session.post(system.url + "/v1/transfers", headers=bearer(system, "customer")) as answer:
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert (await write(system, "/v1/webhooks/deposit", {}))[0] == 200
