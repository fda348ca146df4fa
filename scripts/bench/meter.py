"""The phases of a bench: each starts its clients, looks at the machine, and returns its figures."""

import asyncio
import math
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from scripts.bench import machine, profile
from scripts.bench.books import SCHEMAS, Books, book, fetch_json, settled
from scripts.bench.machine import Sample
from scripts.bench.numbers import Figures, completed, milliseconds, within
from scripts.bench.plan import AlonePlan, LedgerPlan, Mode, Outcome, Plan, Window, decode_said, encode
from scripts.stack import process
from scripts.stack.postgres import EmbeddedPostgres
from scripts.system.home import ROOT
from scripts.system.installation import SANDBOX, SERVICES
from scripts.system.system import System, as_json
from services.kernel.ids import derive
from services.kernel.service import GAUGE_SECONDS
from services.kernel.settings import Secret
from services.kernel.tokens import Principal, ServiceTokens, SigningKey

WARM_UP_SECONDS = 5.0
DRAIN_SECONDS = 60.0
BULK_IN_FLIGHT = 3  # chains of requests of 500: the next one is there when the first one's answer is
BULK_OUTSTANDING = 2_000  # loops under way: a longer queue would only make the window begin on an empty pipeline
SINGLE_IN_FLIGHT = 64
PACED_LOOPS_PER_SECOND = 100.0
IDLE_SECONDS = 20.0
EVENTS_ALONE = 200_000  # of relay, rebuild and baseline
READY_SECONDS_MAX = 30.0
LAG_IS_TOLD_SECONDS = 2 * GAUGE_SECONDS
CATCH_UP_SECONDS_MAX = 300.0
CONSUMES_NOTHING = "core_api"


class Failed(Exception):
    """A phase could not be measured."""


@dataclass
class Meter:
    """What the phases share."""

    system: System
    profiled: str | None = None
    directory: Path = field(default_factory=lambda: ROOT / "var" / "bench")
    notes: list[str] = field(default_factory=list)  # for the reader of the table

    def pids(self) -> dict[str, int]:
        """Every process of the system, the servers too."""
        home = self.system.home
        servers = {"postgres": home.postgres, "broker": home.broker(self.system.broker_kind)}
        records = {name: process.load(path) for name, path in servers.items()}
        programs = {each["name"]: int(each["pid"]) for each in self.system.processes()}
        return programs | {name: record.pid for name, record in records.items() if record}

    @property
    def books(self) -> Books:
        return Books(self.system.facts.oncall_database_url)

    # -- under load

    async def bulk(self, seconds: float) -> Figures:
        """Requests of 500."""
        return await self._throughput("bulk", seconds, in_flight=BULK_IN_FLIGHT, outstanding=BULK_OUTSTANDING)

    async def single(self, seconds: float) -> Figures:
        """One request for each quote, transfer and deposit."""
        return await self._throughput("single", seconds, in_flight=SINGLE_IN_FLIGHT, outstanding=2_000)

    async def _throughput(self, mode: Mode, seconds: float, **options: Any) -> Figures:
        _, since = await asyncio.to_thread(book, self.system.facts.sandbox_url)
        outcome, before, after = await self._load(mode, seconds, **options)
        payouts, _ = await asyncio.to_thread(book, self.system.facts.sandbox_url, since)
        times = completed(settled(payouts), await self.books.posted(outcome.begin - 3600))
        loops = within(times, outcome.begin, outcome.end)
        self._note(mode, outcome, complete=len(times))
        events = await self.books.events(outcome.begin, outcome.end)
        window = outcome.end - outcome.begin
        return {
            f"loops_per_second_{mode}": loops / window,
            f"engine_events_per_second{_suffix(mode)}": events / window,
            f"events_per_loop{_suffix(mode)}": events / (loops or math.nan),
            f"drain_seconds_{mode}": outcome.drained_seconds,
            f"retries_{mode}_count": float(outcome.retries),
            f"machine_busy_percent_{mode}": machine.busy_percent(before, after),
            **_hops(mode, outcome),
            **self._cpu(mode, before, after, loops),
            **self._memory(mode),
        }

    def _cpu(self, mode: Mode, before: Sample, after: Sample, loops: int) -> Figures:
        spent = machine.used(before, after)
        figures = {
            f"cpu_ms_per_loop{_suffix(mode)}_{name}": 1000 * seconds / (loops or math.nan)
            for name, seconds in spent.items()
        }
        return figures | {f"cpu_ms_per_loop{_suffix(mode)}": 1000 * sum(spent.values()) / (loops or math.nan)}

    def _memory(self, mode: Mode) -> Figures:
        """After the load. The maximum is that of our services; the sandbox plays the world outside."""
        resident = {name: machine.rss_mib(pid) for name, pid in self.pids().items()}
        figures = {f"rss_mib{_suffix(mode)}_{name}": mib for name, mib in resident.items()}
        return figures | {f"rss_mib{_suffix(mode)}_max": max(resident[name] for name in SERVICES)}

    def _note(self, mode: Mode, outcome: Outcome, complete: int) -> None:
        if outcome.retried or outcome.refused:
            self.notes.append(f"{mode}: asked again {outcome.retried}, refused {outcome.refused}")
        if complete < outcome.funded or not outcome.drained:
            raise Failed(
                f"{mode}: {complete} loops complete of {outcome.funded} that were paid in, "
                f"{outcome.drained_seconds:.0f} s after the last request"
            )

    async def paced(self, seconds: float) -> Figures:
        """100 loops/s, whether the system keeps up or not."""
        outcome, before, after = await self._load("paced", seconds, loops_per_second=PACED_LOOPS_PER_SECOND)
        last = await self.books.last_posting(list(outcome.intended))
        if outcome.refused or outcome.retried:
            self.notes.append(f"paced: asked again {outcome.retried}, refused {outcome.refused}")
        if missing := len(outcome.intended) - len(last):
            raise Failed(f"paced: {missing} loops of {len(outcome.intended)} were not complete in the end")
        took = [last[transfer] - at for transfer, at in outcome.intended.items()]
        spent = machine.used(before, after)
        window = after.total - before.total
        return {
            **_hops("paced", outcome),
            **milliseconds("creation_to_last_posting", took),
            "machine_busy_percent_at_100": machine.busy_percent(before, after),
            "system_busy_percent_at_100": 100 * sum(spent.values()) / max(window, 1e-9),
            **{f"cpu_ms_per_loop_paced_{name}": 1000 * s / max(len(took), 1) for name, s in spent.items()},
        }

    async def _load(self, mode: Mode, seconds: float, **options: Any) -> tuple[Outcome, Sample, Sample]:
        """Run a load process; the machine as it was at the beginning and at the end of its window."""
        facts = as_json(self.system.facts, self.system.processes())
        plan = Plan(
            mode=mode, system=facts, seconds=seconds, warm_up_seconds=min(WARM_UP_SECONDS, seconds),
            drain_seconds=DRAIN_SECONDS, **options,
        )  # fmt: skip
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "scripts.bench.load", cwd=ROOT, limit=2**26,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert child.stdin
        assert child.stdout
        child.stdin.write(encode(plan))
        child.stdin.close()
        samples: list[Sample] = []
        outcome: Outcome | None = None
        pids = self.pids() | {"clients": child.pid}
        async for line in child.stdout:
            match decode_said(line):
                case Window():
                    samples.append(machine.sample(pids))
                    if len(samples) == 1 and self.profiled == mode:
                        self.notes += profile.start(self.pids(), self.directory, seconds)
                case Outcome() as said:
                    outcome = said
        if await child.wait() or outcome is None or len(samples) != 2:
            raise Failed(f"{mode}: the load process ended with exit code {child.returncode}; see above")
        return outcome, samples[0], samples[1]

    # -- without load

    async def idle(self, seconds: float) -> Figures:
        """CPU with no traffic, in percent of one core: our services and the sandbox; the servers apart."""
        caught_up = await asyncio.to_thread(self._caught_up)
        before = machine.sample(self.pids())
        await asyncio.sleep(seconds)
        spent = machine.used(before, machine.sample(self.pids()))
        percent = {name: 100 * each / seconds for name, each in spent.items()}
        ours = {name: percent[name] for name in (*SERVICES, SANDBOX)}
        return {
            "caught_up_seconds": caught_up,
            "idle_cpu_percent": sum(ours.values()),
            **{f"idle_cpu_percent_{name}": each for name, each in percent.items()},
        }

    def _caught_up(self) -> float:
        """Seconds until no consumer is behind: those that give way under load come after it."""
        began = time.monotonic()
        time.sleep(LAG_IS_TOLD_SECONDS)  # before that the gauges are of a moment before
        while behind := sum(_lag(each["probe_url"]) for each in self.system.processes() if each["name"] != SANDBOX):
            if time.monotonic() - began > CATCH_UP_SECONDS_MAX:
                raise Failed(f"consumers are {behind:,.0f} records behind, {CATCH_UP_SECONDS_MAX:.0f} s after the load")
            time.sleep(0.5)
        return time.monotonic() - began

    async def restart(self) -> Figures:
        """Each service killed and started again: from the new process to ready, and to its consumers at work."""
        figures: Figures = {}
        for name in SERVICES:
            figures[f"ready_seconds_{name}"] = await asyncio.to_thread(self._restart, name)
            if name != CONSUMES_NOTHING:
                figures[f"consuming_seconds_{name}"] = await asyncio.to_thread(self._consuming, name)
        times = [figures[f"ready_seconds_{name}"] for name in SERVICES]
        return figures | {"ready_seconds_max": max(times)}

    def _restart(self, name: str) -> float:
        old = self.system.kill(name)
        while self.system.pid(name) == old:
            time.sleep(0.002)
        return self._wait(name, lambda report: bool(report.get("ready")))

    def _consuming(self, name: str) -> float:
        """Counted from its being ready: the broker must first let go of the member that died."""
        return self._wait(name, lambda report: report.get("dependencies", {}).get("kafka") == "ok")

    def _wait(self, name: str, good: Callable[[Mapping[str, Any]], bool]) -> float:
        probe = next(each["probe_url"] for each in self.system.processes() if each["name"] == name)
        began = time.monotonic()
        while time.monotonic() - began < READY_SECONDS_MAX:
            if good(_report(probe)):
                return time.monotonic() - began
            time.sleep(0.01)
        raise Failed(f"{name} was not ready, or its consumers not at work, in {READY_SECONDS_MAX:.0f} s")

    async def ledger(self, seconds: float) -> Figures:
        """Entries per second, in a process of its own."""
        settings = self.system.installation
        tokens = ServiceTokens(SigningKey.of(Secret(settings.jwt_secret)))
        token = tokens.issue(Principal(derive("service", "bench"), "corridor", frozenset({"service"})), 3_600)
        probe = next(each["probe_url"] for each in self.system.processes() if each["name"] == "ledger")
        plan = LedgerPlan(
            administrator=EmbeddedPostgres(home=self.system.home.postgres).start().address,
            url=probe.removesuffix("/readyz"), token=token, seconds=seconds,
        )  # fmt: skip
        return await self._apart("ledger", plan)

    async def alone(self, parts: list[str]) -> Figures:
        """Engine, relay, rebuild and the baseline, in a process, a database and topics of their own."""
        facts, installation = self.system.facts, self.system.installation
        plan = AlonePlan(
            administrator=EmbeddedPostgres(home=self.system.home.postgres).start().address,
            system_database=facts.oncall_database_url, schemas=list(SCHEMAS[1:]), bootstrap=facts.kafka_bootstrap,
            partitions=installation.partitions, events=EVENTS_ALONE, parts=parts,
        )  # fmt: skip
        return await self._apart("kernel", plan)

    async def _apart(self, module: str, plan: AlonePlan | LedgerPlan) -> Figures:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"scripts.bench.{module}", cwd=ROOT,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await child.communicate(encode(plan))
        if child.returncode:
            raise Failed(f"scripts.bench.{module} ended with exit code {child.returncode}; see above")
        figures: Figures = msgspec.json.decode(said.splitlines()[-1], type=dict[str, float])
        return figures


def _suffix(mode: Mode) -> str:
    """The bulk figures have the plain names."""
    return "" if mode == "bulk" else f"_{mode}"


def _hops(mode: Mode, outcome: Outcome) -> Figures:
    """p50 and p99 of each hop; those of the paced load have the plain names, for only they are latencies."""
    middle = "" if mode == "paced" else f"_{mode}"
    figures: Figures = {}
    for hop, seconds in outcome.seconds.items():
        figures |= milliseconds(f"{hop}{middle}", seconds)
    return figures


def _report(probe_url: str) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = fetch_json(probe_url, 2.0)
    except (OSError, ValueError):
        return {}
    return found


def _lag(probe_url: str) -> float:
    """Records that the consumers of a process have before them, as it told last."""
    with urllib.request.urlopen(probe_url.removesuffix("/readyz") + "/metrics", timeout=5) as answer:  # noqa: S310 - ours
        families = text_string_to_metric_families(answer.read().decode())
    return sum(s.value for each in families if each.name == "corridor_consumer_lag_records" for s in each.samples)
