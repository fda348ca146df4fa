"""Processes that outlive whoever started them, and are found again by a record in their directory."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict

import psutil

RECORD = "server.json"
KILL_SECONDS = 10.0  # until the kernel has taken away a killed process; more means a hung disk

# Popen objects of this process: asking them is what reaps a child that has ended.
_children: dict[int, subprocess.Popen[bytes]] = {}


class StillAlive(Exception):
    """A process did not end in its time."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One server process: `started` is its creation time (epoch seconds), so that a reused pid is not taken for it."""

    pid: int
    started: float
    port: int

    def save(self, home: Path) -> None:
        (home / RECORD).write_text(json.dumps(asdict(self)))


def load(home: Path) -> Record | None:
    """What was last started in `home`, alive or not."""
    try:
        return Record(**json.loads((home / RECORD).read_text()))
    except FileNotFoundError:
        return None


def spawn(argv: Sequence[str], *, port: int, log: Path, user: str | None = None) -> Record:
    """Start `argv` in a session of its own: neither Ctrl-C nor our end reaches it. Output is appended to `log`."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, **_as(user)
        )
    _children[child.pid] = child
    return Record(pid=child.pid, started=psutil.Process(child.pid).create_time(), port=port)


def run(argv: Sequence[str], *, log: Path, user: str | None = None) -> None:
    """Run `argv` to its end, output appended to `log`. Raises CalledProcessError."""
    with log.open("ab") as output:
        subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=True, **_as(user))


class _Identity(TypedDict, total=False):
    user: str
    group: str
    extra_groups: list[str]


def _as(user: str | None) -> _Identity:
    """Another user, without our groups; None stays who we are."""
    return {"user": user, "group": user, "extra_groups": []} if user else {}


def find(record: Record) -> psutil.Process | None:
    """The process of `record`, or None when it has ended. A zombie has ended: its parent merely did not look yet."""
    if child := _children.get(record.pid):
        child.poll()
    try:
        process = psutil.Process(record.pid)
        same = abs(process.create_time() - record.started) < 1.0
    except psutil.NoSuchProcess:
        return None
    return process if same and not is_zombie(record.pid) else None


def is_zombie(pid: int) -> bool:
    """True for a process that has ended and was not reaped; False for one that is gone or runs."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def end(record: Record, stop_signal: signal.Signals, seconds: float) -> None:
    """Ask it to end; after `seconds` kill it. Nothing happens when it has ended already."""
    if process := find(record):
        process.send_signal(stop_signal)
        if not gone(record, seconds):
            kill(record)


def kill(record: Record) -> None:
    """SIGKILL to the process and all that it started, and wait until they are gone. Raises StillAlive."""
    if process := find(record):
        victims = [process, *process.children(recursive=True)]
        for victim in victims:
            with suppress(psutil.NoSuchProcess):  # a backend may end by itself once its postmaster is dead
                victim.kill()
        _await_end(victims)


def _await_end(processes: Sequence[psutil.Process]) -> None:
    """Own loop: psutil would also wait for zombies to be reaped, which in a container may never happen."""
    deadline = time.monotonic() + KILL_SECONDS
    while left := [process.pid for process in processes if process.is_running() and not is_zombie(process.pid)]:
        if time.monotonic() > deadline:
            raise StillAlive(left)
        time.sleep(0.01)


def gone(record: Record, seconds: float) -> bool:
    """Wait at most `seconds` for it to end."""
    deadline = time.monotonic() + seconds
    while find(record):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def records(root: Path) -> Iterator[Record]:
    """Every server recorded in `root` or one directory below."""
    for file in (*root.glob(RECORD), *root.glob(f"*/{RECORD}")):
        if record := load(file.parent):
            yield record


def wipe(root: Path) -> None:
    """Kill every server recorded under `root` and delete its data. For test runs: nothing in there is wanted again."""
    for record in records(root):
        kill(record)
    shutil.rmtree(root, ignore_errors=True)
