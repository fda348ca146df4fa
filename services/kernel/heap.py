"""The heap: bounded in what the allocator keeps, and on huge pages. Linux only; elsewhere nothing happens.

On pages of 2 MiB instead of 4 KiB the same load took a fifth less CPU (docs/benchmarks.md): Python walks its memory at
random, and under a hypervisor each miss of the translation cache costs two walks of page tables. Linux gives huge pages
to whoever asks: since 6.1 by MADV_COLLAPSE, at once, for what is there already.
"""

from __future__ import annotations

import asyncio
import ctypes
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

MAPS = Path("/proc/self/maps")  # Linux alone has it
HUGE_BYTES = 2 << 20
MADV_COLLAPSE = 25  # <linux/mman.h>
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # <malloc.h>
LARGE_BYTES = 256 << 10
EVERY_SECONDS = 30.0  # the heap grows with the load; what is huge already costs a microsecond
PAUSE_SECONDS = 0.05  # behind one that was copied, in which the loop does its work
NOTICED_SECONDS = 0.000_2


def bound() -> None:
    """One arena, and what is large given back when it is free: a process that has seen a burst shrinks again.

    glibc otherwise makes an arena for each thread, and raises its idea of large to 32 MiB with what it has seen.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", lambda option, value: 0)
        for option, value in ((M_ARENA_MAX, 1), (M_MMAP_THRESHOLD, LARGE_BYTES), (M_TRIM_THRESHOLD, 4 * LARGE_BYTES)):
            mallopt(option, value)


async def keep() -> None:
    """Ask for huge pages for as long as the process runs, one by one: a new one is copied, which takes milliseconds."""
    while True:
        for at in heap_pages():
            if collapse(at):
                await asyncio.sleep(PAUSE_SECONDS)
        await asyncio.sleep(EVERY_SECONDS)


def heap_pages() -> list[int]:
    """The addresses of what could be a huge page of this process's heap; none where the system does not say."""
    try:
        return list(whole(MAPS.read_text()))
    except OSError:
        return []


def collapse(at: int) -> bool:
    """Whether it took long, so that it was copied now or refused after trying. A refusal leaves it as it was."""
    began = time.perf_counter()
    _madvise()(at, HUGE_BYTES, MADV_COLLAPSE)
    return time.perf_counter() - began > NOTICED_SECONDS


@cache
def _madvise() -> Callable[[int, int, int], int]:
    found: Any = ctypes.CDLL(None).madvise
    found.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return cast("Callable[[int, int, int], int]", found)


def whole(maps: str) -> Iterator[int]:
    """The addresses of the whole 2 MiB in the private, writable memory that no file backs, of /proc/<pid>/maps."""
    for line in maps.splitlines():
        span, rights, _, _, inode, *name = line.split(maxsplit=5)
        if rights == "rw-p" and inode == "0" and name in ([], ["[heap]"]):
            first, last = (int(number, 16) for number in span.split("-"))
            yield from range(-(-first // HUGE_BYTES) * HUGE_BYTES, last - HUGE_BYTES + 1, HUGE_BYTES)
