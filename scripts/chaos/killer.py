"""kill -9 of one process after the other, at random moments, and only when something is in flight there."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psutil

from scripts.chaos.load import Load, Log
from scripts.chaos.watch import Watch
from scripts.stack import process
from scripts.system.installation import PROGRAMS, SANDBOX
from scripts.system.system import BROKER, POSTGRES, System

WAIT_SECONDS = 4.0  # for something to be in flight; without load there is nothing to show
LOOK_SECONDS = 0.01
SETTLED_SECONDS = 0.5  # a process younger than this has not done anything yet
# Whose requests a victim has in hand: the first part of their path.
DOORS: Mapping[str, Sequence[str]] = {
    "core_api": ("quotes", "transfers", "webhooks"),
    "quote": ("quotes",),
    "transfer": ("transfers",),
    "deposit_watcher": ("webhooks",),
}
OUTBOX = {
    "quote": "quote",
    "transfer": "transfer",
    "deposit_watcher": "deposit",
    "payout_orchestrator": "payout",
    "ledger": "ledger",
}  # service -> its schema
IN_THE_PIPE = {
    "transfer", "deposit_watcher", "payout_orchestrator", "ledger", "reconciliation", "review", SANDBOX, BROKER,
    POSTGRES,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class InFlight:
    """What a victim had in hand."""

    requests: int
    loops: int  # paid in and not posted, which pass through it
    outbox: int  # committed and not published

    def __bool__(self) -> bool:
        return bool(self.requests or self.loops or self.outbox)

    def __str__(self) -> str:
        return f"{self.requests} requests, {self.loops} loops, {self.outbox} events to publish"


def victims(kills: int, server_kills: int, rng: random.Random) -> list[str]:
    """Every program about as often, in random order; servers spread among them."""
    programs = [PROGRAMS[number % len(PROGRAMS)] for number in range(kills)]
    servers = [(BROKER, POSTGRES)[number % 2] for number in range(server_kills)]
    order = programs + servers
    rng.shuffle(order)
    return order


class Killer:
    """Carries out the kills; each is a line in the log and one for whoever looks on."""

    def __init__(self, system: System, load: Load, watch: Watch, log: Log, say: Callable[[str], None]) -> None:
        self._system = system
        self._load = load
        self._watch = watch
        self._log = log
        self._say = say
        self._last: dict[str, int] = {}  # the pid that was killed
        self.killed: list[str] = []

    async def run(
        self, order: Sequence[str], wanted: int, seconds: float, requests: Mapping[str, int], rng: random.Random
    ) -> None:
        """`order`, spread over `seconds`, until `wanted` are killed: it has spares, for a victim may be idle when its
        moment comes. `requests`: under way, by the first part of their path."""
        began, every = time.monotonic(), seconds / max(len(order), 1)
        for number, name in enumerate(order):
            await asyncio.sleep(began + (number + rng.random()) * every - time.monotonic())
            await self._try(name, requests, began)
            if len(self.killed) >= wanted:
                return

    async def _try(self, name: str, requests: Mapping[str, int], began: float) -> None:
        flying = await self._wait(name, requests)
        if flying is None:
            self._say(f"{name} not killed: nothing in flight, or it did not come back in {WAIT_SECONDS:.0f} s")
            return
        pid = await asyncio.to_thread(self._system.kill, name)
        self._last[name] = pid
        self.killed.append(name)
        at = time.monotonic() - began
        self._log.write("kill", name=name, pid=pid, at_seconds=round(at, 3), in_flight=str(flying))
        self._say(f"{at:6.1f} s  kill -9 {len(self.killed):>2} {name:<20} with {flying}")

    async def _wait(self, name: str, requests: Mapping[str, int]) -> InFlight | None:
        """Until there is something to lose and somebody to lose it; None when it does not happen."""
        until = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < until:
            if self._alive(name):
                outboxes = await self._watch.outboxes() if name in OUTBOX else {}
                flying = in_flight(name, requests, self._load.open_loops, outboxes)
                if flying:
                    return flying
            await asyncio.sleep(LOOK_SECONDS)
        return None

    def _alive(self, name: str) -> bool:
        """A process that is not the one that was killed last, and that has begun to work."""
        if name not in PROGRAMS:
            return True
        pid = self._system.pid(name)
        try:
            old = time.time() - psutil.Process(pid).create_time() > SETTLED_SECONDS
        except psutil.NoSuchProcess:
            return False
        return old and pid != self._last.get(name) and not process.is_zombie(pid)


def in_flight(name: str, requests: Mapping[str, int], open_loops: int, outboxes: Mapping[str, int]) -> InFlight:
    """What `name` has in hand."""
    doors = DOORS.get(name, ())
    return InFlight(
        requests=sum(requests.get(door, 0) for door in doors),
        loops=open_loops if name in IN_THE_PIPE else 0,
        outbox=outboxes.get(OUTBOX.get(name, ""), 0),
    )
