"""A place to try bugs in: a copy of the tree with a PostgreSQL beside it, so that a run starts no server."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.planted_bugs.bug import Bug, planted
from scripts.stack import process
from scripts.stack.postgres import EmbeddedPostgres

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".*", "var", "__pycache__", "node_modules")
RUN_SECONDS = 240.0  # of one bug's tests, many times what they take


@dataclass(frozen=True)
class Run:
    """What pytest said. `code` None: it did not end in its time."""

    code: int | None
    failed: tuple[str, ...]  # ids of the tests that found something wrong
    broken: tuple[str, ...]  # ids of those that could not be run
    said: str


class Bench:
    """One copy and one PostgreSQL, for one bug at a time."""

    def __init__(self, home: Path) -> None:
        self.tree = home / "tree"
        shutil.copytree(ROOT, self.tree, ignore=LEFT_OUT)
        self.postgres = EmbeddedPostgres(home=home)

    @contextmanager
    def with_bug(self, bug: Bug) -> Iterator[None]:
        """The copy has the bug meanwhile. Raises DoesNotApply."""
        path = self.tree / bug.file
        sound = path.read_text()
        self._write(path, planted(bug, sound))
        try:
            yield
        finally:
            self._write(path, sound)

    def run(self, tests: Sequence[str]) -> Run:
        """Until the first of these tests is red."""
        argv = [
            sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--no-header",
            "--tb=short", "--color=no", "-rfE", *tests,
        ]  # fmt: skip
        child = subprocess.Popen(
            argv, cwd=self.tree, env=self._environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        try:
            said, _ = child.communicate(timeout=RUN_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            return Run(None, (), (), child.communicate()[0])
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise
        return Run(child.returncode, named("FAILED ", said), named("ERROR ", said), said)

    def _environment(self) -> dict[str, str]:
        ours = {"DATABASE_URL": self.postgres.start().address, "BROKER": "embedded", "CORRIDOR_MODEL_SHRINK": "0"}
        return {**os.environ, **ours}

    def _write(self, path: Path, text: str) -> None:
        """Python takes a file of the same second and size for the one that it has compiled: it forgets that one."""
        path.write_text(text)
        if path.suffix == ".py":
            Path(importlib.util.cache_from_source(path)).unlink(missing_ok=True)


def named(word: str, said: str) -> tuple[str, ...]:
    """The ids behind `word` in pytest's summary."""
    lines = (line.removeprefix(word) for line in said.splitlines() if line.startswith(word) and "::" in line)
    return tuple(line.split(" - ")[0] for line in lines)


@contextmanager
def benches(count: int) -> Iterator[list[Bench]]:
    """So many, gone at the end; a guard process ends them when we are killed."""
    root = Path(tempfile.mkdtemp(prefix="corridor-planted-"))
    guard = subprocess.Popen(
        [sys.executable, "-m", "scripts.stack", "guard", str(os.getpid()), str(root)], cwd=ROOT,
        start_new_session=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        homes = [root / str(number) for number in range(count)]
        for home in homes:
            home.mkdir()
        yield [Bench(home) for home in homes]
    finally:
        process.wipe(root)
        guard.wait()
