"""Look-ups that wait for each other: one query in flight, the others together in the next."""

import asyncio

import pytest

from services.kernel.loader import Loader


class Table:
    """Answers when it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.go = asyncio.Event()

    async def query(self, keys: list[int]) -> dict[int, str]:
        self.asked.append(sorted(keys))
        await self.go.wait()
        if 13 in keys:
            raise LookupError
        return {key: f"value {key}" for key in keys if key < 100}


async def test_those_that_arrive_while_a_query_runs_are_the_next_query() -> None:
    table = Table()
    loader = Loader(table.query)
    first = asyncio.create_task(loader.load([1]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = [asyncio.create_task(loader.load([key, 100 + key])) for key in (2, 3, 2)]
    await asyncio.sleep(0)
    table.go.set()
    assert await first == {1: "value 1"}
    assert await asyncio.gather(*others) == [{2: "value 2"}, {3: "value 3"}, {2: "value 2"}]
    assert table.asked == [[1], [2, 3, 102, 103]]


async def test_a_query_that_fails_fails_its_askers_and_nobody_after_them() -> None:
    table = Table()
    table.go.set()
    loader = Loader(table.query)
    with pytest.raises(LookupError):
        await loader.load([13])
    assert await loader.load([4]) == {4: "value 4"}
