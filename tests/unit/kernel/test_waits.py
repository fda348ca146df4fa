"""A call whose intent says "not now" is asked again; one that says "never" is over."""

from __future__ import annotations

from datetime import timedelta

from services.kernel.decider import Again, Due, Outcome
from tests.support.fakes import Bell
from tests.unit.kernel.test_effects import World


class Shut(Bell):
    """No call is made while it is shut; whoever comes meanwhile waits, or is told that it is over."""

    def __init__(self, again: Again | None) -> None:
        super().__init__()
        self.shut, self.again = True, again

    def proceeds(self, outcome: Outcome) -> bool:
        return not self.shut and bool(outcome.heads)

    def waits(self, _due: Due, _outcome: Outcome) -> Again | None:
        return self.again


async def test_what_waits_is_not_called_until_it_may_and_then_once() -> None:
    world, call = World(), Shut(Again(10))
    one = await world.jar("call")
    worker = world.worker(call)
    await worker.step("call")
    assert (call.rung, len(world.store.tables.effects)) == ([], 1)
    assert await worker.step("call") == 0
    world.clock.now += timedelta(seconds=9)
    assert await worker.step("call") == 0
    world.clock.now += timedelta(seconds=1)
    call.shut = False
    assert await worker.step("call") == 1
    assert call.rung == [one]
    assert world.store.tables.effects == {}


async def test_what_does_not_wait_is_over() -> None:
    world, call = World(), Shut(None)
    await world.jar("call")
    await world.worker(call).step("call")
    assert (call.rung, world.store.tables.effects) == ([], {})
