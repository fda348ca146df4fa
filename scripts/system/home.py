"""Where an installation keeps everything: `var/`, or what CORRIDOR_VAR names."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class Occupied(Exception):
    """Another process runs this installation."""


def default() -> "Home":
    """CORRIDOR_VAR, else `var/` of this checkout."""
    return Home(Path(os.environ.get("CORRIDOR_VAR") or ROOT / "var").resolve())


@dataclass(frozen=True)
class Home:
    """`run/` has what is secret or of this moment, `log/` one file for each process, the rest is the servers' data."""

    path: Path

    def make(self) -> None:
        """The directories that everything else takes for granted."""
        for directory in (self.run, self.pids, self.log):
            directory.mkdir(parents=True, exist_ok=True)
        self.run.chmod(0o700)

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def pids(self) -> Path:
        return self.run / "pids"

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def installation(self) -> Path:
        """Passwords, keys and ports; survives `down`."""
        return self.run / "installation.json"

    @property
    def facts(self) -> Path:
        """Where everything is; only there while the system is up."""
        return self.run / "system.json"

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def sandbox(self) -> Path:
        return self.path / "sandbox"

    def broker(self, kind: str) -> Path:
        return self.path / f"broker-{kind}"

    def log_of(self, name: str) -> Path:
        return self.log / f"{name}.log"

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """Hold this installation; the kernel frees it when we die. Raises Occupied."""
        self.make()
        with (self.run / "lock").open("a") as handle:
            if not _lock(handle.fileno()):
                raise Occupied(f"{self.path} is up")
            yield

    def is_occupied(self) -> bool:
        """Whether somebody holds it at this moment."""
        if not (self.run / "lock").exists():
            return False
        with (self.run / "lock").open("a") as handle:
            return not _lock(handle.fileno())


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Whole or not at all, and readable by its owner alone."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    partial.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """None when it is not there."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return found
