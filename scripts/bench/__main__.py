"""The figures of the running system.

python -m scripts.bench [--broker embedded|apache] [--json FILE] [--seconds 60] [--only PHASE,PHASE]
                        [--profile bulk|single|paced] [--home DIRECTORY] [--keep]

Starts a system of its own, empty, in --home (var/bench); --keep leaves the data of the last run. Phases, in order: bulk
(requests of 500), single (one request each, 64 clients), paced (100 loops/s), idle, restart, ledger (entries), relay,
rebuild, baseline. --seconds is the window of bulk; single and paced take half of it, idle a third, ledger a quarter for
each way in. Exit code 1 when a phase could not be measured, or the books differ; a goal that is missed is shown and
is no failure of the bench.
"""

import argparse
import asyncio
import shutil
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from rich.console import Console

from scripts.bench import machine, profile, report
from scripts.bench.meter import IDLE_SECONDS, Failed, Meter
from scripts.bench.numbers import Figures
from scripts.stack import broker
from scripts.system import leftovers
from scripts.system.home import ROOT, Home
from scripts.system.system import System

UNDER_LOAD = ("bulk", "single", "paced")
ALONE = ("relay", "rebuild", "baseline")
PHASES = (*UNDER_LOAD, "idle", "restart", "ledger", *ALONE)

console = Console()


def main(argv: list[str]) -> int:
    """The exit code."""
    arguments = parse(argv)
    home = Home(arguments.home.resolve())
    broker.prepare(arguments.broker)
    if not arguments.keep:
        wipe(home)
    system = System(home, arguments.broker, say=lambda text: console.print(text, style="dim", highlight=False))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C, with nothing left running
    try:
        system.start()
        return asyncio.run(measure(Meter(system, arguments.profile, home.path), arguments))
    finally:
        system.stop()


def parse(argv: list[str]) -> argparse.Namespace:
    """Raises SystemExit with the usage."""
    parser = argparse.ArgumentParser("python -m scripts.bench", description=__doc__)
    parser.add_argument("--broker", choices=("embedded", "apache"), default=broker.kind())
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", type=_phases, default=PHASES)
    parser.add_argument("--profile", choices=UNDER_LOAD)
    parser.add_argument("--home", type=Path, default=ROOT / "var" / "bench")
    parser.add_argument("--keep", action="store_true")
    return parser.parse_args(argv)


def _phases(text: str) -> tuple[str, ...]:
    wanted = text.split(",")
    if unknown := set(wanted) - set(PHASES):
        raise argparse.ArgumentTypeError(f"no phase {', '.join(unknown)}; there are {', '.join(PHASES)}")
    return tuple(phase for phase in PHASES if phase in wanted)


def wipe(home: Home) -> None:
    """Nothing of the last run: figures depend on how much is there."""
    if not home.path.exists():
        return
    if not home.installation.exists() and any(home.path.iterdir()):
        raise SystemExit(f"{home.path} is not empty and no system of ours")
    leftovers.end_all(home)
    shutil.rmtree(home.path)


async def measure(meter: Meter, arguments: argparse.Namespace) -> int:
    """Every phase that is wanted; one that fails does not keep the others from being measured."""
    figures: Figures = {}
    failures = []
    for name, phase in _wanted(meter, arguments).items():
        console.print(f"measuring {name}", style="bold")
        try:
            figures |= await phase()
        except (Failed, OSError, TimeoutError) as failure:
            failures.append(f"{name}: {failure}")
            console.print("".join(traceback.format_exception(failure)), style="red", highlight=False)
    settings = await meter.books.settings()
    figures |= {f"{name}_on": float(settings[name] == "on") for name in ("fsync", "synchronous_commit")}
    finished = report.whole(figures)
    facts = machine.describe(ROOT) | _servers(meter, settings) | report.when()
    report.show(console, finished, facts, meter.notes + failures)
    _show_profiles(meter)
    if arguments.json:
        report.write(arguments.json, finished)
    if late := report.missed(finished):
        console.print(f"goals missed: {', '.join(late)}", style="bold")
    return 1 if failures else 0


def _wanted(meter: Meter, arguments: argparse.Namespace) -> dict[str, Callable[[], Awaitable[Figures]]]:
    seconds: float = arguments.seconds
    phases: dict[str, Callable[[], Awaitable[Figures]]] = {
        "bulk": lambda: meter.bulk(seconds),
        "single": lambda: meter.single(seconds / 2),
        "paced": lambda: meter.paced(seconds / 2),
        "idle": lambda: meter.idle(min(IDLE_SECONDS, seconds / 3)),
        "restart": meter.restart,
        "ledger": lambda: meter.ledger(seconds / 4),
    }
    wanted = {name: phase for name, phase in phases.items() if name in arguments.only}
    alone = [part for part in ALONE if part in arguments.only]
    return wanted | ({", ".join(alone): lambda: meter.alone(alone)} if alone else {})


def _servers(meter: Meter, settings: Mapping[str, str]) -> dict[str, str]:
    durability = ", ".join(f"{name} {settings[name]}" for name in ("fsync", "synchronous_commit", "full_page_writes"))
    partitions = meter.system.installation.partitions
    return {
        "PostgreSQL": f"{settings['server_version']}, {durability}",
        "broker": f"{meter.system.broker_kind}, {partitions} partitions a topic",
    }


def _show_profiles(meter: Meter) -> None:
    for path in sorted(meter.directory.glob("profile-*.txt")) if meter.profiled else ():
        console.print(path.stem, style="bold")
        for function, percent in profile.top(path.read_text()):
            console.print(f"  {percent:5.1f} %  {function}", highlight=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
