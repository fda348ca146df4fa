import pytest

from tests.integration.reconciliation.books import World


@pytest.fixture
async def world(database: str) -> World:
    made = World(database)
    await made.clear()
    return made
