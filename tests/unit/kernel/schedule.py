"""A seeded schedule: two members of one consumer, and all that can happen to them, their store and their topic."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from random import Random
from uuid import UUID

from services.kernel.decider import Unit
from services.kernel.memory import Fault
from services.kernel.poll import Cursors, Record
from services.kernel.store import Partition, Unavailable
from tests.support.builders import MIRROR, TOPIC, Add, ask, name
from tests.unit.kernel.mirror import Member, World, forged

POISON = ("raise", "refuse", "content")
FORGED = b"ab" * 32  # a hash of nothing


@dataclass(frozen=True, slots=True)
class Mode:
    """What is possible in a schedule, beside what always is."""

    zombies: bool = False  # a rebalance does not reach everybody: two members have the same partition
    gives_up: bool = False  # the engine lets an outage out at once, instead of trying again
    jumps: bool = False  # a person moves positions forward, and not back
    both_ways: bool = False  # a person moves positions forward and back; nothing else is wrong with the topic
    all_later: bool = False  # the members save no cursor but at checkpoints


class Death(BaseException):
    """Stands for the end of a process."""


@dataclass
class Seat:
    """A place in the group, and who has it."""

    member: Member | None = None
    owned: list[Partition] = field(default_factory=list)

    def die(self) -> None:
        self.member, self.owned = None, []

    async def survives(self, step: Awaitable[object]) -> None:
        """Whatever ends a process ends this one."""
        try:
            await step
        except (Death, Unavailable):
            self.die()


class Schedule:
    """`run` it; then `world` is what came of it, and `jumped` what a person told the consumer to leave out."""

    def __init__(self, mode: Mode, seed: int) -> None:
        self.mode = mode
        self.random = Random(seed)
        self.world = World(self.random.choice([1, 2, 3]))
        self.jumped: set[tuple[Partition, int]] = set()
        self.streams = [self._stream() for _ in range(self.random.choice([2, 4, 8]))]
        self._seats = Seat(), Seat()
        self._partitions = self.world.bus.partitions([TOPIC])
        self._numbers = 0
        self._cursors = self.random.choice([(1, 1), (2, 3), (3, 10), (5, 2), (4_000, 1_500)])  # kept, kept unsaved
        self._fault_share = self.random.choice([0, 0.02, 0.08])
        self._death_share = self.random.choice([0, 0.01, 0.03])

    async def run(self) -> None:
        """All of it; AssertionError when a position moved back by itself."""
        self.world.mirror.step, self.world.bus._step = self._step, self._sent
        await self.world.publish(*(ask(each, Add(0)) for each in self.streams))
        await self.rebalance()
        for _ in range(self.random.choice([40, 100, 200])):
            await self._once()
        await self._come_to_rest()

    async def _once(self) -> None:
        before = self._positions()
        event = self.random.choices(_EVENTS, _WEIGHTS)[0]
        await event(self)
        after = self._positions()
        back = {at for at, offset in before.items() if after[at] < offset}
        by_hand = event is Schedule.move_by_hand and not self.mode.jumps
        assert by_hand or not back, f"{event.__name__} moved positions back: {back}"

    async def _come_to_rest(self) -> None:
        """Every stream goes on, so that whatever was left out shows; two calm members in turn take all of it."""
        self._fault_share = self._death_share = 0
        await self.world.publish(*(ask(each, Add(-1)) for each in self.streams))
        for limit in (self.random.choice([1, 3, 500]), 500):
            member = self._new_member()
            await member.subscription.start()
            await member.subscription.drain(limit)

    # what happens

    async def publish(self) -> None:
        """A few events, and now and then one of them is lost, or told in another way."""
        ends = {at: self._end(at) for at in self._partitions}
        records = await self.world.publish(*(self._unit() for _ in range(self.random.randint(1, 6))))
        fresh = self.random.choice([each for each in records if each.offset >= ends[each.topic, each.partition]])
        tampering = 1 if self.mode.both_ways else self.random.random()
        if tampering < 0.04:
            self._lose(fresh)
        elif tampering < 0.08:
            self._forge(fresh)

    async def poll(self) -> None:
        seat = self.random.choice(self._seats)
        if seat.member:
            await seat.survives(seat.member.subscription.turn(self.random.choice([1, 2, 3, 7, 500])))

    async def settle(self) -> None:
        seat = self.random.choice(self._seats)
        if seat.member:
            await seat.survives(seat.member.consumer.settle())
        self.world.seconds += self.random.choice([0.1, 1, 6])

    async def poll_and_settle(self) -> None:
        """At the same time."""
        seat = self.random.choice(self._seats)
        if seat.member:
            turn, settling = seat.member.subscription.turn(5), seat.member.consumer.settle()
            await asyncio.gather(seat.survives(turn), seat.survives(settling))

    async def rebalance(self) -> None:
        for seat in self._seats:
            if not (seat.owned and self.mode.zombies and self.random.random() < 0.4):
                await self._revoke(seat)
        for seat, share in zip(self._seats, self._shares(), strict=True):
            if not seat.owned:
                await self._assign(seat, share)

    async def die(self) -> None:
        self.random.choice(self._seats).die()

    async def move_by_hand(self) -> None:
        """A position is set to another offset, in the store, while the members go on."""
        positions = self.world.mirror.tables.positions
        at = self.random.choice(self._partitions)
        old = positions.get((MIRROR, 1, at))
        if old is None:
            return
        least, most = (
            (old.next_offset, max(old.next_offset, self._end(at))) if self.mode.jumps else (0, old.next_offset)
        )
        if self.mode.both_ways:
            least, most = 0, max(old.next_offset, self._end(at))
        moved = replace(old, next_offset=self.random.randint(least, most))
        positions[MIRROR, 1, at] = moved
        self.jumped.update((at, offset) for offset in range(old.next_offset, moved.next_offset))

    async def idle(self) -> None:
        """Nothing happens."""

    # how it happens

    async def _step(self, point: str) -> Fault | None:
        await asyncio.sleep(0)
        if self.random.random() < self._death_share:
            raise Death(point)
        if self.random.random() >= self._fault_share:
            return None
        faults = [Fault.UNAVAILABLE]
        if point == "commit":
            faults += [Fault.CONFLICT, Fault.LOSE_ANSWER, Fault.LOSE_ANSWER]
        return self.random.choice(faults)

    async def _sent(self, _point: str) -> Fault | None:
        return Fault.DUPLICATE if self.random.random() < 0.15 else None

    def _stream(self) -> UUID:
        return UUID(int=self.random.getrandbits(128))

    def _unit(self) -> Unit:
        if self.random.random() < 0.05:
            self.streams.append(self._stream())
        stream, self._numbers = self.random.choice(self.streams), self._numbers + 1
        if self.random.random() < 0.65:
            return name(stream, f"name {self._numbers}")
        poison = self.random.choice(POISON) if self.random.random() < 0.04 and not self.mode.both_ways else ""
        return ask(stream, Add(self._numbers, poison))

    def _lose(self, record: Record) -> None:
        at = (record.topic, record.partition)
        if record.offset < self._end(at) - 1:  # the bus would give the last one's offset again
            self.world.bus.lose(at, record.offset)

    def _forge(self, record: Record) -> None:
        header = self.random.choice(["ce_hash", "ce_prevhash"])
        headers = forged(record, lambda fields: {**fields, header: FORGED}).headers
        self.world.bus.append((record.topic, record.partition), record.key, record.value, headers, record.timestamp)

    def _new_member(self) -> Member:
        member = self.world.member(all_later=self.mode.all_later)
        member.consumer._cursors = Cursors(*self._cursors)
        return member

    def _shares(self) -> tuple[list[Partition], list[Partition]]:
        """Who shall have what; often one of them everything."""
        share = self.random.choice([0, 0.5, 1])
        first = [at for at in self._partitions if self.random.random() < share]
        return first, [at for at in self._partitions if at not in first]

    async def _revoke(self, seat: Seat) -> None:
        if seat.member and self.random.random() < 0.5:
            await seat.survives(seat.member.consumer.save())
        if seat.member:
            seat.member.consumer.revoked()
            seat.member.subscription._next.clear()
        seat.owned = []

    async def _assign(self, seat: Seat, share: list[Partition]) -> None:
        seat.member = seat.member or self._new_member()
        seat.owned = share
        if share:
            await seat.survives(seat.member.consumer.assigned(share))

    def _end(self, at: Partition) -> int:
        records = self.world.bus.records[at]
        return records[-1].offset + 1 if records else 0

    def _positions(self) -> dict[Partition, int]:
        return {key[2]: each.next_offset for key, each in self.world.mirror.tables.positions.items()}


Event = Callable[[Schedule], Awaitable[None]]
WEIGHTED: dict[Event, int] = {
    Schedule.publish: 25,
    Schedule.poll: 45,
    Schedule.settle: 12,
    Schedule.poll_and_settle: 3,
    Schedule.rebalance: 7,
    Schedule.die: 3,
    Schedule.move_by_hand: 2,
    Schedule.idle: 3,
}
_EVENTS, _WEIGHTS = list(WEIGHTED), list(WEIGHTED.values())
