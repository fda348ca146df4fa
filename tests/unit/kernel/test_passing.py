"""Streams of types that a consumer has nothing to do with pass by: nothing is kept of them, nothing lost of others."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from tests.support.builders import Add, Added, ask, inbox, name
from tests.unit.kernel.mirror import World

PASSING = replace(inbox(), passes=frozenset({Added.type}))


@pytest.mark.parametrize("all_later", [False, True])
async def test_nothing_is_kept_of_them_but_the_position(all_later: bool) -> None:
    world = World()
    await world.publish(*(ask(uuid4(), Add(number)) for number in range(5)))
    member = await world.consumer(PASSING, all_later=all_later)
    await member.subscription.drain(limit=2)
    await member.consumer.settle()
    assert world.counted == {"skipped": 5}
    assert world.mirror.tables.cursors == {}
    assert world.parked() == []
    assert world.position() == 5


async def test_a_stream_of_another_type_has_its_cursor() -> None:
    world, one = World(), uuid4()
    await world.publish(ask(uuid4(), Add(1)), name(one, "blue"), ask(uuid4(), Add(2)))
    member = await world.consumer(PASSING)
    await member.subscription.drain()
    await member.consumer.settle()
    await member.consumer.save()
    assert {stream for _, _, stream in world.mirror.tables.cursors} == {one}


async def test_what_was_passed_is_passed_again_from_the_beginning() -> None:
    world = World()
    await world.publish(*(ask(uuid4(), Add(number)) for number in range(5)))
    await (await world.consumer(PASSING)).subscription.drain()
    world.mirror.tables.positions.clear()
    await (await world.consumer(PASSING)).subscription.drain(limit=3)
    assert world.counted == {"skipped": 10}
    assert world.parked() == []
