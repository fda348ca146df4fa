"""What a consumer only passes: kept in memory, stored every second, saved at checkpoints, learnt again after them."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from services.kernel.consumer import ALONE_AFTER_STARTS, CHECKPOINT_SECONDS
from services.kernel.decider import Outcome
from services.kernel.engine import Intake
from services.kernel.memory import Fault
from services.kernel.poll import UNSAVED_MAX
from services.kernel.store import ContentRefused, Cursor
from tests.support.builders import MIRROR, TOPIC, Add, ask, name
from tests.unit.kernel.mirror import Member, World, watched

AT = (TOPIC, 0)


def cursor(world: World, stream: UUID) -> Cursor | None:
    return world.mirror.tables.cursors.get((MIRROR, TOPIC, stream))


def checkpoint(world: World) -> int:
    return world.mirror.tables.positions[MIRROR, 1, AT].checkpoint


async def passing(world: World, stream: UUID, count: int = 2) -> Member:
    """A member that took one event and passed names, which nobody wants; all of it stored, no checkpoint made."""
    await world.publish(ask(stream, Add(0)), *(name(stream, f"{stream}-{n}") for n in range(count)))
    member = await world.consumer()
    await member.subscription.drain(limit=1)
    return member


async def test_records_that_nobody_wants_are_passed_without_the_store() -> None:
    world, one = World(), uuid4()
    await world.publish(ask(one, Add(0)), name(one, "blue"), name(one, "red"))
    member = await world.consumer()
    await member.subscription.turn(limit=1)
    asked = watched(world.mirror)
    await member.subscription.turn(limit=1)
    await member.subscription.turn(limit=1)
    assert (asked, world.position()) == ([], 1)
    assert world.counted == {"applied": 1, "skipped": 2}


async def test_how_far_it_came_is_stored_within_a_second() -> None:
    world, one = World(), uuid4()
    await passing(world, one)
    assert (world.position(), checkpoint(world)) == (3, 0)
    assert cursor(world, one) == (await stored(world, one, 1))


async def stored(world: World, stream: UUID, version: int) -> Cursor:
    found = [each for each in world.source.tables.events if each.stream_id == stream and each.version == version]
    return Cursor(version, found[0].hash, parked=False)


async def test_what_was_applied_is_saved_with_it() -> None:
    """Else a redelivery from offset zero would take it twice."""
    world, one = World(), uuid4()
    await passing(world, one)
    await world.publish(ask(one, Add(1)), name(one, "green"))
    world.mirror.tables.positions.clear()
    await (await world.consumer()).subscription.drain()
    assert world.numbers(one) == (0, 1)
    assert world.parked() == []


@pytest.mark.parametrize("more", [Add(1), None], ids=["wanted next", "passed next"])
async def test_who_starts_anew_learns_what_was_passed_and_sees_no_gap(more: Add | None) -> None:
    world, one = World(), uuid4()
    await passing(world, one)
    await world.publish(ask(one, more) if more else name(one, "late"))
    await (await world.consumer()).subscription.drain(limit=2)
    assert world.parked() == []
    assert world.numbers(one) == ((0, 1) if more else (0,))
    assert world.position() == 4


async def test_what_is_learnt_is_neither_applied_nor_counted_again() -> None:
    world, one = World(), uuid4()
    await passing(world, one)
    counted = dict(world.counted)
    await (await world.consumer()).subscription.drain()
    assert world.counted == counted
    assert world.numbers(one) == (0,)


async def test_a_gap_behind_what_was_learnt_is_still_seen() -> None:
    world, one = World(), uuid4()
    await passing(world, one)
    await world.publish(name(one, "lost"), ask(one, Add(1)))
    lost = world.bus.records[AT].pop(3)
    world.bus.records[AT][3] = replace(world.bus.records[AT][3], offset=lost.offset)
    await (await world.consumer()).subscription.drain()
    assert world.parked() == [(3, "Gap")]


async def test_a_stream_that_was_parked_behind_the_checkpoint_stays_parked() -> None:
    world, one = World(), uuid4()
    await world.publish(ask(one, Add(0)), ask(one, Add(1)), name(one, "blue"), ask(one, Add(2)))
    del world.bus.records[AT][1]
    first = await world.consumer()
    for _ in range(2):  # a hole is believed the second time
        await first.subscription.drain()
    parked = world.parked()
    assert parked[0] == (2, "Gap")
    await world.publish(ask(one, Add(3)))
    await (await world.consumer()).subscription.drain()
    assert world.parked() == [*parked, (4, "Behind")]
    assert world.numbers(one) == (0,)


async def test_a_checkpoint_saves_all_cursors_and_says_so() -> None:
    world, one = World(), uuid4()
    member = await passing(world, one)
    world.seconds += CHECKPOINT_SECONDS
    await member.consumer.settle()
    assert cursor(world, one) == (await stored(world, one, 3))
    assert (world.position(), checkpoint(world)) == (3, 3)
    asked = watched(world.mirror)
    await member.consumer.settle()
    assert asked == [], "there is nothing left to store"


async def test_so_many_cursors_are_saved_before_their_time() -> None:
    world = World()
    await world.publish(*(name(uuid4(), str(number)) for number in range(UNSAVED_MAX + 1)))
    member = await world.consumer()
    await member.subscription.drain()
    assert len(world.mirror.tables.cursors) >= UNSAVED_MAX


async def test_a_checkpoint_while_learning_moves_no_position_back() -> None:
    world, one = World(), uuid4()
    await passing(world, one, count=6)
    second = await world.consumer()
    world.seconds += CHECKPOINT_SECONDS
    await second.subscription.turn(limit=2)
    assert (world.position(), checkpoint(world)) == (7, 2)
    await second.subscription.drain()
    assert world.parked() == []


async def test_a_checkpoint_without_progress_forgives_no_death() -> None:
    world = World(partitions=2)
    streams = [uuid4() for _ in range(20)]
    await world.publish(*(name(each, str(each)) for each in streams))
    await (await world.consumer()).subscription.drain()
    for _ in range(ALONE_AFTER_STARTS - 1):
        await world.consumer()
    member = await world.consumer()
    await member.subscription.drain()
    world.seconds += CHECKPOINT_SECONDS
    await member.consumer.settle()
    positions = world.mirror.tables.positions.values()
    assert [each.checkpoint for each in positions] == [each.next_offset for each in positions]
    assert all(each.starts == ALONE_AFTER_STARTS for each in positions)


async def test_a_lost_answer_of_a_checkpoint_is_no_loss() -> None:
    world, one = World(), uuid4()
    member = await passing(world, one)
    world.seconds += CHECKPOINT_SECONDS
    world.faults.plan("commit", Fault.LOSE_ANSWER)
    await member.consumer.settle()
    await world.publish(ask(one, Add(1)))
    await member.subscription.drain()
    assert world.numbers(one) == (0, 1)
    assert world.parked() == []


async def test_a_checkpoint_that_the_database_refuses_is_tried_once_and_ends_the_process() -> None:
    """There is no record in it that could be parked for it."""
    world, one = World(), uuid4()
    member, refusing = await passing(world, one), Refusing()
    member.consumer._engine = refusing
    world.seconds += CHECKPOINT_SECONDS
    with pytest.raises(ContentRefused):
        await member.consumer.settle()
    assert refusing.asked == 1


class Refusing:
    """An engine whose database wants nothing of it."""

    def __init__(self) -> None:
        self.asked = 0

    async def run(self, intake: Intake) -> list[Outcome]:
        self.asked += 1
        raise ContentRefused("planted")


async def test_a_checkpoint_is_fenced_by_the_one_before_it() -> None:
    """Of two who have one partition, the one that learns must not take back what the other has saved."""
    world, one = World(), uuid4()
    first = await passing(world, one, count=3)
    second = await world.consumer()
    await second.subscription.turn(limit=2)
    world.seconds += CHECKPOINT_SECONDS
    await first.consumer.settle()
    await second.consumer.settle()
    assert cursor(world, one) == (await stored(world, one, 4))
    assert checkpoint(world) == 4
    await world.publish(ask(one, Add(1)))
    await second.subscription.drain()
    assert world.numbers(one) == (0, 1)
    assert world.parked() == []


@pytest.mark.parametrize("saved", [True, False], ids=["behind a checkpoint", "ahead of the checkpoint"])
async def test_what_a_person_jumped_over_is_a_gap_of_its_stream(saved: bool) -> None:
    world, one, other = World(), uuid4(), uuid4()
    member = await passing(world, one)
    if saved:
        world.seconds += CHECKPOINT_SECONDS
        await member.consumer.settle()
    await world.publish(ask(one, Add(1)), ask(one, Add(2)), ask(other, Add(3)))
    positions = world.mirror.tables.positions
    positions[MIRROR, 1, AT] = replace(positions[MIRROR, 1, AT], next_offset=4)
    await (await world.consumer()).subscription.drain()
    assert (world.numbers(one), world.numbers(other)) == ((0,), (3,))
    assert world.parked() == [(4, "Gap")]


async def reader(world: World, stream: UUID) -> Member:
    """A member that keeps a read table: it took two events, and has saved no cursor."""
    await world.publish(ask(stream, Add(0)), ask(stream, Add(1)))
    member = await world.consumer(all_later=True)
    await member.subscription.drain()
    return member


async def test_who_keeps_a_read_table_saves_no_cursor_before_a_checkpoint() -> None:
    world, one = World(), uuid4()
    member = await reader(world, one)
    assert (cursor(world, one), world.position(), world.numbers(one)) == (None, 2, (0, 1))
    world.seconds += CHECKPOINT_SECONDS
    await member.consumer.settle()
    assert cursor(world, one) == (await stored(world, one, 2))
    assert checkpoint(world) == 2


@pytest.mark.parametrize("back_to", [2, 1, 0])
async def test_a_read_table_takes_nothing_twice_however_far_a_person_moves_it_back(back_to: int) -> None:
    world, one = World(), uuid4()
    await reader(world, one)
    positions = world.mirror.tables.positions
    positions[MIRROR, 1, AT] = replace(positions[MIRROR, 1, AT], next_offset=back_to)
    await world.publish(ask(one, Add(2)))
    await (await world.consumer(all_later=True)).subscription.drain(limit=1)
    assert (world.numbers(one), world.parked(), world.position()) == ((0, 1, 2), [], 3)


async def test_a_reader_that_was_away_cannot_take_what_another_took_before_a_person_moved_it_back() -> None:
    world, one = World(), uuid4()
    away = await world.consumer(all_later=True)
    await reader(world, one)
    positions = world.mirror.tables.positions
    positions[MIRROR, 1, AT] = replace(positions[MIRROR, 1, AT], next_offset=0)
    await away.subscription.drain()
    assert (world.numbers(one), world.parked()) == ((0, 1), [])


async def test_what_a_read_table_could_not_take_is_saved_with_its_parking() -> None:
    world, one = World(), uuid4()
    await world.publish(ask(one, Add(0)), ask(one, Add(1, "raise")), ask(one, Add(2)))
    await (await world.consumer(all_later=True)).subscription.drain()
    assert world.parked() == [(1, "RuntimeError"), (2, "Behind")]
    await world.publish(ask(one, Add(3)))
    await (await world.consumer(all_later=True)).subscription.drain()
    assert world.parked() == [(1, "RuntimeError"), (2, "Behind"), (3, "Behind")]
