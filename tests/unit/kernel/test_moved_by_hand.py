"""A person moves a consumer's position: nothing is taken twice, and nothing is left out without a word."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from services.kernel import consumer as consumers
from services.kernel.consumer import ALONE_AFTER_STARTS, CHECKPOINT_SECONDS
from tests.support.builders import MIRROR, TOPIC, Add, ask
from tests.unit.kernel import schedule
from tests.unit.kernel.mirror import Member, World
from tests.unit.kernel.schedule import Mode, Schedule
from tests.unit.kernel.test_schedules import Truth

AT = (TOPIC, 0)
BOTH = pytest.mark.parametrize("later", [False, True], ids=["decides", "reads"])
SEEDS = 25


def move(world: World, offset: int) -> None:
    positions = world.mirror.tables.positions
    positions[MIRROR, 1, AT] = replace(positions[MIRROR, 1, AT], next_offset=offset)


async def settled(world: World, *, later: bool, member: Member | None = None) -> Member:
    """A member that has taken what there is, and made a checkpoint."""
    member = member or await world.consumer(all_later=later)
    await member.subscription.drain()
    world.seconds += CHECKPOINT_SECONDS
    await member.consumer.settle()
    return member


async def jumped_over(world: World, *, later: bool) -> tuple[UUID, UUID]:
    """A stream whose two events a person has jumped over, and one that was taken behind them."""
    two, three = uuid4(), uuid4()
    await world.publish(ask(uuid4(), Add(0)), ask(uuid4(), Add(1)))
    member = await world.consumer(all_later=later)
    await member.subscription.drain()
    await world.publish(ask(two, Add(2)), ask(two, Add(3)))
    move(world, 4)
    await world.publish(ask(three, Add(4)))
    await settled(world, later=later, member=member)
    return two, three


@BOTH
async def test_what_was_jumped_over_is_taken_when_the_position_goes_back(later: bool) -> None:
    world = World()
    two, three = await jumped_over(world, later=later)
    move(world, 2)
    member = await settled(world, later=later)
    await world.publish(ask(two, Add(5)))
    await member.subscription.drain()
    assert (world.numbers(two), world.numbers(three), world.parked()) == ((2, 3, 5), (4,), [])


@BOTH
async def test_what_was_jumped_over_twice_is_a_gap_and_never_learnt(later: bool) -> None:
    world = World()
    two, _ = await jumped_over(world, later=later)
    move(world, 2)
    member = await world.consumer(all_later=later)
    world.seconds += CHECKPOINT_SECONDS
    await member.consumer.settle()  # before it has read anything
    move(world, 5)
    member = await world.consumer(all_later=later)
    await member.subscription.drain()
    await world.publish(ask(two, Add(5)))
    await member.subscription.drain()
    assert (world.numbers(two), [why for _, why in world.parked()]) == ((), ["Gap"])


@BOTH
async def test_a_parked_stream_that_is_let_go_by_hand_goes_on_where_it_stood(later: bool) -> None:
    world, one = World(), uuid4()
    await world.publish(ask(one, Add(0)), ask(one, Add(1)), ask(one, Add(2)))
    tables, records = world.mirror.tables, world.bus.records[AT]
    good, records[1] = records[1], replace(records[1], value=b"{}")
    await settled(world, later=later)
    assert [offset for offset, _ in world.parked()] == [1, 2]
    records[1] = good  # stands for a release that can read it
    at = (MIRROR, TOPIC, one)
    tables.cursors[at] = replace(tables.cursors[at], parked=False)
    tables.parked.clear()
    move(world, 1)
    await world.publish(ask(one, Add(3)))
    await (await world.consumer(all_later=later)).subscription.drain()
    assert (world.numbers(one), world.parked()) == ((0, 1, 2, 3), [])


@BOTH
async def test_what_kills_the_process_is_found_also_far_behind_what_is_learnt(
    later: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, one = World(), uuid4()
    await world.publish(*(ask(one, Add(number)) for number in range(6)))
    await (await world.consumer(all_later=later)).subscription.turn(3)
    for _ in range(ALONE_AFTER_STARTS):
        await world.consumer(all_later=later)
    member = await world.consumer(all_later=later)
    suspect, suspects = world.mirror.suspect, []

    async def noting(consumer: str, epoch: int, at: tuple[str, int], offset: int) -> int:
        suspects.append(offset)
        return await suspect(consumer, epoch, at, offset)

    monkeypatch.setattr(world.mirror, "suspect", noting)
    await member.subscription.turn(2)
    await member.subscription.turn(2)
    assert suspects == [3]


@BOTH
@pytest.mark.parametrize("seed", range(SEEDS))
async def test_each_stream_is_taken_in_order_and_whatever_was_left_out_is_parked(
    later: bool, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "PARKED_MIN", 10**9)
    monkeypatch.setattr(consumers, "SUSPECT_TRIES_MAX", 10**9)
    often = [10 if event is Schedule.move_by_hand else each for event, each in schedule.WEIGHTED.items()]
    monkeypatch.setattr(schedule, "_WEIGHTS", often)
    run = Schedule(Mode(zombies=True, both_ways=True, all_later=later), seed)
    run.streams += [run._stream() for _ in range(25)]
    await run.run()
    truth, parked = Truth(), {row[4] for row in run.world.mirror.tables.parked.values()}
    for records in run.world.bus.records.values():
        for record in records:
            truth.add(record)
    for stream, wanted in truth.numbers_of(run.streams).items():
        taken = run.world.numbers(stream)
        assert taken == wanted[: len(taken)], f"seed {seed}"
        assert taken == wanted or stream in parked, f"seed {seed}: left out without a word"
