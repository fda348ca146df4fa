"""A load process: python -m scripts.bench.load, its plan on stdin. Speaks to the system over HTTP alone."""

import asyncio
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import uuid4

import uvloop

from scripts.bench.client import Body, Client, Facts, Pair, Refused, Result, report
from scripts.bench.plan import Outcome, Plan, Window, decode_plan, encode
from scripts.bench.progress import Progress

PAIRS = 8  # senders and receivers; all of the one customer
# Paced: a loop's transfer is due this long after its quote, and its deposit this long after that, whatever has been
# answered by then. It is the goal for an answer, so that a hop that keeps it charges nothing to the next one.
STEP_SECONDS = 0.05

T = TypeVar("T")


def main() -> None:
    """Raises whatever ends the load: the meter fails then."""
    uvloop.run(Load(decode_plan(sys.stdin.buffer.read())).run())


class Load:
    """One phase's clients."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.facts = Facts.of(plan.system)
        self.client = Client(self.facts)
        self.progress = Progress(self.facts.oncall_database_url, plan.outstanding)
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.intended: dict[str, float] = {}
        self.refused: Counter[str] = Counter()
        self.funded = 0
        self.pairs: list[Pair] = []
        self.begin = self.end = 0.0  # of the measured window, by time.monotonic(): uvloop's clock has milliseconds

    async def run(self) -> None:
        """Prepare, warm up, measure, drain."""
        self.pairs = [await self.client.make_pair() for _ in range(PAIRS)]
        await self.progress.start()
        now, wall = time.monotonic(), time.time()
        self.begin = now + self.plan.warm_up_seconds
        self.end = self.begin + self.plan.seconds
        modes = {"bulk": self._bulk, "single": self._single, "paced": self._paced}
        window = asyncio.create_task(self._say_window())
        await modes[self.plan.mode]()
        await window
        stopped = time.monotonic()
        drained = await self.progress.reach(self.funded, self.plan.drain_seconds)
        await self.progress.stop()
        self.client.close()
        _say(Outcome(
            begin=wall + self.begin - now, end=wall + self.end - now, funded=self.funded,
            drained_seconds=time.monotonic() - stopped, drained=drained,
            retries=self.client.retries, retried=dict(self.client.retried), refused=dict(self.refused),
            seconds=self.seconds, intended=self.intended,
        ))  # fmt: skip

    async def _say_window(self) -> None:
        for at in (self.begin, self.end):
            await _until(at)
            _say(Window(at=time.time()))

    # -- bulk and single: as much as there is room for

    async def _bulk(self) -> None:
        await asyncio.gather(*(self._while_open(self._batch) for _ in range(self.plan.in_flight)))

    async def _single(self) -> None:
        await asyncio.gather(*(self._while_open(self._loop) for _ in range(self.plan.in_flight)))

    async def _while_open(self, act: Callable[[int], Awaitable[None]]) -> None:
        number = 0
        while time.monotonic() < self.end:
            number += 1
            await act(number)

    async def _batch(self, number: int) -> None:
        """A batch through the three bulk requests."""
        await self.progress.room(self.plan.batch)
        pair, now = self.pairs[number % PAIRS], time.monotonic
        quotes = self._good(await self._timed("quotes", self.client.quotes(self.plan.batch, str(uuid4())), now()))
        ids = [each.quote_id for each in quotes]
        opened = self._good(await self._timed("transfers", self.client.transfers(ids, pair, str(uuid4())), now()))
        reports = [report(uuid4().hex, each) for each in opened]
        paid = self._good(await self._timed("deposits", self.client.deposits(reports), now()))
        self.funded += len(paid)
        self.progress.begun -= self.plan.batch - len(paid)

    async def _loop(self, number: int) -> None:
        """One loop of three single requests, each at once after the one before."""
        await self.progress.room(1)
        pair, now = self.pairs[number % PAIRS], time.monotonic
        try:
            quote = await self._timed("quote", self.client.quote(str(uuid4())), now())
            transfer = await self._timed("transfer", self.client.transfer(quote.quote_id, pair, str(uuid4())), now())
            await self._timed("deposit", self.client.deposit(uuid4().hex, transfer), now())
        except Refused as refusal:
            self.refused[refusal.code] += 1
            self.progress.begun -= 1
        else:
            self.funded += 1

    def _good(self, results: list[Result]) -> list[Body]:
        for each in results:
            if each.status >= 300:
                self.refused[each.body.code] += 1
        return [each.body for each in results if each.status < 300]

    # -- paced: an open loop, which does not wait for a slow system

    async def _paced(self) -> None:
        first, every = time.monotonic() + 0.1, 1 / self.plan.loops_per_second
        count = int((self.end - first) * self.plan.loops_per_second)
        running = []
        for number in range(count):
            await _until(first + number * every)
            running.append(asyncio.create_task(self._journey(number, first + number * every)))
        await asyncio.gather(*running)

    async def _journey(self, number: int, due: float) -> None:
        """Each hop has its time; a hop that comes late because of the one before is late by its own clock too."""
        wall = time.time() - time.monotonic()
        try:
            quote = await self._timed("quote", self.client.quote(str(uuid4())), due)
            await _until(due + STEP_SECONDS)
            wish = self.client.transfer(quote.quote_id, self.pairs[number % PAIRS], str(uuid4()))
            transfer = await self._timed("transfer", wish, due + STEP_SECONDS)
            if due >= self.begin:
                self.intended[transfer.transfer_id] = wall + due + STEP_SECONDS
            await _until(due + 2 * STEP_SECONDS)
            await self._timed("deposit", self.client.deposit(uuid4().hex, transfer), due + 2 * STEP_SECONDS)
        except Refused as refusal:
            self.refused[refusal.code] += 1
        else:
            self.funded += 1

    async def _timed(self, hop: str, asked: Awaitable[T], intended: float) -> T:
        """The answer; its time counts when it was wanted inside the window."""
        answer = await asked
        if self.begin <= intended < self.end:
            self.seconds[hop].append(time.monotonic() - intended)
        return answer


async def _until(at: float) -> None:
    await asyncio.sleep(at - time.monotonic())


def _say(what: Window | Outcome) -> None:
    sys.stdout.buffer.write(encode(what) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
