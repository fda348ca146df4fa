"""Which memory is put on huge pages, and that asking for it harms nobody."""

from __future__ import annotations

import asyncio
from pathlib import Path

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
    for at in heap.heap_pages():
        collapse(at)
    assert all(each == bytes(1000) for each in kept)


def test_a_system_that_does_not_say_where_its_heap_is_has_no_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "MAPS", Path("/proc/self/nothing"))
    assert heap.heap_pages() == []


async def test_it_is_asked_again_and_again_and_others_run_behind_each_page_that_was_copied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns: list[str] = []

    def copied(at: int) -> bool:
        turns.append(f"page {at}")
        return True

    monkeypatch.setattr(heap, "heap_pages", lambda: [1, 2])
    monkeypatch.setattr(heap, "collapse", copied)
    monkeypatch.setattr(heap, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(heap, "PAUSE_SECONDS", 0.0)
    running = asyncio.create_task(heap.keep())
    for _ in range(7):
        await asyncio.sleep(0)
        turns.append("others")
    running.cancel()
    assert turns[:6] == ["page 1", "others", "page 2", "others", "others", "page 1"]


def test_a_bounded_heap_still_gives_and_takes_memory() -> None:
    heap.bound()
    assert sum(len(bytes(1 << 20)) for _ in range(64)) == 64 << 20
