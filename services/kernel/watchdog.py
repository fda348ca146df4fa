"""A thread that ends the process when its event loop hangs or its parent is gone. Nothing is cleaned up."""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import sys
import threading
import time
from collections.abc import Callable

TICK_SECONDS = 0.5
EXIT_STUCK = 71
EXIT_ORPHANED = 72


class Watchdog:
    """Ends the process when `loop` has not turned for `limit_seconds`, or when process `parent_pid` has gone."""

    def __init__(
        self, limit_seconds: float, parent_pid: int | None = None, end: Callable[[int], None] = os._exit
    ) -> None:
        """`end` takes the exit code."""
        self._limit = limit_seconds
        self._parent = parent_pid
        self._direct = parent_pid == os.getppid()
        self._end = end
        self._turned = time.monotonic()
        self._stopped = threading.Event()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch from now on."""
        self._turn(loop)
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """The process is about to end by itself."""
        self._stopped.set()

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._turned = time.monotonic()
        if not self._stopped.is_set():
            loop.call_later(TICK_SECONDS, self._turn, loop)

    def _watch(self) -> None:
        seen = time.monotonic()
        while not self._stopped.wait(TICK_SECONDS):
            now = time.monotonic()
            if now - seen > 4 * TICK_SECONDS:
                self._turned = now  # the whole process was stopped, not its loop: let the loop have a full limit again
            seen = now
            if now - self._turned > self._limit:
                _say("event_loop_stuck", seconds=round(now - self._turned))
                faulthandler.dump_traceback(sys.stderr)
                self._end(EXIT_STUCK)
                return
            if self._parent is not None and not self._parent_lives(self._parent):
                _say("parent_gone", parent_pid=self._parent)
                self._end(EXIT_ORPHANED)
                return

    def _parent_lives(self, pid: int) -> bool:
        if self._direct:
            return os.getppid() == pid
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return True


def _say(event: str, **fields: int) -> None:
    """Without a lock that the stuck thread may hold."""
    line = json.dumps({"event": event, "level": "error", "component": "watchdog"} | fields) + "\n"
    os.write(1, line.encode())
