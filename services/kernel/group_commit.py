"""Group commit: the asks that arrive while the last transaction commits form the next batch.

So do those that follow a small one within a few milliseconds. The first ask after a quiet time never waits. Whoever
waits for its turn for too long is refused, all its units or none: of what was refused nothing was begun.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import repeat

from services.kernel.decider import Outcome, Unit
from services.kernel.engine import Engine, Units
from services.kernel.pace import Pace
from services.kernel.store import ContentRefused, Exhausted, Unavailable

BATCH_UNITS_MAX = 128  # so that a bulk of 500 does not hold up a single request
PACE_SECONDS = 0.02  # two fifths of the p99 that an answer may take
QUEUE_UNITS_MAX = 10_000  # beyond it the door says 503: memory has a bound
WAIT_SECONDS = 5.0
SWEEP_SECONDS_MIN = 0.05  # between two looks for who has waited too long


class _Submission:
    """What was submitted together. Begun with its first unit, it is waited for; before, only until `until`."""

    __slots__ = ("begun", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self.begun = False


class GroupCommit:
    """The lane of HTTP and the command line. FIFO; one batch is in flight at a time."""

    def __init__(
        self,
        engine: Engine,
        pace: Pace | None = None,
        *,
        wait_seconds: float = WAIT_SECONDS,
        units_max: int = QUEUE_UNITS_MAX,
        refused: Callable[[], None] = lambda: None,
    ) -> None:
        """`wait_seconds`: how long a submission waits for its turn. `refused` is told of each that was refused."""
        self.engine = engine
        self._pace = pace or Pace(PACE_SECONDS)
        self._wait_seconds = wait_seconds
        self._units_max = units_max
        self._refused = refused
        self._queue: deque[tuple[Unit, asyncio.Future[Outcome], _Submission]] = deque()
        self._wake = asyncio.Event()
        self._sweep: asyncio.TimerHandle | None = None
        self.busy = False  # a batch is in flight

    @property
    def waiting(self) -> int:
        """Units that wait for their turn."""
        return len(self._queue)

    async def submit(self, units: Sequence[Unit]) -> list[Outcome]:
        """The outcomes, after their commits. Raises Exhausted, Unavailable, or the error of a unit's database row."""
        if len(self._queue) + len(units) > self._units_max:
            self._refused()
            raise Exhausted(f"{len(self._queue)} units wait")
        loop = asyncio.get_running_loop()
        submission = _Submission(loop.time() + self._wait_seconds)
        futures = [loop.create_future() for _ in units]
        self._queue.extend(zip(units, futures, repeat(submission)))
        if self._sweep is None:
            self._sweep = loop.call_at(submission.until, self._expire)
        self._wake.set()
        return list(await asyncio.gather(*futures))

    async def ask(self, unit: Unit) -> Outcome:
        """One unit."""
        return (await self.submit((unit,)))[0]

    def _expire(self) -> None:
        """Refuse who has waited too long, and look again when the next one will have."""
        loop = asyncio.get_running_loop()
        now, late = loop.time(), set()
        kept: deque[tuple[Unit, asyncio.Future[Outcome], _Submission]] = deque()
        for entry in self._queue:
            _, future, submission = entry
            if submission.begun or submission.until > now:
                kept.append(entry)
                continue
            if submission not in late:
                late.add(submission)
                self._refused()
            if not future.done():
                future.set_exception(Exhausted(f"not begun within {self._wait_seconds} s"))
        self._queue = kept
        following = min((each.until for _, _, each in kept if not each.begun), default=None)
        at = None if following is None else max(following, now + SWEEP_SECONDS_MIN)
        self._sweep = None if at is None else loop.call_at(at, self._expire)

    async def run(self) -> None:
        """Commit batches for ever. Ends only with its task."""
        while True:
            if not self._queue:
                self._wake.clear()
                await self._wake.wait()
            if len(self._queue) < BATCH_UNITS_MAX:
                await self._pace.turn()
            live = self._taken()
            self.busy = True
            await self._commit(live)
            self.busy = False

    def _taken(self) -> list[tuple[Unit, asyncio.Future[Outcome]]]:
        """The next batch, without those whose askers have left."""
        queue, live = self._queue, []
        for _ in range(min(len(queue), BATCH_UNITS_MAX)):
            unit, future, submission = queue.popleft()
            submission.begun = True
            if not future.done():
                live.append((unit, future))
        return live

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
