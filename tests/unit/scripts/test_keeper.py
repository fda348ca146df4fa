"""A process that is kept alive."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from scripts.system.home import Home, read_json
from scripts.system.keeper import Keeper
from scripts.system.programs import Program

SLEEPS = "import time; print('hello', flush=True); time.sleep(60)"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "var")
    found.make()
    return found


@pytest.fixture
def keep(home: Home) -> Iterator[Callable[[str], Keeper]]:
    kept: list[Keeper] = []

    def start(code: str) -> Keeper:
        argv = (sys.executable, "-c", code)
        kept.append(Keeper(Program(name="quote", argv=argv, environment={}, url="http://127.0.0.1:1"), home))
        kept[-1].start()
        return kept[-1]

    yield start
    for each in kept:
        each.stop(1)


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_a_killed_process_is_started_again_at_once(keep: Callable[[str], Keeper], home: Home) -> None:
    keeper = keep(SLEEPS)
    pid = keeper.kill()
    until(lambda: keeper.restarts == 1 and keeper.pid != pid)
    until(lambda: (read_json(home.pids / "quote.json") or {})["pid"] == keeper.pid)


def test_one_that_keeps_falling_is_not_started_without_a_pause(keep: Callable[[str], Keeper]) -> None:
    keeper = keep("raise SystemExit(7)")
    until(lambda: keeper.restarts >= 3)
    began, before = time.monotonic(), keeper.restarts
    until(lambda: keeper.restarts > before)
    assert time.monotonic() - began > 0.05
    assert keeper.last_exit == 7


def test_a_stopped_process_stays_away_and_leaves_no_file(keep: Callable[[str], Keeper], home: Home) -> None:
    keeper = keep(SLEEPS)
    keeper.stop(1)
    assert not psutil.pid_exists(keeper.pid)
    assert keeper.restarts == 0
    assert list(home.pids.iterdir()) == []


def test_its_words_are_in_its_log(keep: Callable[[str], Keeper]) -> None:
    keeper = keep(SLEEPS)
    until(lambda: keeper.log_tail() == "hello\n")
