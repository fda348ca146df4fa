"""Keeps one process alive: whatever ends it, it is started again, until we are told to stop."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from scripts.stack import process
from scripts.stack.server import LOG_TAIL_BYTES, LocalServer, Server
from scripts.system.home import ROOT, Home, write_json
from scripts.system.programs import STOP_SECONDS, Program

# A process that lived this long starts again at once; one that keeps falling waits longer and longer, to the limit.
STEADY_SECONDS = 5.0
PAUSES_SECONDS = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0)
LOOK_SECONDS = 0.2  # between two looks at a server, which need not be our child
LOG_BYTES_MAX = 64 * 1024 * 1024


class Keeper:
    """One program of ours. All methods may be called from any thread."""

    def __init__(self, program: Program, home: Home, changed: Callable[[], None] = lambda: None) -> None:
        """`changed` is called after each start, from a thread of ours."""
        self.program = program
        self.restarts = 0
        self.last_exit: int | None = None
        self._home = home
        self._changed = changed
        self._log_begin = 0
        self._stopping = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name=f"keeper-{program.name}", daemon=True)

    @property
    def pid(self) -> int:
        """Of the process that runs now, or ran last."""
        return self._child.pid if self._child else 0

    def start(self) -> None:
        """Returns once the process exists; it need not answer yet."""
        log = self._home.log_of(self.program.name)
        self._log_begin = log.stat().st_size if log.exists() else 0
        self._spawn()
        self._thread.start()

    def kill(self) -> int:
        """SIGKILL; the pid that was. It is started again at once."""
        assert self._child, "killed before it was started"
        pid = self._child.pid
        self._child.kill()
        return pid

    def end(self) -> None:
        """SIGTERM; it is started again once it has ended."""
        if self._child:
            self._child.terminate()

    def stop(self, seconds: float = STOP_SECONDS + 5) -> None:
        """Ends it for good: asked first, killed after `seconds`."""
        self._stopping.set()
        if self._child:
            self._child.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(seconds)
            _kill_group(self._child.pid)
            self._thread.join(process.KILL_SECONDS)
        self._pid_file.unlink(missing_ok=True)

    def log_tail(self) -> str:
        """The end of what it has written since `start`."""
        text = self._home.log_of(self.program.name).read_bytes()
        return text[self._log_begin :][-LOG_TAIL_BYTES:].decode(errors="replace")

    def _keep(self) -> None:
        falls = 0
        while self._child:
            began = time.monotonic()
            self.last_exit = self._child.wait()
            falls = 0 if time.monotonic() - began > STEADY_SECONDS else falls + 1
            if self._stopping.wait(PAUSES_SECONDS[min(falls, len(PAUSES_SECONDS) - 1)]):
                return
            self.restarts += 1
            self._spawn()

    def _spawn(self) -> None:
        if self._stopping.is_set():
            return
        with self._home.log_of(self.program.name).open("ab") as output:
            self._child = subprocess.Popen(
                self.program.argv, cwd=ROOT, env=dict(self.program.environment), stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        self._record()
        self._changed()

    def _record(self) -> None:
        with suppress(psutil.NoSuchProcess):  # it may have ended already
            write_pid(self._home, self.program.name, self.pid, self.restarts)

    @property
    def _pid_file(self) -> Path:
        return self._home.pids / f"{self.program.name}.json"

    def bound_log(self) -> None:
        """Called now and then. It is opened for appending, so what is cut off here is not written into a hole."""
        log = self._home.log_of(self.program.name)
        if log.stat().st_size > LOG_BYTES_MAX:
            log.with_suffix(".log.1").write_bytes(log.read_bytes())
            log.write_bytes(b"")
            self._log_begin = 0


class ServerKeeper:
    """PostgreSQL or the broker: started again when it has gone. It may be stopped and killed from elsewhere too."""

    def __init__(self, name: str, server: Server, home: Home) -> None:
        self.name = name
        self.restarts = 0
        self._home = home
        self._server = server
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"keeper-{name}", daemon=True)

    def start(self) -> str:
        """Its address, ready. Raises DidNotStart."""
        log = self._home.log_of(self.name)
        if isinstance(self._server, LocalServer) and not log.is_symlink():
            log.symlink_to(self._server.log)
        address = self._server.start().address
        self._thread.start()
        return address

    def kill(self) -> int:
        """SIGKILL; the pid that was. Raises NotOurs."""
        running = self._server.running()
        self._server.kill()
        return running.pid or 0 if running else 0

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.ident:
            self._thread.join(process.KILL_SECONDS)
        self._server.stop()

    def _keep(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            if self._has_gone():
                self.restarts += 1
                with suppress(Exception):  # tried again at the next look, for as long as we are wanted
                    self._server.restart()  # on its own port, where everybody looks for it

    def _has_gone(self) -> bool:
        """Only by its pid, which costs nothing; a server that was given to us is not ours to look after."""
        record = process.load(self._server.home) if isinstance(self._server, LocalServer) else None
        return record is not None and process.find(record) is None


def write_pid(home: Home, name: str, pid: int, restarts: int = 0) -> None:
    """So that `down` finds it, whoever has died meanwhile. Raises NoSuchProcess."""
    started = psutil.Process(pid).create_time()
    write_json(home.pids / f"{name}.json", {"pid": pid, "started": started, "restarts": restarts})


def _kill_group(pid: int) -> None:
    """Whatever the process has started and left."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
