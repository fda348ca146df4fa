"""The heap: bounded in what the allocator keeps. Linux with glibc only; elsewhere nothing happens."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # <malloc.h>
LARGE_BYTES = 256 << 10


def bound() -> None:
    """One arena, and what is large given back when it is free: a process that has seen a burst shrinks again.

    glibc otherwise makes an arena for each thread, and raises its idea of large to 32 MiB with what it has seen.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", lambda option, value: 0)
        for option, value in ((M_ARENA_MAX, 1), (M_MMAP_THRESHOLD, LARGE_BYTES), (M_TRIM_THRESHOLD, 4 * LARGE_BYTES)):
            mallopt(option, value)
