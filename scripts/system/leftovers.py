"""What an installation left running: found by pid files, and by the mark in the environment where a file is missing."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import get_args

import psutil

from scripts.stack import process
from scripts.stack.broker import ApacheBroker, EmbeddedBroker, Kind
from scripts.stack.postgres import EmbeddedPostgres
from scripts.stack.server import LocalServer
from scripts.system.home import Home, read_json
from scripts.system.programs import MARK, STOP_SECONDS

SUPERVISOR = "supervisor"
SUPERVISOR_STOP_SECONDS = 90.0  # programs, then broker and PostgreSQL with their own 30 s each
PROGRAM_STOP_SECONDS = STOP_SECONDS + 5.0


def end_all(home: Home) -> list[str]:
    """End everything of this installation, in the order in which it depends on each other; the names of what ran.

    Returns when nothing is left, and takes minutes at most: whoever does not end in its time is killed.
    """
    ended = []
    if supervisor := recorded(home, SUPERVISOR):
        ended.append(SUPERVISOR)
        _end([supervisor], SUPERVISOR_STOP_SECONDS)
    programs = {name: found for name in _names(home) if (found := recorded(home, name))}
    ended += programs
    _end(list(programs.values()), PROGRAM_STOP_SECONDS)
    for server in servers(home):
        record = process.load(server.home)
        if record and process.find(record):
            ended.append(server.name)
            server.stop()
    strays = list(marked(home))
    ended += [f"pid {stray.pid}" for stray in strays]
    _kill(strays)
    for file in home.pids.glob("*.json"):
        file.unlink(missing_ok=True)
    home.facts.unlink(missing_ok=True)
    return ended


def recorded(home: Home, name: str) -> psutil.Process | None:
    """The process of a pid file, if it still is that one: a reused pid began at another time."""
    record = read_json(home.pids / f"{name}.json")
    if record is None:
        return None
    return process.find(process.Record(pid=record["pid"], started=record["started"], port=0))


def marked(home: Home) -> Iterator[psutil.Process]:
    """Processes with our mark that no file knows: started in the instant in which the supervisor died."""
    for found in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if found.pid != os.getpid() and found.environ().get(MARK) == str(home.path):
                yield found


def servers(home: Home) -> list[LocalServer]:
    """Every server that can have data in this home, the broker before the database."""
    kinds: dict[Kind, type[LocalServer]] = {"embedded": EmbeddedBroker, "apache": ApacheBroker}
    brokers = [kinds[kind](home=home.broker(kind)) for kind in get_args(Kind)]
    return [*brokers, EmbeddedPostgres(home=home.postgres)]


def _names(home: Home) -> list[str]:
    return sorted(file.stem for file in home.pids.glob("*.json") if file.stem != SUPERVISOR)


def _end(processes: Sequence[psutil.Process], seconds: float) -> None:
    """All at once: asked, waited for, killed."""
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            each.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while any(_runs(each) for each in processes) and time.monotonic() < deadline:
        time.sleep(0.02)
    _kill([each for each in processes if _runs(each)])


def _kill(processes: Sequence[psutil.Process]) -> None:
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    deadline = time.monotonic() + process.KILL_SECONDS
    while any(_runs(each) for each in processes) and time.monotonic() < deadline:
        time.sleep(0.02)


def _runs(each: psutil.Process) -> bool:
    return bool(each.is_running()) and not process.is_zombie(each.pid)
