"""Which memory is put on huge pages, and that asking for it harms nobody."""

from __future__ import annotations

import asyncio

import pytest

from services.kernel import heap
from services.kernel.heap import HUGE_BYTES, collapse, whole

HEAP = f"{HUGE_BYTES:x}-{4 * HUGE_BYTES:x} rw-p 00000000 00:00 0                          [heap]"


def test_the_whole_huge_pages_of_the_heap_are_found() -> None:
    assert list(whole(HEAP)) == [HUGE_BYTES, 2 * HUGE_BYTES, 3 * HUGE_BYTES]


def test_what_does_not_fill_a_huge_page_is_left_alone() -> None:
    assert list(whole(f"{HUGE_BYTES - 4096:x}-{2 * HUGE_BYTES + 4096:x} rw-p 00000000 00:00 0")) == [HUGE_BYTES]
    assert list(whole(f"{HUGE_BYTES + 4096:x}-{2 * HUGE_BYTES + 4096:x} rw-p 00000000 00:00 0")) == []


@pytest.mark.parametrize(
    "line",
    [
        f"{HUGE_BYTES:x}-{4 * HUGE_BYTES:x} r-xp 00000000 00:00 0",
        f"{HUGE_BYTES:x}-{4 * HUGE_BYTES:x} rw-s 00000000 00:00 0",
        f"{HUGE_BYTES:x}-{4 * HUGE_BYTES:x} rw-p 00000000 fe:00 117 /usr/lib/a library.so",
        f"{HUGE_BYTES:x}-{4 * HUGE_BYTES:x} rw-p 00000000 00:00 0 [stack]",
    ],
)
def test_code_files_stacks_and_what_is_shared_stay_as_they_are(line: str) -> None:
    assert list(whole(line)) == []


def test_asking_is_harmless_on_any_system() -> None:
    kept = [bytes(1000) for _ in range(10_000)]
    assert collapse() >= 0
    assert all(each == bytes(1000) for each in kept)


async def test_it_is_asked_again_for_as_long_as_the_process_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asyncio.Event()
    times: list[int] = []

    def count() -> int:
        times.append(1)
        if len(times) == 3:
            asked.set()
        return 0

    monkeypatch.setattr(heap, "collapse", count)
    monkeypatch.setattr(heap, "EVERY_SECONDS", 0.001)
    running = asyncio.create_task(heap.keep())
    await asyncio.wait_for(asked.wait(), 5)
    running.cancel()


def test_a_bounded_heap_still_gives_and_takes_memory() -> None:
    heap.bound()
    assert sum(len(bytes(1 << 20)) for _ in range(64)) == 64 << 20
