"""The vault's keys in PostgreSQL: made once by however many processes, destroyed for ever."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.kernel.settings import Secret
from services.kernel.vault import Erased, Vault, Wrapping
from services.kernel.vault_arrivals import ArrivalKeys, destroy_arrivals, open_arrival
from services.kernel.vault_keys import ARRIVALS, PostgresKeys

KEK = Secret(base64.b64encode(bytes(32)).decode())


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    async with asyncpg.create_pool(database, min_size=1, max_size=8) as opened:
        await opened.execute("TRUNCATE vault.data_key, vault.arrival_key")
        yield opened


@pytest.fixture
async def service(database: str) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    """With no more rights than the deposit watcher has."""

    async def become(connection: asyncpg.Connection[asyncpg.Record]) -> None:
        await connection.execute("SET SESSION AUTHORIZATION corridor_deposit")

    async with asyncpg.create_pool(database, min_size=1, max_size=4, init=become, reset=kept_role) as opened:
        yield opened


async def kept_role(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Between two uses nothing is reset: the role would be."""


def vault(pool: asyncpg.Pool[asyncpg.Record]) -> Vault:
    return Vault(PostgresKeys(pool), kek=KEK, digest_key=Secret("digest"))


async def test_processes_that_make_the_same_keys_at_once_agree(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    people = [uuid4() for _ in range(100)]
    orders = [people, people[::-1]] * 4
    sealed = await asyncio.gather(
        *(vault(pool).seal_many("t", [(one, "name", str(one)) for one in order]) for order in orders)
    )
    assert await pool.fetchval("SELECT count(*) FROM vault.data_key") == 100
    everything = [(box, "name") for boxes in sealed for box in boxes]
    assert await vault(pool).open_many("t", everything) == [str(one) for order in orders for one in order]


async def test_a_destroyed_key_leaves_nothing_to_open_with(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    anna, ben = UUID(int=1), UUID(int=2)
    sealed, other = await vault(pool).seal_many("t", ((anna, "name", "Anna"), (ben, "name", "Ben")))
    await vault(pool).destroy("t", anna)
    await vault(pool).destroy("t", anna)
    assert await pool.fetchval("SELECT wrapped FROM vault.data_key WHERE subject = $1", anna) is None
    with pytest.raises(Erased):
        await vault(pool).open("t", sealed, "name")
    with pytest.raises(Erased):
        await vault(pool).seal("t", anna, "name", "Anna")
    assert await vault(pool).open("t", other, "name") == "Ben"


def arrival_keys(pool: asyncpg.Pool[asyncpg.Record]) -> ArrivalKeys:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    return ArrivalKeys(PostgresKeys(pool, ARRIVALS), Wrapping(KEK, None), "t", ["acme", "zed"], now=lambda: now)


async def read_back(pool: asyncpg.Pool[asyncpg.Record], arrival_id: UUID, source: str) -> tuple[bytes, bytes]:
    """As a person on call does it: from the row alone."""
    row = await pool.fetchrow("SELECT * FROM deposit.raw_arrival WHERE arrival_id = $1", arrival_id)
    assert row is not None
    return await open_arrival(
        PostgresKeys(pool, ARRIVALS), Wrapping(KEK, None), tenant=row["tenant"], arrival_id=row["arrival_id"],
        source=source, body=row["body"], headers=row["headers"],
    )  # fmt: skip


async def test_an_arrival_is_sealed_with_a_key_made_by_the_services_own_role_and_read_back_from_its_row(
    pool: asyncpg.Pool[asyncpg.Record], service: asyncpg.Pool[asyncpg.Record]
) -> None:
    arrival_id = uuid4()
    first, second = arrival_keys(service), arrival_keys(service)
    await asyncio.gather(first.renew(), second.renew())
    assert await pool.fetchval("SELECT count(*) FROM vault.arrival_key") == 3
    assert await pool.fetchval("SELECT count(*) FROM vault.data_key") == 0
    body, headers = first.seal("acme", arrival_id, b"\x00 body", b"{}")
    insert = """INSERT INTO deposit.raw_arrival (arrival_id, tenant, source, transport, body, headers, verdict)
                VALUES ($1, 't', 'acme', 'webhook', $2, $3, 'accepted')"""
    await pool.execute(insert, arrival_id, body, headers)
    assert await read_back(pool, arrival_id, "acme") == (b"\x00 body", b"{}")
    await destroy_arrivals(PostgresKeys(pool, ARRIVALS), "t", "acme", 202611)
    with pytest.raises(Erased):
        await read_back(pool, arrival_id, "acme")
    await second.renew()  # goes on with the successor
    assert await pool.fetchval("SELECT count(*) FROM vault.arrival_key") == 4
