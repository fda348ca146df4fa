"""The answer of a COMMIT is lost: before it took effect, after, and while nobody knows."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from random import Random
from uuid import UUID, uuid4

import pytest

from services.kernel.engine import Units
from services.kernel.group_commit import GroupCommit
from tests.integration.kernel.backends import Postgres
from tests.support.builders import Add, ask, keyed, name
from tests.support.fakes import CommitProxy, Cut, until

WAITING = """SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock' AND state = 'active'"""


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER])
@pytest.mark.parametrize("old", [True, False], ids=["old stream", "new stream"])
async def test_an_ask_without_a_key_is_done_once(postgres: Postgres, cut: Cut, old: bool) -> None:
    proxy, one = CommitProxy(postgres.dsn), uuid4()
    async with proxy.open() as dsn:
        engine = postgres.engine(dsn)
        if old:
            await engine.run(Units([ask(one, Add(1))]))
        proxy.plan = [cut, cut, cut]
        outcomes = await engine.run(Units([ask(one, Add(2)), ask(uuid4(), Add(3))]))
    heads = await postgres.lane().heads([one])
    assert heads[one].version == outcomes[0].heads[0].version == 1 + old
    assert await postgres.events(one) == list(range(1, 2 + old))
    assert proxy.cuts == 3


async def test_the_answers_are_those_of_the_attempt_that_was_committed(postgres: Postgres) -> None:
    proxy, one = CommitProxy(postgres.dsn), uuid4()
    async with proxy.open() as dsn:
        engine = postgres.engine(dsn)
        proxy.plan = [Cut.BEFORE, Cut.AFTER]
        outcome = (await engine.run(Units([ask(one, Add(2))])))[0]
    stored = await postgres.fetch("SELECT event_id FROM event")
    assert [outcome.events[0].event_id] == [row[0] for row in stored]


@pytest.mark.parametrize("old", [True, False], ids=["old stream", "new stream"])
async def test_a_commit_that_takes_effect_after_its_client_gave_up_is_still_found(
    postgres: Postgres, old: bool
) -> None:
    """The retry waits behind the first attempt, for its row or for its unique key; a conflict on the way is no news."""
    proxy, one = CommitProxy(postgres.dsn), uuid4()
    async with proxy.open() as dsn:
        engine = postgres.engine(dsn)
        if old:
            await engine.run(Units([ask(one, Add(1))]))
        proxy.plan = [Cut.LATE]
        running = asyncio.create_task(engine.run(Units([ask(one, Add(2))])))
        await until(lambda: _somebody_waits(postgres))
        proxy.release.set()
        outcome = (await running)[0]
    assert await postgres.events(one) == list(range(1, 2 + old))
    assert outcome.heads[0].version == 1 + old


async def test_a_stored_refusal_and_a_taken_name_survive_it(postgres: Postgres) -> None:
    proxy, one = CommitProxy(postgres.dsn), uuid4()
    async with proxy.open() as dsn:
        engine = postgres.engine(dsn)
        proxy.plan = [Cut.AFTER]
        outcomes = await engine.run(Units([name(one, "blue"), name(uuid4(), "blue"), keyed(one, Add(1), "k")]))
    assert [bool(outcome.refusal) for outcome in outcomes] == [False, True, False]
    assert outcomes[2].answer is not None
    assert await postgres.events(one) == [1, 2]


async def test_under_load_nothing_is_lost_and_nothing_doubled(postgres: Postgres) -> None:
    proxy, streams = CommitProxy(postgres.dsn), [uuid4() for _ in range(8)]
    async with proxy.open() as dsn:
        lane = GroupCommit(postgres.engine(dsn))
        run = asyncio.create_task(lane.run())

        async def client(stream_id: UUID) -> None:
            for number in range(20):
                proxy.plan = [Cut.AFTER] if number % 3 else [Cut.BEFORE]
                outcome = await lane.ask(ask(stream_id, Add(number)))
                assert outcome.heads[0].version == number + 1

        await asyncio.gather(*map(client, streams))
        run.cancel()
    assert [await postgres.events(each) for each in streams] == [list(range(1, 21))] * 8
    assert proxy.cuts >= 20


async def test_lanes_that_race_for_the_same_keys_through_lost_answers_agree(postgres: Postgres) -> None:
    random, streams = Random(5), [uuid4() for _ in range(3)]
    answers: dict[str, set[bytes | None]] = defaultdict(set)
    winners: Counter[str] = Counter()

    async def lane() -> None:
        proxy = CommitProxy(postgres.dsn)
        async with proxy.open() as dsn:
            engine = postgres.engine(dsn)
            for number in range(40):
                proxy.plan = [random.choice([Cut.BEFORE, Cut.AFTER])] if random.random() < 0.25 else []
                keys = [f"key {number}-{each}" for each in range(random.randint(1, 4))]
                asked = [keyed(streams[(number + n) % 3], Add(number), key) for n, key in enumerate(keys)]
                *outcomes, won = await engine.run(Units([*asked, name(uuid4(), f"name {number}")]))
                winners[f"name {number}"] += bool(won.events)
                for key, outcome in zip(keys, outcomes, strict=True):
                    answers[key].add(outcome.answer and outcome.answer[1])

    await asyncio.gather(*(lane() for _ in range(4)))
    assert set(map(len, answers.values())) == {1}, "one answer to everybody who asked under a key"
    assert set(winners.values()) == {1}, "each name has one owner, who was told so"
    versions = [await postgres.events(each) for each in streams]
    assert [sorted(each) for each in versions] == [list(range(1, len(each) + 1)) for each in versions]
    assert sum(map(len, versions)) == len(answers), "one event under each key"


async def _somebody_waits(postgres: Postgres) -> bool:
    return bool((await postgres.fetch(WAITING))[0][0])
