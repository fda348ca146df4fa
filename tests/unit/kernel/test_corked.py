"""What is written comes out whole and in order, in as few writes as the loop's turns allow."""

from __future__ import annotations

import asyncio
from typing import Any

from services.kernel.corked import Corked


class Wire(asyncio.Transport):
    """Remembers what was done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[bytes | str] = []

    def write(self, data: Any) -> None:
        self.done.append(data)

    def close(self) -> None:
        self.done.append("closed")

    def abort(self) -> None:
        self.done.append("aborted")


def corked() -> tuple[Corked, Wire]:
    wire = Wire()
    return Corked(wire), wire


async def test_head_and_body_are_one_write() -> None:
    transport, wire = corked()
    transport.write(b"head ")
    transport.write(b"body")
    assert wire.done == [b"head body"]
    await asyncio.sleep(0)
    assert wire.done == [b"head body"]


async def test_a_write_that_stays_alone_goes_with_the_turn() -> None:
    transport, wire = corked()
    transport.write(b"100 Continue")
    assert wire.done == []
    await asyncio.sleep(0)
    assert wire.done == [b"100 Continue"]


async def test_a_stream_is_held_by_one_part_at_most_so_that_its_reader_slows_it_down() -> None:
    transport, wire = corked()
    for part in (b"1", b"2", b"", b"3", b"4", b"5"):
        transport.write(part)
    assert wire.done == [b"12", b"34"]
    await asyncio.sleep(0)
    assert wire.done == [b"12", b"34", b"5"]


async def test_closing_sends_what_was_written_and_aborting_does_not() -> None:
    for end, done in (("close", [b"400", "closed"]), ("abort", ["aborted"])):
        transport, wire = corked()
        transport.write(b"400")
        getattr(transport, end)()
        await asyncio.sleep(0)
        assert wire.done == done
