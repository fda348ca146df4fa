"""What is seen of long work, always on stderr: a bar or a spinner on a terminal, lines elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

Step = Callable[[int], None]
LINE_SECONDS = 1.0
LINE_PER_CENT = 10


@contextmanager
def progress(err: Console, words: str, total: int | None, *, quiet: bool, lines: bool) -> Iterator[Step]:
    """`step(done)` whenever it got further. `lines`: one JSON object a second. Without a total nobody knows the end."""
    if quiet:
        yield lambda done: None
    elif err.is_terminal and not err.is_dumb_terminal:
        with _bar(err, total) as bar:
            task = bar.add_task(words, total=total)
            yield lambda done: bar.update(task, completed=done)
    elif lines:
        yield _json_lines(err, words, total)
    else:
        yield _plain_lines(err, words, total)


def _bar(err: Console, total: int | None) -> Progress:
    columns = [SpinnerColumn(), TextColumn("{task.description}", markup=False)]
    known = [BarColumn(), MofNCompleteColumn()] if total else [TextColumn("{task.completed:,}")]
    return Progress(*columns, *known, TimeElapsedColumn(), console=err, transient=True)


def _json_lines(err: Console, words: str, total: int | None) -> Step:
    said = 0.0

    def step(done: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= LINE_SECONDS:
            said = now
            err.file.write(json.dumps({"progress": words, "done": done, "total": total}) + "\n")

    return step


def _plain_lines(err: Console, words: str, total: int | None) -> Step:
    """One for each tenth; without a total none at all, for a log is no place for a spinner."""
    said = 0

    def step(done: int) -> None:
        nonlocal said
        tenth = 100 * done // total // LINE_PER_CENT if total else 0
        if tenth > said:
            said = tenth
            err.print(Text(f"{words}: {done:,} of {total:,} ({tenth * LINE_PER_CENT} %)"))

    return step
