"""kill -9 under load: python -m scripts.chaos [--kills 50] [--seed N] [--rate 60] [--seconds 300] [--json FILE]

BROKER=embedded|apache. Starts an empty system in var/chaos and puts single and bulk loops through it while processes
of ours are killed at random moments: the eight services and the sandbox, with BROKER=apache also the broker and
PostgreSQL (--server-kills). Clients ask again with the same key until they are answered. Then everything must come to
rest in time, and the sandbox's book, the topics, the ledger and the client's own log are judged. The last line is
the verdict in numbers; exit 0 only if it is ok. The same seed gives the same order of victims, not the same moments.
"""

import argparse
import asyncio
import json
import random
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import aiohttp
from aiokafka.errors import KafkaError
from rich.console import Console

from scripts.bench.client import Client, Facts
from scripts.chaos.judge import Verdict, judge
from scripts.chaos.killer import Killer, victims
from scripts.chaos.load import Load, Log
from scripts.chaos.watch import GONE, Watch
from scripts.demo import evidence
from scripts.stack import broker
from scripts.system import leftovers
from scripts.system.home import ROOT, Home
from scripts.system.system import System, as_json

DRAIN_SECONDS_MAX = 100.0  # several times what leases, sessions and questions to the bank take after the last kill
JUDGE_SECONDS = 30.0
EVIDENCE_SECONDS_MAX = 60.0
REST_SECONDS = 0.5
SPARE_KILLS = 6  # for victims that were idle when their moment came
ANSWER_SECONDS = 10.0  # the clients' patience with one answer, before they ask again
# All deadlines are configuration; these are short so that what a kill has left in doubt is cleared up within the bound.
SHORTENED = {
    "*": {"CORRIDOR_EFFECT_LEASE_SECONDS": "10"},  # above twice the bank's time-out
    "payout_orchestrator": {
        "BANK_TIMEOUT_SECONDS": "4",
        "PAYOUT_LEASE_SECONDS": "6",
        "PAYOUT_UNKNOWN_ASK_SECONDS": "1",
        "PAYOUT_SETTLING_DELAY_SECONDS": "3",
        "PAYOUT_FIRST_POLL_SECONDS": "5",
    },
}

console = Console()


def say(text: str) -> None:
    """A line, at once, also into a pipe."""
    console.print(text, highlight=False, soft_wrap=True)


def main(argv: list[str]) -> int:
    """The exit code."""
    arguments = parse(argv)
    home = Home(arguments.home.resolve())
    kind = broker.kind()
    broker.prepare(kind)
    if home.is_occupied():
        raise SystemExit(f"a system is running in {home.path}")
    leftovers.end_all(home)
    shutil.rmtree(home.path, ignore_errors=True)
    began = time.monotonic()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(2**32)
    say(f"seed {seed}; broker {kind}; deadlines shortened: {SHORTENED['*'] | SHORTENED['payout_orchestrator']}")
    system = System(home, kind, overrides=SHORTENED, say=say)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        system.start()
        verdict = asyncio.run(Chaos(system, arguments, seed, began).run())
    finally:
        system.stop()
    for line in verdict.details():
        say(line)
    if arguments.json:
        write(arguments.json, verdict, seed, time.monotonic() - began)
    print(f"{verdict.line()} seed={seed} seconds={time.monotonic() - began:.0f}", flush=True)
    return 0 if verdict.ok else 1


def parse(argv: list[str]) -> argparse.Namespace:
    """Raises SystemExit with the usage."""
    servers = 6 if broker.kind() == "apache" else 0  # the embedded broker saves once a second: a kill loses records
    parser = argparse.ArgumentParser(
        "python -m scripts.chaos", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--server-kills", type=int, default=servers)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--rate", type=float, default=60.0, help="loops per second, about 60 %% of what it can")
    parser.add_argument("--seconds", type=float, default=300.0, help="of everything, from start to verdict")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--home", type=Path, default=ROOT / "var" / "chaos")
    return parser.parse_args(argv)


def write(path: Path, verdict: Verdict, seed: int, seconds: float) -> None:
    """The report for machines."""
    report = {
        "ok": verdict.ok,
        "seed": seed,
        "seconds": round(seconds),
        "counts": dict(verdict.counts),
        "faults": {name: len(wrong) for name, wrong in verdict.faults.items()},
        "details": verdict.details(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")


class Chaos:
    """Load, kills, rest, verdict."""

    def __init__(self, system: System, arguments: argparse.Namespace, seed: int, began: float) -> None:
        self.system = system
        self.arguments = arguments
        self.until = began + arguments.seconds
        self.facts = Facts.of(as_json(system.facts, system.processes()))
        self.client = Client(self.facts, seconds=ANSWER_SECONDS)
        self.log = Log(system.home.path / "client.jsonl")
        self.watch = Watch(self.facts.oncall_database_url)
        self.rng = random.Random(seed)  # noqa: S311 - dice, not keys
        self.load = Load(self.client, self.log, arguments.rate, self.rng.getrandbits(64), self.watch.posted)

    async def run(self) -> Verdict:
        """All of it."""
        await self.load.prepare()
        watching, loading = asyncio.create_task(self.watch.run()), asyncio.create_task(self.load.run())
        order = victims(self.arguments.kills + SPARE_KILLS, self.arguments.server_kills, self.rng)
        wanted = len(order) - SPARE_KILLS
        seconds = max(self.until - time.monotonic() - DRAIN_SECONDS_MAX - JUDGE_SECONDS, 10.0)
        say(f"{self.arguments.rate:g} loops/s, half of them in bulk; {wanted} kills in {seconds:.0f} s")
        killer = Killer(self.system, self.load, self.watch, self.log, say)
        await killer.run(order, wanted, seconds, self.client.in_flight, self.rng)
        self.load.stop()
        under_way = f"{self.load.open_loops} loops under way, asked again {self.client.retries} times"
        say(f"{len(killer.killed)} kills done; {under_way}")
        await self._come_to_rest(loading)
        self.log.close()
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await self.watch.close()
        self.client.close()
        return await self._judged(wanted)

    async def _come_to_rest(self, loading: "asyncio.Task[None]") -> None:
        """Every request answered, every loop posted and completed, every outbox empty; or the bound is over."""
        began, bound = time.monotonic(), self.until - JUDGE_SECONDS
        with suppress(TimeoutError):
            async with asyncio.timeout(max(bound - time.monotonic(), 10.0)):
                await loading
                while not await self._at_rest():  # noqa: ASYNC110 - the database has no event for it
                    await asyncio.sleep(REST_SECONDS)
                say(f"at rest {time.monotonic() - began:.1f} s after the last kill")
                return
        say(f"not at rest {time.monotonic() - began:.0f} s after the last kill: {await self.watch.open()}")

    async def _at_rest(self) -> bool:
        if self.load.open_loops or await self.watch.open():
            return False
        waiting = await self.watch.outboxes()
        return bool(waiting) and not any(waiting.values())

    async def _judged(self, kills: int) -> Verdict:
        """What has not settled yet gets a second look."""
        verdict = await self._judge(kills)
        if not verdict.ok and time.monotonic() < self.until:
            verdict = await self._judge(kills)
        return verdict

    async def _judge(self, kills: int) -> Verdict:
        facts = self.facts
        where = (facts.sandbox_url, facts.kafka_bootstrap, facts.oncall_database_url)
        try:
            async with asyncio.timeout(EVIDENCE_SECONDS_MAX):
                seen = await evidence.collect(*where, self.log.path)
        except (*GONE, KafkaError, aiohttp.ClientError, evidence.EvidenceMissing) as trouble:
            return Verdict(
                faults={"evidence_missing": [f"{type(trouble).__name__}: {trouble}"]}, counts=self.log.counts
            )
        return await asyncio.to_thread(judge, seen, kills)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
