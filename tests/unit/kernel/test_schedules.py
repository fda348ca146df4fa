"""Whatever happens to a consumer: each wanted record is applied once and in order, and what is parked is what must be.

The truth is folded from the topic alone, by other code than the consumer's.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from uuid import UUID

import pytest

from services.kernel import consumer as consumers
from services.kernel import engine as engines
from services.kernel.codec import GENESIS
from services.kernel.envelope import Envelope, envelope_of
from services.kernel.poll import Record
from tests.support.builders import Added
from tests.unit.kernel.mirror import World
from tests.unit.kernel.schedule import FORGED, Mode, Schedule

SEEDS = 25
MODES = {
    "calm": Mode(),
    "zombies": Mode(zombies=True),
    "gives up": Mode(zombies=True, gives_up=True),
    "jumps": Mode(zombies=True, jumps=True),
    "later": Mode(zombies=True, gives_up=True, all_later=True),
    "later, jumps": Mode(zombies=True, jumps=True, all_later=True),
}
ERRORS = {"raise": "RuntimeError", "refuse": "Full", "content": "ContentRefused"}
Parked = tuple[int, int, str]  # partition, offset, the class of the error


@pytest.fixture(autouse=True)
def _no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """So much trouble is on purpose."""
    monkeypatch.setattr(consumers, "PARKED_MIN", 10**9)
    monkeypatch.setattr(consumers, "SUSPECT_TRIES_MAX", 10**9)


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
async def test_what_is_wanted_is_applied_once_and_in_order_whatever_happens(
    mode: Mode, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mode.gives_up:
        monkeypatch.setattr(engines, "RETRY_SECONDS", -1)
    schedule = Schedule(mode, seed)
    await schedule.run()
    truth = folded(schedule)
    where = f"{mode}, seed {seed}"
    assert {each: schedule.world.numbers(each) for each in schedule.streams} == truth.numbers_of(schedule.streams), (
        where
    )
    assert parked(schedule.world) == sorted(truth.parked), where


def parked(world: World) -> list[Parked]:
    return sorted((row[2], row[3], row[7].partition(":")[0]) for row in world.mirror.tables.parked.values())


def folded(schedule: Schedule) -> Truth:
    """The topic as it must have been taken, without what a person jumped over."""
    truth = Truth()
    for at, records in schedule.world.bus.records.items():
        for record in records:
            if (at, record.offset) not in schedule.jumped:
                truth.add(record)
    return truth


@dataclass(frozen=True, slots=True)
class Last:
    """The last event of a stream that fitted."""

    version: int = 0
    hash: bytes = GENESIS
    is_parked: bool = False


class Truth:
    """What a consumer must have made of the records so far."""

    def __init__(self) -> None:
        self.parked: list[Parked] = []
        self._numbers: dict[UUID, list[int]] = defaultdict(list)
        self._last: dict[UUID, Last] = defaultdict(Last)

    def numbers_of(self, streams: list[UUID]) -> dict[UUID, tuple[int, ...]]:
        return {each: tuple(self._numbers[each]) for each in streams}

    def add(self, record: Record) -> None:
        envelope = envelope_of(record.headers)
        stream, last = envelope.stream_id, self._last[envelope.stream_id]
        if envelope.version < last.version or (envelope.version, envelope.hash) == (last.version, last.hash):
            return
        added = json.loads(record.value or b"") if envelope.event_type == Added.type else None
        trouble = _misfit(envelope, last) or (added and _poison(envelope, added["text"]))
        if trouble:
            self.parked.append((record.partition, record.offset, trouble))
            self._last[stream] = Last(last.version, last.hash, is_parked=True)
            return
        self._last[stream] = Last(envelope.version, envelope.hash)
        if added:
            self._numbers[stream].append(added["number"])


def _misfit(envelope: Envelope, last: Last) -> str | None:
    if last.is_parked:
        return "Behind"
    if envelope.version > last.version + 1:
        return "Gap"
    return "Fork" if envelope.version == last.version or envelope.prev_hash != last.hash else None


def _poison(envelope: Envelope, text: str) -> str | None:
    """A forged hash is looked at only when the one that it copies was jumped over."""
    return "HashMismatch" if envelope.hash == FORGED else ERRORS.get(text)
