"""What asyncpg takes for an array: lists and tuples, and nothing else that can be walked through."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from services.kernel.arrays import only_lists_and_tuples


@pytest.fixture
async def connection(postgres_dsn: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A session of this test's own."""
    only_lists_and_tuples()
    made = await asyncpg.connect(postgres_dsn)
    yield made
    await made.close()


@pytest.mark.parametrize("texts", [[], ["a", "", None], ["b", None], [["a"], ["b"]]])
async def test_lists_and_tuples_come_back(connection: asyncpg.Connection[Any], texts: list[Any]) -> None:
    assert await connection.fetchval("SELECT $1::text[]", texts) == texts
    assert await connection.fetchval("SELECT $1::text[]", tuple(texts)) == texts


async def test_bytes_are_one_element_each(connection: asyncpg.Connection[Any]) -> None:
    assert await connection.fetchval("SELECT $1::bytea[]", (b"ab", bytearray(b"c"))) == [b"ab", b"c"]


@pytest.mark.parametrize("other", [{"a"}, {"a": 1}, {"a": 1}.keys(), "a", b"a"])
async def test_nothing_else_is_an_array(connection: asyncpg.Connection[Any], other: object) -> None:
    with pytest.raises(asyncpg.DataError):
        await connection.fetchval("SELECT $1::text[]", other)
