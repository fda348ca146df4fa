"""What all parts share: the store, the settings, the fault switches, the clock; and what of it survives a crash."""

import asyncio
import hashlib
import json
import time
from collections.abc import Sequence
from functools import partial
from random import Random
from sqlite3 import Connection
from typing import Any, TypeVar

from services.sandbox import book
from services.sandbox.config import Config, as_json, patched
from services.sandbox.faults import Faults, Rule, parse_rules
from services.sandbox.store import Job, Store

T = TypeVar("T")


class Control:
    """Built once in `__main__`. Settings that were PUT hold until the process is started with other ones."""

    def __init__(self, store: Store, started_with: Config, rng: Random) -> None:
        self.store = store
        self.config = started_with
        self.faults = Faults(rng)
        self.settle_wake = asyncio.Event()
        self.changed = asyncio.Event()  # the couriers look again: there is something to send, or somewhere to send it
        self._birth = hashlib.sha256(json.dumps(as_json(started_with, secrets=True)).encode()).hexdigest()

    async def load(self) -> None:
        """Reads back what was set before the last crash."""
        kept = await self.store.read(partial(book.setting, name="config"))
        rules = await self.store.read(partial(book.setting, name="faults"))
        if kept is not None and (before := json.loads(kept))["birth"] == self._birth:
            self.config = patched(Config(), before["config"])
        if rules is not None:
            self.faults.replace(parse_rules(json.loads(rules)))

    async def set_config(self, patch: dict[str, Any]) -> None:
        config = patched(self.config, patch)
        value = json.dumps({"birth": self._birth, "config": as_json(config, secrets=True)})
        await self.store.write(partial(book.put_setting, name="config", value=value))
        self.config = config
        self.changed.set()

    async def set_faults(self, rules: Sequence[Rule]) -> None:
        self.faults.replace(rules)
        await self.store.write(self._keep_faults)

    async def add_faults(self, rules: Sequence[Rule]) -> None:
        self.faults.add(rules)
        await self.store.write(self._keep_faults)

    async def write(self, job: Job[T], *, hit: bool) -> T:
        """`job`, and in the same transaction how often the faults have hit."""

        def both(db: Connection) -> T:
            self._keep_faults(db)
            return job(db)

        return await self.store.write(both if hit else job)

    async def remember(self, *, hit: bool) -> None:
        """A rule with `times: 1` hits once, also when the sandbox is killed in between."""
        if hit:
            await self.store.write(self._keep_faults)

    async def wait(self, wake: asyncio.Event, at_ms: int | None) -> None:
        """Until `wake` or `at_ms`; None: no appointment."""
        seconds = None if at_ms is None else max(0, at_ms - self.now_ms()) / 1000
        try:
            async with asyncio.timeout(seconds):
                await wake.wait()
        except TimeoutError:
            return

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def _keep_faults(self, db: Connection) -> None:
        book.put_setting(db, "faults", json.dumps(self.faults.listed()))
