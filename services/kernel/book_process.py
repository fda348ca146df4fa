"""A fold of the books in a process of its own: ranges go in, what was judged comes out."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import uvloop

from services.kernel import heap
from services.kernel.book_fold import Judged, Place, folding
from services.kernel.fold_process import END_SECONDS, portable, start_deaf
from services.kernel.folding import uncollected
from services.kernel.store import Unavailable


class ProcessFold:
    """The near end; see book_fold.Fold."""

    def __init__(self, pipe: Connection, process: BaseProcess) -> None:
        self._pipe = pipe
        self._process = process

    async def range(self, low: int, high: int) -> Judged:
        """See Fold. Raises also Unavailable when the process has ended."""
        await self._through(self._pipe.send, (low, high))
        found = await self._through(self._pipe.recv)
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, Judged)
        return found

    async def _through(self, moves: Callable[..., Any], *what: tuple[int, int]) -> Any:
        try:
            return await asyncio.to_thread(moves, *what)
        except (EOFError, OSError):
            raise Unavailable("a process of the fold has ended before its time") from None

    async def close(self) -> None:
        """It ends now, whatever it is doing: it only reads."""
        self._process.terminate()
        await asyncio.to_thread(self._process.join, END_SECONDS)
        self._process.kill()
        self._pipe.close()


@asynccontextmanager
async def in_a_process(place: Place) -> AsyncIterator[ProcessFold]:
    """A fold that has a core for itself; it ends when this process does, however that is."""
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    process = context.Process(target=_serve, args=(far, place), daemon=True)
    start_deaf(process)
    far.close()  # so that the end of the process is the end of the pipe
    fold = ProcessFold(near, process)
    try:
        yield fold
    finally:
        await fold.close()


def _serve(pipe: Connection, place: Place) -> None:
    heap.keep()
    try:
        uvloop.run(_answer(pipe, place))
    except (EOFError, BrokenPipeError):
        return
    except Exception as error:  # noqa: BLE001 - it is raised where somebody waits
        with suppress(OSError):  # it has ended
            pipe.send(portable(error))


async def _answer(pipe: Connection, place: Place) -> None:
    async with folding(place) as fold:
        with uncollected():
            while True:
                low, high = await asyncio.to_thread(pipe.recv)
                pipe.send(await fold.range(low, high))
