"""Plants known bugs, one after the other, and shows the check that catches each.

python -m scripts.planted_bugs [--area ledger] [--only NAME ...] [--jobs 2] [--json] [--list]

Each bug is a small patch, applied in a copy of the tree; only the tests that must catch it are run. Before, the same
tests are run without a bug. Exit code 0: every bug was caught. 1: one survived. 2: usage. 3: a patch does not apply to
the code as it is, or breaks it so that nothing runs. 4: the tests are red without any bug.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from itertools import count

from rich.console import Console
from rich.table import Table

from scripts.planted_bugs.bench import benches
from scripts.planted_bugs.bug import AREAS, Bug, bugs
from scripts.planted_bugs.trial import Verdict, control, trial

CAUGHT, SURVIVED, STALE, RED = 0, 1, 3, 4
console = Console(stderr=True, highlight=False, soft_wrap=True)


def main(argv: list[str]) -> int:
    """The exit code."""
    arguments = parse(argv)
    wanted = chosen(bugs(arguments.area), arguments.only)
    if arguments.list:
        show_list(wanted, as_json=arguments.json)
        return CAUGHT
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C, with nothing left behind
    began = time.monotonic()
    verdicts = attempt(wanted, arguments.jobs)
    if verdicts is None:
        return RED
    show(verdicts, time.monotonic() - began, as_json=arguments.json)
    return code(verdicts)


def parse(argv: list[str]) -> argparse.Namespace:
    """Raises SystemExit with the usage."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m scripts.planted_bugs", description=__doc__, formatter_class=form)
    parser.add_argument("--area", choices=sorted(AREAS), default="ledger")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this bug alone; may be repeated")
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1), help="bugs at a time")
    parser.add_argument("--json", action="store_true", help="the verdicts as JSON on stdout")
    parser.add_argument("--list", action="store_true", help="the bugs, without trying any")
    return parser.parse_args(argv)


def chosen(known: Sequence[Bug], only: Sequence[str]) -> list[Bug]:
    """Raises SystemExit for a name that no bug has."""
    if unknown := set(only) - {bug.name for bug in known}:
        say(f"no bug {', '.join(sorted(unknown))}; --list shows all")
        raise SystemExit(2)
    return [bug for bug in known if not only or bug.name in only]


def attempt(wanted: Sequence[Bug], jobs: int) -> list[Verdict] | None:
    """The verdicts; None when the tests are red without a bug."""
    with benches(max(1, min(jobs, len(wanted)))) as places:
        checked, done = count(1), count(1)
        red = control(places, wanted, lambda file, of: say(f"[{next(checked):>3}/{of}] without a bug  {file}"))
        if red:
            say("red without any bug:\n" + "\n".join(red))
            return None
        return trial(
            places, wanted, lambda each: say(f"[{next(done):>3}/{len(wanted)}] {each.outcome:<14} {told(each)}")
        )


def told(verdict: Verdict) -> str:
    """A line of progress."""
    return f"{verdict.bug.name} ({verdict.seconds:.1f} s) {verdict.by if verdict.outcome != 'caught' else ''}"


def say(text: str) -> None:
    """Progress, as it is: a test's id is no markup."""
    console.print(text, markup=False)


def code(verdicts: Sequence[Verdict]) -> int:
    """The worst of them."""
    outcomes = {verdict.outcome for verdict in verdicts}
    if outcomes & {"does not apply", "broken"}:
        return STALE
    return CAUGHT if outcomes <= {"caught"} else SURVIVED


def show(verdicts: Sequence[Verdict], seconds: float, *, as_json: bool) -> None:
    """The table, and how many of how many were caught."""
    caught = sum(verdict.outcome == "caught" for verdict in verdicts)
    if as_json:
        rows = [
            {"name": each.bug.name, "breaks": each.bug.breaks, "file": each.bug.file, "outcome": each.outcome,
             "by": each.by, "seconds": round(each.seconds, 1)}
            for each in verdicts
        ]  # fmt: skip
        print(json.dumps({"caught": caught, "bugs": len(verdicts), "seconds": round(seconds), "verdicts": rows}))
        return
    table = Table("bug", "what it breaks", "", "caught by", show_lines=False)
    for each in verdicts:
        table.add_row(each.bug.name, each.bug.breaks, each.outcome, each.by)
    out = Console(width=None if sys.stdout.isatty() else 200)
    out.print(table, markup=False)
    out.print(f"{caught} of {len(verdicts)} caught in {seconds:.0f} s")


def show_list(wanted: Sequence[Bug], *, as_json: bool) -> None:
    """Name, file and what each breaks."""
    if as_json:
        print(json.dumps([bug._asdict() for bug in wanted]))
        return
    for bug in wanted:
        print(f"{bug.name:<34} {bug.breaks} ({bug.file})")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
