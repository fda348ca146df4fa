"""A database for these tests, and a schema for each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from uuid import uuid4

import pytest

from tests.integration.kernel.backends import Backend, Memory, Postgres, execute, make_topic, schema_in
from tests.support import stack
from tests.support.town import PARTITIONS, QUOTES, Town, town


@pytest.fixture(scope="session")
def kernel_database(postgres_dsn: str) -> Iterator[str]:
    """A database with nothing in it, for this worker."""
    name = f"kernel_{uuid4().hex}"
    asyncio.run(execute(postgres_dsn, f"CREATE DATABASE {name}"))
    yield stack.on_database(postgres_dsn, name)
    asyncio.run(execute(postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def postgres(kernel_database: str) -> AsyncIterator[Postgres]:
    """A schema of this test's own."""
    made = await schema_in(kernel_database)
    yield made
    for lane in made.lanes:
        await lane.drop()


@pytest.fixture(params=["memory", "postgres"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Both, one after the other."""
    if request.param == "memory":
        return Memory()
    found: Postgres = request.getfixturevalue("postgres")
    return found


@pytest.fixture
async def place(new_database: Callable[[], str], broker: str) -> AsyncIterator[Town]:
    """A town on an empty topic."""
    await make_topic(broker, QUOTES, PARTITIONS, fresh=True)
    async with town(new_database(), broker) as found:
        yield found
