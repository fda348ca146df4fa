"""The heap is bounded: threads get no arenas of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

SAMPLE = """
import sys, threading
from services.kernel import heap
if "bound" in sys.argv:
    heap.bound()
import ctypes
from pathlib import Path
malloc, ready, done = ctypes.CDLL(None).malloc, threading.Barrier(9), threading.Event()
def work():
    for _ in range(100):
        malloc(1000)
    ready.wait()
    done.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
[each.start() for each in threads]
ready.wait()
arenas = sum("---p" in line and "00:00 0" in line for line in Path("/proc/self/maps").read_text().splitlines())
print(arenas)
done.set()
"""


def reserved(*arguments: str) -> int:
    """How many stretches of address space are reserved and not used: a thread's stack guard, an arena's rest."""
    done = subprocess.run([sys.executable, "-c", SAMPLE, *arguments], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc and mallopt are Linux's")
def test_threads_share_one_arena() -> None:
    assert reserved() - reserved("bound") >= 4
