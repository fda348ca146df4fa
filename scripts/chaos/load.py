"""Customers who want their money to arrive: single and bulk loops at a rate, each asked for until it is answered.

What was answered is written down before anything else is done with it: that log is what Corridor is held to.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from scripts.bench.client import Body, Client, NotAnswered, Pair, Refused, report

PAIRS = 4
BATCH = 25
BULK_SHARE = 0.5  # of all loops
REPEATED_SHARE = 0.05  # of acknowledged requests: asked again with the same key, to compare the answers
OPEN_SECONDS_MAX = 20.0  # of loops at the rate that are under way: beyond it nothing new begins

T = TypeVar("T")


class Log:
    """A line of JSON for each thing that was done and answered."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()
        self._file = path.open("a", buffering=1)

    def write(self, kind: str, **content: Any) -> None:
        self._file.write(json.dumps({"kind": kind} | content) + "\n")
        self.counts[kind] += 1

    def close(self) -> None:
        self._file.close()


class Load:
    """All customers together. `funded` are the transfers whose deposit was acknowledged."""

    def __init__(self, client: Client, log: Log, loops_per_second: float, seed: int, posted: set[str]) -> None:
        self._client = client
        self._log = log
        self._rate = loops_per_second
        self._random = random.Random(seed)  # noqa: S311 - dice, not keys
        self._posted = posted
        self._pairs: list[Pair] = []
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self.funded: set[str] = set()
        self.begun = 0

    @property
    def open_loops(self) -> int:
        """Paid in, and not yet posted."""
        return len(self.funded - self._posted)

    async def prepare(self) -> None:
        self._pairs = [await self._client.make_pair() for _ in range(PAIRS)]

    async def run(self) -> None:
        """Begin loops at the rate until told to stop, then see every one to its last answer."""
        every = BATCH / self._rate  # in each round BATCH loops begin, some of them as one bulk
        while not self._stopping.is_set():
            if self.open_loops < self._rate * OPEN_SECONDS_MAX:
                self._round()
            try:
                async with asyncio.timeout(every):
                    await self._stopping.wait()
            except TimeoutError:
                continue
        await asyncio.gather(*self._running)

    def stop(self) -> None:
        self._stopping.set()

    def _round(self) -> None:
        self.begun += BATCH
        if self._random.random() < BULK_SHARE:
            self._start(self._batch())
        else:
            for number in range(BATCH):
                self._start(self._loop(number / self._rate))

    def _start(self, loop: Awaitable[None]) -> None:
        task = asyncio.ensure_future(loop)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def _key(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))

    # -- one loop of single requests

    async def _loop(self, delay_seconds: float) -> None:
        await asyncio.sleep(delay_seconds)
        pair, keys = self._random.choice(self._pairs), [self._key() for _ in range(3)]
        try:
            quote = await self._twice(lambda: self._client.quote(keys[0]))
            self._log.write("quote", key=keys[0], answer=_content(quote))
            opened = await self._twice(lambda: self._client.transfer(quote.quote_id, pair, keys[1]))
            self._log.write("transfer", key=keys[1], answer=_content(opened), quote=_content(quote))
            reference = keys[2].replace("-", "")
            await self._twice(lambda: self._client.deposit(reference, opened))
            self._paid_in(reference, opened)
        except (Refused, NotAnswered) as trouble:
            self._log.write(_word(trouble), what=str(trouble))

    async def _twice(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer; now and then asked for once more, which must change nothing."""
        answer = await ask()
        if self._random.random() < REPEATED_SHARE:
            again = await ask()
            self._log.write("repeated", same=again == answer)
        return answer

    def _paid_in(self, reference: str, opened: Body) -> None:
        amount = {"amount_minor": opened.send_minor, "currency": opened.send_currency}
        self._log.write("pay_in", reference=reference, transfer_id=opened.transfer_id, **amount)
        self.funded.add(opened.transfer_id)

    # -- a bulk of them

    async def _batch(self) -> None:
        pair, keys = self._random.choice(self._pairs), [self._key() for _ in range(3)]
        try:
            quotes = await self._twice(lambda: self._client.quotes(BATCH, keys[0]))
            priced = [self._noted("quote", each.status, each.body, keys[0]) for each in quotes]
            terms = {each.quote_id: each for each in priced if each}
            wanted = list(terms)
            results = await self._twice(lambda: self._client.transfers(wanted, pair, keys[1]))
            opened = [self._noted("transfer", each.status, each.body, keys[1], terms) for each in results]
            references = {f"{keys[2].replace('-', '')}{at}": each for at, each in enumerate(opened) if each}
            reports = [report(reference, each) for reference, each in references.items()]
            paid = await self._twice(lambda: self._client.deposits(reports)) if reports else []
        except (Refused, NotAnswered) as trouble:
            self._log.write(_word(trouble), what=str(trouble))
            return
        for each in paid:
            if self._noted("deposit", each.status, each.body, keys[2]):
                self._paid_in(each.body.reference, references[each.body.reference])

    def _noted(
        self, kind: str, status: int, body: Body, key: str, terms: Mapping[str, Body] | None = None
    ) -> Body | None:
        """None for a refusal, which is written down too."""
        if status >= 300:
            self._log.write("refused", what=f"{kind} {status} {body.code}")
            return None
        quote = {"quote": _content(terms[body.quote_id])} if terms else {}
        self._log.write(kind, key=key, answer=_content(body), **quote)
        return body


def _content(body: Body) -> dict[str, Any]:
    """What the answer said, without what it did not."""
    found: dict[str, Any] = {name: value for name, value in msgspec.structs.asdict(body).items() if value}
    return found


def _word(trouble: Exception) -> str:
    return "refused" if isinstance(trouble, Refused) else "unanswered"
