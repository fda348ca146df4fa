"""Group commit: the asks that arrive while the last transaction commits form the next batch.

So do those that follow a small one within a few milliseconds. The first ask after a quiet time never waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from services.kernel.decider import Outcome, Unit
from services.kernel.engine import Engine, Units
from services.kernel.pace import Pace
from services.kernel.store import ContentRefused, Unavailable

BATCH_UNITS_MAX = 128  # so that a bulk of 500 does not hold up a single request
PACE_SECONDS = 0.02  # two fifths of the p99 that an answer may take
QUEUE_UNITS_MAX = 10_000  # beyond it the door says 503: memory has a bound


class Overloaded(Exception):
    """The queue is full: try again later."""


class GroupCommit:
    """The lane of HTTP and the command line. FIFO; one batch is in flight at a time."""

    def __init__(self, engine: Engine, pace: Pace | None = None) -> None:
        self.engine = engine
        self._pace = pace or Pace(PACE_SECONDS)
        self._queue: deque[tuple[Unit, asyncio.Future[Outcome]]] = deque()
        self._wake = asyncio.Event()

    async def submit(self, units: Sequence[Unit]) -> list[Outcome]:
        """The outcomes, after their commits. Raises Overloaded, Unavailable, or the error of a unit's database row."""
        if len(self._queue) + len(units) > QUEUE_UNITS_MAX:
            raise Overloaded
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in units]
        self._queue.extend(zip(units, futures, strict=True))
        self._wake.set()
        return list(await asyncio.gather(*futures))

    async def ask(self, unit: Unit) -> Outcome:
        """One unit."""
        return (await self.submit((unit,)))[0]

    async def run(self) -> None:
        """Commit batches for ever. Ends only with its task."""
        while True:
            if not self._queue:
                self._wake.clear()
                await self._wake.wait()
            if len(self._queue) < BATCH_UNITS_MAX:
                await self._pace.turn()
            taken = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_UNITS_MAX))]
            live = [(unit, future) for unit, future in taken if not future.done()]
            await self._commit(live)

    async def _commit(self, taken: list[tuple[Unit, asyncio.Future[Outcome]]]) -> None:
        if not taken:
            return
        try:
            outcomes = await self.engine.run(Units([unit for unit, _ in taken]))
        except ContentRefused as refused:
            await self._halve(taken, refused)
        except Unavailable as away:
            _fail(taken, away)
        except Exception as error:  # noqa: BLE001 - it belongs to whoever asked; the loop goes on
            _fail(taken, error)
        else:
            for (_, future), outcome in zip(taken, outcomes, strict=True):
                if not future.done():
                    future.set_result(outcome)

    async def _halve(self, taken: list[tuple[Unit, asyncio.Future[Outcome]]], refused: ContentRefused) -> None:
        """The database refuses something in here: halve down to the culprit, so that its neighbours go through."""
        if len(taken) == 1:
            if not taken[0][1].done():  # its client may have left
                taken[0][1].set_result(Outcome(error=refused))
            return
        middle = len(taken) // 2
        await self._commit(taken[:middle])
        await self._commit(taken[middle:])


def _fail(taken: list[tuple[Unit, asyncio.Future[Outcome]]], error: Exception) -> None:
    for _, future in taken:
        if not future.done():
            future.set_exception(error)
