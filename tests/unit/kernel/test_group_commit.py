"""Who waits for the commands' lane: for so long and no longer, all units of a submission or none."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from services.kernel.decider import Outcome
from services.kernel.group_commit import BATCH_UNITS_MAX, GroupCommit
from services.kernel.store import Exhausted
from tests.support.builders import Add, ask
from tests.support.fakes import until

WAIT = 0.05  # seconds


class Slow:
    """An engine whose batches end when they are told to."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.goes = asyncio.Event()

    async def run(self, intake: Any) -> list[Outcome]:
        self.batches.append(len(intake._units))
        await self.goes.wait()
        return [Outcome() for _ in intake._units]


class Lane:
    """A lane with a batch of one in flight."""

    def __init__(self, units_max: int = 1_000) -> None:
        self.engine, self.refused = Slow(), 0
        self.commits = GroupCommit(self.engine, wait_seconds=WAIT, units_max=units_max, refused=self._count)  # type: ignore[arg-type]
        self.running = asyncio.create_task(self.commits.run())

    def _count(self) -> None:
        self.refused += 1

    def submit(self, units: int) -> asyncio.Task[list[Outcome]]:
        return asyncio.create_task(self.commits.submit([ask(uuid4(), Add()) for _ in range(units)]))

    async def batches(self, count: int) -> None:
        async def there() -> bool:
            return len(self.engine.batches) == count

        await until(there)


async def test_who_was_not_begun_in_time_is_refused_and_never_begun() -> None:
    lane = Lane()
    first = lane.submit(1)
    await lane.batches(1)
    late = [lane.submit(3) for _ in range(4)]
    for each in late:
        with pytest.raises(Exhausted):
            await each
    assert (lane.refused, lane.commits.waiting) == (4, 0)
    lane.engine.goes.set()
    assert len(await first) == 1
    assert len(await lane.submit(2)) == 2, "it goes on when the load has fallen"
    assert lane.engine.batches == [1, 2]
    lane.running.cancel()


async def test_what_was_begun_is_waited_for_to_its_end() -> None:
    lane = Lane()
    bulk = lane.submit(BATCH_UNITS_MAX + 10)
    await lane.batches(1)
    late = lane.submit(1)
    with pytest.raises(Exhausted):
        await late
    assert (lane.commits.waiting, bulk.done()) == (10, False)
    lane.engine.goes.set()
    assert len(await bulk) == BATCH_UNITS_MAX + 10
    assert lane.engine.batches == [BATCH_UNITS_MAX, 10]
    lane.running.cancel()


async def test_beyond_its_bound_the_queue_takes_nothing_more() -> None:
    lane = Lane(units_max=5)
    lane.submit(1)
    await lane.batches(1)
    waits = lane.submit(5)
    await asyncio.sleep(0)
    with pytest.raises(Exhausted):
        await lane.submit(1)
    lane.engine.goes.set()
    assert len(await waits) == 5
    assert lane.refused == 1
    lane.running.cancel()
