"""The local servers by hand.

python -m scripts.stack start|stop|kill postgres|embedded|apache HOME [PORT]
python -m scripts.stack prepare                 fetch what BROKER names
python -m scripts.stack guard OWNER_PID ROOT    once OWNER_PID has died, kill what runs under ROOT and delete it
"""

import sys
import time
from pathlib import Path

import psutil

from scripts.stack import broker, postgres, process
from scripts.stack.server import Server

GUARD_LOOKS_EVERY_SECONDS = 0.5


def main(arguments: list[str]) -> None:
    """Raises SystemExit with the usage for anything else."""
    match arguments:
        case ["start", name, home, *port]:
            print(_server(name, home, *port).start().address)
        case ["stop", name, home]:
            _server(name, home).stop()
        case ["kill", name, home]:
            _server(name, home).kill()
        case ["prepare"]:
            broker.prepare(broker.kind())
        case ["guard", owner, root]:
            guard(int(owner), Path(root))
        case _:
            raise SystemExit(__doc__)


def guard(owner: int, root: Path) -> None:
    """Returns when `owner` has ended and nothing of it is left under `root`, or when `root` has been wiped already."""
    while psutil.pid_exists(owner) and not process.is_zombie(owner):
        time.sleep(GUARD_LOOKS_EVERY_SECONDS)
        if not root.exists():
            return
    process.wipe(root)


def _server(name: str, home: str, port: str | None = None) -> Server:
    number = int(port) if port else None
    match name:
        case "postgres":
            return postgres.server(Path(home), number)
        case "embedded" | "apache":
            return broker.server(name, Path(home), number)
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
