"""The system in the background.

python -m scripts.system up        start it, unless it is up; var/run/system.json says where everything is
python -m scripts.system down      end every process of it; its data stay
python -m scripts.system reset     delete its data, after a question (YES=1: without)
python -m scripts.system status    what runs

BROKER=embedded|apache, CORRIDOR_VAR=directory, PORT_BASE or CORE_API_PORT and so on; ports are free ones otherwise.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from rich.console import Console
from rich.table import Table

from scripts.stack import broker
from scripts.stack.kafka_jars import MissingTool
from scripts.system import home as homes
from scripts.system import leftovers
from scripts.system.home import ROOT, Home, read_json
from scripts.system.programs import MARK
from scripts.system.system import WHY_NOT, System

UP_SECONDS = 240.0  # more than the deadlines of its parts together: 60 s for the servers, 60 and 90 for the services
SUPERVISOR_LOG = "supervisor"

console = Console()


def main(arguments: list[str]) -> int:
    """The exit code. Raises SystemExit with the usage for anything else."""
    home = homes.default()
    commands = {"up": up, "down": down, "reset": reset, "status": status, "supervise": supervise}
    if len(arguments) != 1 or arguments[0] not in commands:
        raise SystemExit(__doc__)
    return commands[arguments[0]](home)


def up(home: Home) -> int:
    """0 once everything is ready."""
    if home.is_occupied():
        console.print(f"{home.path} is up already.")
        return status(home)
    try:
        broker.prepare(broker.kind())  # may take a while the first time, and says so itself
    except (MissingTool, ValueError) as trouble:
        console.print(str(trouble))
        return 2
    home.make()
    log = home.log_of(SUPERVISOR_LOG)
    begin = log.stat().st_size if log.exists() else 0
    with log.open("ab") as output:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "scripts.system", "supervise"], cwd=ROOT, start_new_session=True,
            env=os.environ | {MARK: str(home.path), "CORRIDOR_VAR": str(home.path)},
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        came = _follow(home, supervisor, log, begin)
    except KeyboardInterrupt:
        console.print("stopped before it was up; ending what was started")
        came = False
    if not came:
        leftovers.end_all(home)
        return 1
    _show(home)
    return 0


def _follow(home: Home, supervisor: subprocess.Popen[bytes], log: Path, begin: int) -> bool:
    """Show what the supervisor says until it is up (True), has ended or is late (False)."""
    deadline = time.monotonic() + UP_SECONDS
    with log.open(encoding="utf-8", errors="replace") as lines, _status("starting") as show:
        lines.seek(begin)
        while time.monotonic() < deadline:
            ended, ready = supervisor.poll() is not None, home.facts.exists()
            for line in lines:
                show(line.rstrip())
            if ended or ready:
                return ready and not ended
            time.sleep(0.05)
    console.print(f"not up after {UP_SECONDS:.0f} s; see {log}")
    return False


@contextmanager
def _status(words: str) -> Iterator[Any]:
    """On a terminal a spinner under the lines, else the lines alone."""
    if not console.is_terminal:
        yield lambda line: print(line, flush=True)
        return
    with console.status(words):
        yield lambda line: console.print(line, highlight=False)


def supervise(home: Home) -> int:
    """In the foreground until SIGTERM, for `up`. A failure is one message in the log, and exit code 1."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _told_to_stop)
    system = System(home, broker.kind(), outlives_us=True, say=lambda text: print(text, flush=True))
    try:
        system.start()
        threading.Event().wait()
    except WHY_NOT as trouble:
        print(trouble, flush=True)
        return 1
    finally:
        system.stop()
    return 0


def _told_to_stop(_number: int, _frame: FrameType | None) -> NoReturn:
    """Once: whoever is impatient can still kill us, and `down` ends what we leave."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(0)


def down(home: Home) -> int:
    """0 once nothing of it runs."""
    with _status("stopping"):
        ended = leftovers.end_all(home)
    console.print("nothing was running" if not ended else f"ended: {', '.join(ended)}")
    return 0


def reset(home: Home) -> int:
    """Deletes what `up` has made, and nothing else that somebody may keep there."""
    if home.is_occupied():
        console.print(f"{home.path} is up; first: make down")
        return 1
    leftovers.end_all(home)
    if not _agreed(home):
        console.print("nothing deleted; YES=1 answers the question")
        return 1
    for path in (home.run, home.log, home.postgres, home.sandbox, *home.path.glob("broker-*")):
        shutil.rmtree(path, ignore_errors=True)
    console.print(f"deleted the data under {home.path}")
    return 0


def _agreed(home: Home) -> bool:
    if os.environ.get("YES") == "1" or not home.installation.exists():
        return True
    return sys.stdin.isatty() and input(f"Delete all data under {home.path}? [y/N] ").strip().lower() == "y"


def status(home: Home) -> int:
    """0 when it is up."""
    if not home.facts.exists() or not home.is_occupied():
        console.print(f"{home.path} is not up")
        return 1
    _show(home)
    return 0


def _show(home: Home) -> None:
    """Where everything is; no secret, for terminals are read over shoulders and logs by everybody."""
    facts = read_json(home.facts) or {}
    table = Table("process", "pid", "restarts", "probe")
    for each in facts.get("processes", []):
        restarts = (read_json(home.pids / f"{each['name']}.json") or {}).get("restarts", "?")
        table.add_row(each["name"], str(each["pid"]), str(restarts), each["probe_url"])
    console.print(table)
    console.print(f"API     {facts.get('base_url')}\nKafka   {facts.get('kafka_bootstrap')}", highlight=False)
    path = f"{ROOT / '.venv' / 'bin'}:$PATH"
    console.print(
        f'ops-cli ./ops-cli status; by its name alone after: export PATH="{path}"', highlight=False, soft_wrap=True
    )
    console.print(f"tokens, webhook keys, database of the on-call: {home.facts}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
