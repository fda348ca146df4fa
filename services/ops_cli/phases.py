"""Long work past HTTP in phases, each with its rate and when it will be done: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from services.kernel.progress import Progress as Done
from services.ops_cli.output import Output

LINE_SECONDS = 1.0
Reports = Callable[[Done], None]


@contextmanager
def phases(out: Output, words: str) -> Iterator[Reports]:
    """Call what it gives whenever it got further. On stderr; with -q nothing."""
    if out.wishes.quiet:
        yield lambda done: None
    elif out.err.is_terminal and not out.err.is_dumb_terminal:
        with Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("{task.fields[forecast]}", markup=False), console=out.err, transient=True,
        ) as bar:  # fmt: skip
            yield _bars(bar, words)
    else:
        yield _lines(out, words)


def forecast(done: Done) -> str:
    """Rate, and how long it will take at that rate."""
    if done.remaining_seconds is None:
        return ""
    return f"{done.per_second:,.0f}/s, {done.remaining_seconds:,.0f} s to go"


def _bars(bar: Progress, words: str) -> Reports:
    tasks: dict[str, TaskID] = {}

    def reports(done: Done) -> None:
        if done.phase not in tasks:
            tasks[done.phase] = bar.add_task(f"{words}: {done.phase}", total=done.total, forecast="")
        bar.update(tasks[done.phase], completed=done.done, total=done.total, forecast=forecast(done))

    return reports


def _lines(out: Output, words: str) -> Reports:
    """JSON lines for a program, else words; one a second, and one at the end of each phase."""
    said: dict[str, float] = {}
    over: set[str] = set()

    def reports(done: Done) -> None:
        now, complete = time.monotonic(), done.done >= done.total
        if (complete and done.phase in over) or (not complete and now - said.get(done.phase, 0.0) < LINE_SECONDS):
            return
        said[done.phase] = now
        (over.add if complete else over.discard)(done.phase)
        if out.machine:
            line = {
                "progress": words, "phase": done.phase, "done": done.done, "total": done.total,
                "per_second": round(done.per_second), "remaining_seconds": done.remaining_seconds,
            }  # fmt: skip
            out.err.file.write(json.dumps(line) + "\n")
        else:
            rest = f" ({forecast(done)})" if forecast(done) else ""
            out.err.print(Text(f"{words}: {done.phase} {done.done:,} of {done.total:,}{rest}", style="dim"))

    return reports
