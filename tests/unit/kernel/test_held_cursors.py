"""Cursors that a consumer holds in memory: asked of the store once, forgotten with the fence, bounded."""

from __future__ import annotations

from uuid import uuid4

from services.kernel.poll import Cursors
from services.kernel.store import Cursor
from tests.support.builders import TOPIC, Add, ask
from tests.unit.kernel.mirror import World, watched


async def test_a_cursor_that_was_moved_is_not_asked_of_the_store_again() -> None:
    world, one = World(), uuid4()
    await world.publish(ask(one, Add(1)), ask(one, Add(2)))
    member = await world.consumer()
    asked = watched(world.mirror)
    await member.subscription.turn(limit=1)
    await member.subscription.turn(limit=1)
    assert asked == [{(TOPIC, one)}, set()]
    assert world.numbers(one) == (1, 2)


async def test_whoever_lost_its_fence_asks_the_store_for_its_cursors() -> None:
    world, one = World(), uuid4()
    await world.publish(*(ask(one, Add(number)) for number in range(4)))
    zombie = await world.consumer()
    await zombie.subscription.turn(limit=1)
    other = await world.consumer()
    await other.subscription.turn(limit=2)
    asked = watched(world.mirror)
    await zombie.subscription.drain()
    assert asked == [set(), {(TOPIC, one)}]
    assert world.numbers(one) == (0, 1, 2, 3)
    assert world.parked() == []


def test_cursors_that_moved_longest_ago_make_room() -> None:
    cursors, ids = Cursors(most=2), [uuid4() for _ in range(3)]
    cursors.saved({(TOPIC, each): Cursor(1, b"", parked=False) for each in ids[:2]})
    cursors.saved({(TOPIC, ids[0]): Cursor(2, b"", parked=False)})
    cursors.saved({(TOPIC, ids[2]): Cursor(1, b"", parked=False)})
    assert [bool(cursors.get((TOPIC, each))) for each in ids] == [True, False, True]


def test_a_cursor_that_the_store_does_not_know_makes_no_room() -> None:
    cursors, ids = Cursors(most=1), [uuid4() for _ in range(3)]
    cursors.moved({(TOPIC, ids[0]): Cursor(1, b"", parked=False)})
    cursors.saved({(TOPIC, each): Cursor(1, b"", parked=False) for each in ids[1:]})
    assert [bool(cursors.get((TOPIC, each))) for each in ids] == [True, False, True]
