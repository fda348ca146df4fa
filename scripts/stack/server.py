"""The one interface of PostgreSQL and both brokers: start, stop, kill, restart, found again from a directory."""

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from scripts.stack import process
from scripts.stack.lock import locked
from scripts.stack.ports import free_port, is_free

LOG_TAIL_BYTES = 2_000
PORT_SECONDS = 2.0


class DidNotStart(Exception):
    """A server ended or stayed silent instead of becoming ready; carries the end of its log."""


class NotOurs(Exception):
    """A server given by an environment variable cannot be killed by us."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """`address` is a PostgreSQL DSN or Kafka bootstrap servers; `pid` is None when the server was given to us."""

    address: str
    pid: int | None


class Server(Protocol):
    """What tests, demo and chaos need of a server. All calls block; from a coroutine use asyncio.to_thread."""

    def start(self) -> Running:
        """Ready to answer when this returns; the same again when it already runs. Raises DidNotStart."""

    def stop(self) -> None:
        """End it cleanly; nothing happens when it does not run."""

    def kill(self) -> None:
        """SIGKILL, without a chance to write anything more. Raises NotOurs."""

    def restart(self) -> Running:
        """Start again on the same data and port, after a stop, a kill or a crash."""

    def running(self) -> Running | None:
        """Who answers now, whichever process started it."""


@dataclass(frozen=True)
class Given:
    """A server that somebody else runs: DATABASE_URL or KAFKA_BOOTSTRAP_SERVERS."""

    address: str

    def start(self) -> Running:
        return Running(address=self.address, pid=None)

    def stop(self) -> None:
        return None

    def kill(self) -> None:
        raise NotOurs(self.address)

    def restart(self) -> Running:
        return self.start()

    def running(self) -> Running | None:
        return self.start()


@dataclass(frozen=True, kw_only=True)
class LocalServer(ABC):
    """A server of our own under `home`, on 127.0.0.1. `port` None: the last one if still free, else a new one."""

    home: Path
    port: int | None = None

    name: ClassVar[str]
    ports_needed: ClassVar[int] = 1  # consecutive, from `port`
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    stop_seconds: ClassVar[float] = 30.0
    ready_seconds: ClassVar[float] = 60.0

    @abstractmethod
    def prepare(self, port: int) -> None:
        """Make the data and the configuration when they are missing."""

    @abstractmethod
    def command(self, port: int) -> Sequence[str]:
        """The command line of the server."""

    @abstractmethod
    def is_ready(self, record: process.Record) -> bool:
        """True once the process of `record` answers as a client would ask."""

    @abstractmethod
    def address(self, port: int) -> str:
        """Where clients reach it."""

    @property
    def user(self) -> str | None:
        """The system user that it must run as; None for our own."""
        return None

    @property
    def log(self) -> Path:
        return self.home / f"{self.name}.log"

    def start(self) -> Running:
        with locked(self.home / "start.lock"):  # two at once would both find it missing and both make its data
            return self.running() or self._launch()

    def stop(self) -> None:
        if record := process.load(self.home):
            process.end(record, self.stop_signal, self.stop_seconds)

    def kill(self) -> None:
        if record := process.load(self.home):
            process.kill(record)

    def restart(self) -> Running:
        self.stop()
        if record := process.load(self.home):
            self._wait_port(record.port)  # clients know this one
        return self.start()

    def running(self) -> Running | None:
        record = process.load(self.home)
        if record is None or process.find(record) is None:
            return None
        self._wait_ready(record)
        return Running(address=self.address(record.port), pid=record.pid)

    def _launch(self) -> Running:
        port = self._choose_port()
        self._wait_port(port)
        self.prepare(port)
        record = process.spawn(self.command(port), port=port, log=self.log, user=self.user)
        record.save(self.home)
        self._wait_ready(record)
        return Running(address=self.address(port), pid=record.pid)

    def _choose_port(self) -> int:
        if self.port is not None:
            return self.port
        last = process.load(self.home)
        return last.port if last and is_free(last.port) else free_port(self.ports_needed)

    def _wait_port(self, port: int) -> None:
        """A killed process of many threads keeps its port for some milliseconds; anybody else keeps it for good."""
        deadline = time.monotonic() + PORT_SECONDS
        while not is_free(port):
            if time.monotonic() > deadline:
                raise DidNotStart(f"{self.name}: port {port} is taken by another process")
            time.sleep(0.01)

    def _wait_ready(self, record: process.Record) -> None:
        deadline = time.monotonic() + self.ready_seconds
        while not self.is_ready(record):
            if process.find(record) is None or time.monotonic() > deadline:
                raise DidNotStart(f"{self.name} on port {record.port}: {self._log_tail()}")
            time.sleep(0.01)

    def _log_tail(self) -> str:
        return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
