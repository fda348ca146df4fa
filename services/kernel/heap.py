"""The heap: bounded in what the allocator keeps. Linux with glibc only; elsewhere nothing happens."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -2, -3, -8  # <malloc.h>
LARGE_BYTES = 256 << 10
BULK_BYTES = 32 << 20  # the most that M_MMAP_THRESHOLD may be


def bound() -> None:
    """One arena, and what is large given back when it is free: a process that has seen a burst shrinks again.

    glibc otherwise makes an arena for each thread, and raises its idea of large to 32 MiB with what it has seen.
    """
    _set((M_ARENA_MAX, 1), (M_MMAP_THRESHOLD, LARGE_BYTES), (M_TRIM_THRESHOLD, 4 * LARGE_BYTES))


def keep() -> None:
    """For a process that moves much and then ends: what it has it keeps, and what is large comes from there, too."""
    _set((M_MMAP_THRESHOLD, BULK_BYTES), (M_TRIM_THRESHOLD, 16 * BULK_BYTES), (M_TOP_PAD, 2 * BULK_BYTES))


def _set(*options: tuple[int, int]) -> None:
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", lambda option, value: 0)
        for option, value in options:
            mallopt(option, value)
