"""Side effects on the store in memory: wakes, calls, leases, and what a death in the middle leaves behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.kernel.decider import Again, Outcome
from services.kernel.effects import Worker
from services.kernel.engine import Engine, Intake, Units
from services.kernel.memory import Fault, MemoryStore
from tests.support.builders import JAR, TOPIC, Add, Jar, ask
from tests.support.fakes import Bell, Clock, Planned, no_pause

LEASE_SECONDS = 20


class World:
    """A service with a worker; `clock` is the database's."""

    def __init__(self) -> None:
        self.clock, self.faults = Clock(), Planned()
        self.store = MemoryStore(self.clock, self.faults)
        self.engine = Engine(self.store, (JAR,), TOPIC, uuid4, pause=no_pause)
        self.counted: list[tuple[str, str]] = []

    def worker(self, *calls: Any) -> Worker:
        return Worker(
            self.store, self.engine, "worker", calls, lease_seconds=LEASE_SECONDS,
            counted=lambda name, result, _: self.count(name, result),
        )  # fmt: skip

    def count(self, name: str, result: str) -> None:
        self.counted.append((name, result))

    async def jar(self, *texts: str) -> UUID:
        one = uuid4()
        await self.engine.run(Units([ask(one, Add(number, text)) for number, text in enumerate(texts)]))
        return one

    def types(self, stream_id: UUID) -> list[str]:
        events = (each for each in self.store.tables.events if each.stream_id == stream_id)
        return [each.event_type.split(".")[2] for each in events]

    async def state(self, stream_id: UUID) -> Jar:
        state: Jar = (await self.engine.heads([stream_id]))[stream_id][1]
        return state


class Died(BaseException):
    """Stands for the end of the process."""


class Dying(Engine):
    """The process ends when it has taken what is due and is about to ask for it."""

    async def run(self, intake: Intake) -> list[Outcome]:
        raise Died


async def test_a_wake_asks_its_stream_once() -> None:
    world = World()
    one = await world.jar("wake")
    worker = world.worker()
    assert [await worker.step("wake"), await worker.step("wake")] == [1, 0]
    assert world.types(one) == ["added", "reminded"]
    assert world.store.tables.effects == {}


async def test_a_wake_that_has_become_stale_does_nothing_and_is_finished() -> None:
    world = World()
    one = await world.jar("wake", "")  # two numbers: nobody cares any more
    await world.worker().step("wake")
    assert world.types(one) == ["added", "added"]
    assert world.store.tables.effects == {}


async def test_a_wake_is_not_heard_before_its_time() -> None:
    world = World()
    one = await world.jar("later")
    assert await world.worker().step("wake") == 0
    world.clock.forward(100 * 365 * 24 * 3600)
    assert await world.worker().step("wake") == 1
    assert world.types(one) == ["added", "reminded"]


async def test_a_lost_lease_writes_nothing() -> None:
    world = World()
    one = await world.jar("wake")
    zombie = (await world.store.take_due("wake", 10, LEASE_SECONDS)).due
    world.clock.forward(LEASE_SECONDS + 1)
    await world.store.take_due("wake", 10, LEASE_SECONDS)  # another has it now
    worker = world.worker()
    await worker._write([worker._wake_unit(each) for each in zombie], zombie)
    assert world.types(one) == ["added"]
    assert world.counted == [("remind", "stale")]
    assert len(world.store.tables.effects) == 1


async def test_a_call_has_an_intent_before_it_and_an_outcome_after_it() -> None:
    world, seen = World(), []
    one = await world.jar("call")

    async def during() -> None:
        seen.append(world.types(one))

    bell = Bell(during=during)
    await world.worker(bell).step("call")
    assert seen == [["added", "call_begun"]]
    assert world.types(one) == ["added", "call_begun", "call_ended"]
    assert (bell.rung, (await world.state(one)).told) == ([one], "rang")
    assert world.store.tables.effects == {}


async def test_a_call_that_told_nothing_is_made_again_later() -> None:
    world = World()
    await world.jar("call")
    worker = world.worker(Bell(Again(60)))
    await worker.step("call")
    assert await worker.step("call") == 0
    world.clock.forward(61)
    assert await worker.step("call") == 1


async def test_a_call_whose_process_died_after_the_intent_is_not_made_again_blind() -> None:
    world = World()
    one = await world.jar("call")

    async def die() -> None:
        raise Died

    with pytest.raises(Died):
        await world.worker(Bell(during=die)).step("call")
    assert world.types(one) == ["added", "call_begun"]
    bell = Bell()
    assert await world.worker(bell).step("call") == 0, "leased until the dead one's time is over"
    world.clock.forward(LEASE_SECONDS + 1)
    await world.worker(bell).step("call")
    assert bell.rung == []  # the stream knows of an attempt without an answer, and says no
    assert world.store.tables.effects == {}


@pytest.mark.parametrize("kind", ["wake", "call"])
async def test_what_a_dead_worker_had_taken_is_due_again_when_its_lease_is_over_and_not_before(kind: str) -> None:
    world = World()
    await world.jar(kind)
    dying = Worker(
        world.store, Dying(world.store, (JAR,), TOPIC, uuid4), "worker", [Bell()], lease_seconds=LEASE_SECONDS
    )
    with pytest.raises(Died):
        await dying.step(kind)
    world.clock.forward(LEASE_SECONDS - 1)
    assert await world.worker(Bell()).step(kind) == 0
    world.clock.forward(1)
    assert await world.worker(Bell()).step(kind) == 1


async def test_an_outcome_whose_commit_was_not_heard_of_is_written_once() -> None:
    world = World()
    one = await world.jar("call")

    async def lose() -> None:
        world.faults.plan("commit", Fault.LOSE_ANSWER)

    await world.worker(Bell(during=lose)).step("call")
    assert world.types(one) == ["added", "call_begun", "call_ended"]


async def test_a_worker_that_lost_its_lease_during_the_call_writes_no_outcome() -> None:
    world = World()
    one = await world.jar("call")

    async def sleep_too_long() -> None:
        world.clock.forward(LEASE_SECONDS + 1)
        await world.store.take_due("call", 10, LEASE_SECONDS)

    await world.worker(Bell(during=sleep_too_long)).step("call")
    assert world.types(one) == ["added", "call_begun"]
    assert ("ring", "stale") in world.counted


async def test_a_wake_whose_decision_breaks_stays_and_the_others_go_on() -> None:
    world = World()
    broken, fine = await world.jar("wake"), await world.jar("wake")
    head = world.store.tables.heads[broken]
    world.store.tables.heads[broken] = replace(head, state=b"not a state")
    await world.worker().step("wake")
    assert world.types(fine) == ["added", "reminded"]
    assert [each.due.stream_id for each in world.store.tables.effects.values()] == [broken]
    assert sorted(world.counted) == [("remind", "done"), ("remind", "failed")]


async def test_what_falls_due_on_a_stream_that_is_over_is_dropped_without_being_asked() -> None:
    world = World()
    one = await world.jar("wake")
    world.engine.over = [("jar", "Jar", JAR.fold_version)]
    assert await world.worker().step("wake") == 1
    assert world.types(one) == ["added"]
    assert world.counted == [("wake", "dropped")]
    assert world.store.tables.effects == {}
