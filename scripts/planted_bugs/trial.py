"""Tries bugs: the tests are green without any, and red with each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Literal, TypeVar

from scripts.planted_bugs.bench import Bench, Run
from scripts.planted_bugs.bug import Bug, DoesNotApply

Outcome = Literal["caught", "survived", "does not apply", "broken", "too slow"]
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Verdict:
    """What became of a bug. `by`: the test that caught it, or why there is none."""

    bug: Bug
    outcome: Outcome
    by: str
    seconds: float


def selections(bugs: Sequence[Bug]) -> list[str]:
    """Each test once: one of a file that is wanted whole is not named again."""
    wanted = dict.fromkeys(test for bug in bugs for test in bug.tests)
    return [test for test in wanted if "::" not in test or test.split("::")[0] not in wanted]


def control(benches: Sequence[Bench], bugs: Sequence[Bug], told: Callable[[str, int], None]) -> list[str]:
    """What is red without a bug: nothing, or no verdict means anything. `told`: which file is done, of how many."""
    by_file: dict[str, list[str]] = {}
    for test in selections(bugs):
        by_file.setdefault(test.split("::")[0], []).append(test)

    def one(bench: Bench, file: str) -> Run:
        run = bench.run(by_file[file])
        told(file, len(by_file))
        return run

    runs = shared(benches, list(by_file), one)
    return [f"{file}: {_why(run)}" for file, run in zip(by_file, runs, strict=True) if run.code != 0]


def trial(benches: Sequence[Bench], bugs: Sequence[Bug], told: Callable[[Verdict], None]) -> list[Verdict]:
    """All of them, each told when it is done."""

    def one(bench: Bench, bug: Bug) -> Verdict:
        verdict = tried(bench, bug)
        told(verdict)
        return verdict

    return shared(benches, bugs, one)


def tried(bench: Bench, bug: Bug) -> Verdict:
    """One bug, in a copy that is sound again behind it."""
    began = time.monotonic()
    try:
        with bench.with_bug(bug):
            outcome, by = judged(bench.run(bug.tests))
    except (DoesNotApply, FileNotFoundError) as why:
        outcome, by = "does not apply", str(why)
    return Verdict(bug, outcome, by, time.monotonic() - began)


def judged(run: Run) -> tuple[Outcome, str]:
    """Only a test that was run and found it has caught it: code that cannot be loaded proves nothing."""
    if run.code is None:
        return "too slow", ""
    if run.code == 0:
        return "survived", ""
    if run.failed and not run.broken:
        return "caught", run.failed[0]
    return "broken", _why(run)


def _why(run: Run) -> str:
    named = [*run.failed, *run.broken]
    return ", ".join(named) if named else "\n".join(run.said.splitlines()[-12:])


def shared(benches: Sequence[Bench], work: Sequence[T], do: Callable[[Bench, T], R]) -> list[R]:
    """Each piece on the next bench that is free, in the order of the work."""
    free: SimpleQueue[Bench] = SimpleQueue()
    for bench in benches:
        free.put(bench)

    def one(piece: T) -> R:
        bench = free.get()
        try:
            return do(bench, piece)
        finally:
            free.put(bench)

    with ThreadPoolExecutor(max_workers=len(benches)) as threads:
        try:
            return list(threads.map(one, work))
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
