"""Turns at a pace: the first is at once, those behind it wait, and a full one is followed at once."""

from __future__ import annotations

from services.kernel.pace import Pace


class Times:
    """A clock that moves only while somebody waits, or by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []

    def pace(self) -> Pace:
        return Pace(0.5, clock=lambda: self.now, pause=self.pause)

    async def pause(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


async def test_the_first_turn_does_not_wait() -> None:
    times = Times()
    await times.pace().turn()
    assert times.waits == []


async def test_a_turn_waits_for_what_is_left_since_the_last_one_began() -> None:
    times = Times()
    pace = times.pace()
    await pace.turn()
    times.now += 0.125
    await pace.turn()
    await pace.turn()
    assert times.waits == [0.375, 0.5]


async def test_after_a_quiet_time_a_turn_does_not_wait() -> None:
    times = Times()
    pace = times.pace()
    await pace.turn()
    times.now += 0.5
    await pace.turn()
    assert times.waits == []


async def test_work_that_was_left_behind_is_taken_at_once() -> None:
    times = Times()
    pace = times.pace()
    await pace.turn()
    pace.hurry()
    await pace.turn()
    assert times.waits == []
