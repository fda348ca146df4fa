"""A folder in a process of its own: ends go in, and how far it is, where it stands or why it failed comes out."""

from __future__ import annotations

import asyncio
import multiprocessing
import pickle
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import uvloop

from services.kernel import heap
from services.kernel.folding import Folder, Share, Stand, Told, folding
from services.kernel.store import Unavailable
from services.kernel.topic_reader import Positions

END_SECONDS = 5.0
Pipe = Connection


class ProcessFolder:
    """The near end."""

    def __init__(self, pipe: Pipe, process: BaseProcess) -> None:
        self._pipe = pipe
        self._process = process

    async def to(self, ends: Positions, told: Told) -> Stand:
        """See Folder. Raises also Unavailable when the process has ended."""
        await self._through(self._pipe.send, ends)
        while True:
            match await self._through(self._pipe.recv):
                case int(count):
                    told(count)
                case Stand() as stand:
                    return stand
                case error:
                    raise error

    async def _through(self, moves: Callable[..., Any], *what: Positions) -> Any:
        try:
            return await asyncio.to_thread(moves, *what)
        except (EOFError, OSError):
            raise Unavailable("a process of the fold has ended before its time") from None

    async def close(self) -> None:
        """It ends now, whatever it is doing: nobody reads what it has made."""
        self._process.terminate()
        await asyncio.to_thread(self._process.join, END_SECONDS)
        self._process.kill()
        self._pipe.close()


@asynccontextmanager
async def in_a_process(share: Share) -> AsyncIterator[Folder]:
    """A folder that has a core for itself; it ends when this one does, however that is."""
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    process = context.Process(target=_serve, args=(far, share), daemon=True)
    start_deaf(process)
    far.close()  # so that the end of the process is the end of the pipe
    folder = ProcessFolder(near, process)
    try:
        yield folder
    finally:
        await folder.close()


def start_deaf(process: BaseProcess) -> None:
    """Deaf to Ctrl-C of the terminal from its first instruction: the other end decides what ends."""
    resource_tracker.ensure_running()  # it unblocks what it finds blocked
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Pipe, share: Share) -> None:
    heap.keep()
    try:
        uvloop.run(_answer(pipe, share))
    except (EOFError, BrokenPipeError):
        return
    except Exception as error:  # noqa: BLE001 - it is raised where somebody waits
        with suppress(OSError):  # it has ended
            pipe.send(portable(error))


async def _answer(pipe: Pipe, share: Share) -> None:
    async with folding(share) as folder:
        while True:
            ends = await asyncio.to_thread(pipe.recv)
            pipe.send(await folder.to(ends, pipe.send))


def portable(error: Exception) -> Exception:
    """The error, if it comes through a pipe; or else what it says."""
    try:
        found = pickle.loads(pickle.dumps(error))  # noqa: S301 - what was just made
    except Exception:  # noqa: BLE001 - whatever it is made of
        found = None
    return found if isinstance(found, Exception) else RuntimeError(f"{type(error).__name__}: {error}")
