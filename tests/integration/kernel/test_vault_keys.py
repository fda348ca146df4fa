"""The vault's keys in PostgreSQL: made once by however many processes, destroyed for ever."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.kernel.settings import Secret
from services.kernel.vault import Erased, Vault
from services.kernel.vault_keys import PostgresKeys

KEK = Secret(base64.b64encode(bytes(32)).decode())


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    async with asyncpg.create_pool(database, min_size=1, max_size=8) as opened:
        await opened.execute("TRUNCATE vault.data_key")
        yield opened


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
