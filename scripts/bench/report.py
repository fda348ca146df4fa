"""The table that a person reads, and the flat object of numbers that a machine does."""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from scripts.bench.numbers import Figures, ratios, rounded

GOALS = {  # figure -> (at least or at most, the limit): issue 3 section 6
    "loops_per_second_bulk": (">=", 400.0),
    "loops_per_second_single": (">=", 200.0),
    "creation_to_last_posting_p99_ms": ("<=", 800.0),
    "quote_p99_ms": ("<=", 50.0),
    "transfer_p99_ms": ("<=", 50.0),
    "deposit_p99_ms": ("<=", 50.0),
    "machine_busy_percent_at_100": ("<=", 50.0),
    "idle_cpu_percent": ("<=", 15.0),
    "ledger_entries_per_second_http": (">=", 3_000.0),
    "ledger_entries_per_second_http_single": (">=", 800.0),
    "ledger_hot_share": (">=", 0.8),
    "ready_seconds_max": ("<=", 3.0),
    "rss_mib_max": ("<=", 114.0),  # 120 MB
}
BASELINES = {  # figure -> what the bare tools do with the same bytes
    "loops_per_second_bulk": "baseline_loops_per_second",
    "loops_per_second_single": "baseline_loops_per_second",
    "engine_events_per_second": "baseline_insert_rows_per_second",
    "engine_events_per_second_single": "baseline_insert_rows_per_second",
    "engine_alone_events_per_second": "baseline_insert_rows_per_second",
    "relay_events_per_second": "baseline_kafka_produced_records_per_second",
    "ledger_entries_per_second_spread": "baseline_ledger_entries_per_second",
    "ledger_entries_per_second_hot": "baseline_ledger_entries_per_second",
    "ledger_entries_per_second_http": "baseline_ledger_entries_per_second",
    "ledger_entries_per_second_http_single": "baseline_ledger_entries_per_second",
    "rebuild_events_per_second": "baseline_kafka_consumed_records_per_second",
    "quote_p99_ms": "baseline_commit_p99_ms",
    "transfer_p99_ms": "baseline_commit_p99_ms",
    "deposit_p99_ms": "baseline_commit_p99_ms",
    "creation_to_last_posting_p99_ms": "baseline_path_p99_ms",
}
HOPS = 5  # commits from a transfer's creation to its last posting: opened, deposit, funded, payout sent, posted


def whole(figures: Mapping[str, float]) -> Figures:
    """With what follows from several phases, and every ratio."""
    known = dict(figures)
    known |= _bare_loops(known) | _bare_path(known)
    return rounded(known | ratios(known, BASELINES))


def _bare_loops(known: Figures) -> Figures:
    """Loops/s of a bare pipeline: each event of a loop inserted, produced and consumed once, one after the other."""
    rows, insert = known.get("events_per_loop"), known.get("baseline_insert_rows_per_second")
    records = known.get("baseline_kafka_records_per_second")
    if not (rows and insert and records):
        return {}
    return {"baseline_loops_per_second": 1 / (rows * (1 / insert + 1 / records))}


def _bare_path(known: Figures) -> Figures:
    """The bare latency of a loop: a commit and a lone record's way for each hop, all of them at their p99."""
    commit, trip = known.get("baseline_commit_p99_ms"), known.get("baseline_kafka_round_trip_p99_ms")
    return {"baseline_path_p99_ms": HOPS * commit + (HOPS - 1) * trip} if commit and trip else {}


def missed(figures: Mapping[str, float]) -> list[str]:
    """Goals that were measured and not reached."""
    return [name for name in GOALS if name in figures and not reached(name, figures[name])]


def reached(name: str, value: float) -> bool:
    """Whether a figure is as wanted; one that nobody wanted anything of is."""
    if name not in GOALS:
        return True
    side, limit = GOALS[name]
    return value >= limit if side == ">=" else value <= limit


def show(console: Console, figures: Mapping[str, float], facts: Mapping[str, str], notes: Sequence[str]) -> None:
    """The table."""
    table = Table(Column("figure", no_wrap=True), "value", "goal", "of the baseline")
    for name, value in figures.items():
        if name.endswith("_ratio"):
            continue
        side, limit = GOALS.get(name, ("", 0.0))
        goal = f"{side} {limit:g} {'' if reached(name, value) else 'MISSED'}" if side else ""
        ratio = figures.get(f"{name}_ratio")
        table.add_row(name, f"{value:,.4g}" if value < 1000 else f"{value:,.0f}", goal, f"{ratio:.3g}" if ratio else "")
    console.print(table)
    for name, text in facts.items():
        console.print(f"{name:<12} {text}", highlight=False, soft_wrap=True)
    for note in notes:
        console.print(f"note: {note}", highlight=False, soft_wrap=True)


def when() -> dict[str, str]:
    """The command and its time."""
    argv = ["python", "-m", "scripts.bench", *sys.argv[1:]]
    return {"command": shlex.join(argv), "date": datetime.now(UTC).isoformat(timespec="seconds")}


def write(path: Path, figures: Mapping[str, float]) -> None:
    """One flat object."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2) + "\n")
