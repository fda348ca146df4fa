"""The engine on PostgreSQL: processes that race, batches that cross, content that is refused, states that are old."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.kernel.decider import Claim, Outcome
from services.kernel.engine import Engine, Intake, Units
from services.kernel.group_commit import GroupCommit
from services.kernel.store import ContentRefused, Unavailable, Wanted, Write
from tests.integration.kernel.backends import Backend, Postgres
from tests.support.builders import JAR, TOPIC, Add, AddOnce, Explode, Jar, Name, Refuse, ask, evolve, keyed, name

RACER = Path(__file__).with_name("racer.py")
ROOT = Path(__file__).parents[3]


async def race(postgres: Postgres, mode: str, count: int, streams: list[UUID], processes: int = 2) -> list[list[Any]]:
    """What each process was answered; all of them begin at the same moment."""
    argv = [sys.executable, str(RACER), postgres.dsn, postgres.schema, mode, str(count), *map(str, streams)]
    async with AsyncExitStack() as ended:
        running = [await _start(argv) for _ in range(processes)]
        for each in running:
            ended.callback(_kill, each)
        for each in running:
            assert each.stdout is not None
            assert await asyncio.wait_for(each.stdout.readline(), 30) == b"ready\n"
        outputs = await asyncio.wait_for(asyncio.gather(*(each.communicate(b"go\n") for each in running)), 90)
        assert [each.returncode for each in running] == [0] * processes
    return [json.loads(out) for out, _ in outputs]


async def _start(argv: list[str]) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()


async def test_two_processes_on_one_stream_leave_no_gap_and_lose_no_answer(postgres: Postgres) -> None:
    one = uuid4()
    first, second = await race(postgres, "add", 400, [one])
    assert await postgres.events(one) == list(range(1, 801))
    assert sorted(first + second) == list(range(1, 801)), "every acknowledged ask has a version of its own"


async def test_a_name_that_two_processes_want_is_given_once(postgres: Postgres) -> None:
    first, second = await race(postgres, "name", 100, [])
    assert [a + b for a, b in zip(first, second, strict=True)] == [1] * 100
    assert await postgres.count("claim") == await postgres.count("event") == 100


async def test_crossing_batches_do_not_deadlock(postgres: Postgres) -> None:
    streams = [uuid4() for _ in range(6)]
    before = await _deadlocks(postgres)
    await race(postgres, "cross", 200, streams)
    assert [await postgres.events(each) for each in streams] == [list(range(1, 401))] * 6
    assert await _deadlocks(postgres) == before


async def _deadlocks(postgres: Postgres) -> int:
    found = await postgres.fetch("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return int(found[0][0])


async def test_one_key_in_many_requests_of_two_processes_has_one_effect_and_one_answer(postgres: Postgres) -> None:
    one = uuid4()
    answers = await race(postgres, "key", 32, [one])
    assert await postgres.events(one) == [1]
    event_id = str((await postgres.fetch("SELECT event_id FROM event"))[0][0])
    assert [*answers[0], *answers[1]] == [event_id] * 64


async def test_a_key_used_for_something_else_is_refused_in_its_batch_and_across(backend: Backend) -> None:
    engine, one = backend.engine(), uuid4()
    for _ in range(2):
        same, other = await engine.run(Units([keyed(one, Add(1), "k"), keyed(one, Add(2), "k", fingerprint="another")]))
        assert same.answer is not None
        assert other.refusal is not None
        assert other.refusal.code == "IDEMPOTENCY_CONFLICT"
    assert await backend.events(one) == [1]


async def test_a_refusal_and_an_exception_touch_nobody_else(backend: Backend) -> None:
    engine, one, two = backend.engine(), uuid4(), uuid4()
    units = [ask(one, Add(1)), ask(one, Refuse()), ask(two, Explode()), ask(one, Add(2)), ask(two, Add(3))]
    outcomes = await engine.run(Units(units))
    assert [each.refusal is not None for each in outcomes] == [False, True, False, False, False]
    assert [type(each.error).__name__ for each in outcomes if each.error] == ["ZeroDivisionError"]
    assert (await backend.events(one), await backend.events(two)) == ([1, 2], [1])
    assert outcomes[3].heads[0].state == Jar(numbers=(1, 2))


@pytest.mark.parametrize("bad", [Refuse(), Explode()], ids=["refused", "broken"])
async def test_a_unit_is_done_together_or_not_at_all(backend: Backend, bad: object) -> None:
    engine, one, two = backend.engine(), uuid4(), uuid4()
    claimed = ask(one, Name("blue"), Claim("name", "blue"))
    torn = replace(claimed, asks=(*claimed.asks, *ask(two, bad).asks))
    after = name(two, "blue")
    first, second = await engine.run(Units([torn, after]))
    assert first.events == ()
    assert second.refusal is None, "the name that the torn unit did not take is free"
    assert (await backend.events(one), await backend.events(two)) == ([], [1])


async def test_a_name_wanted_twice_in_one_batch_is_given_once(backend: Backend) -> None:
    engine = backend.engine()
    outcomes = await engine.run(Units([name(uuid4(), "blue"), name(uuid4(), "blue"), name(uuid4(), "red")]))
    assert [each.refusal is None for each in outcomes] == [True, False, True]
    assert await backend.count("event") == 2


async def test_two_lanes_that_want_the_same_new_stream_and_name_agree(backend: Backend) -> None:
    first, second, one = backend.engine(), backend.engine(), uuid4()
    rounds = await asyncio.gather(*(engine.run(Units([name(one, "blue")])) for engine in (first, second) * 4))
    assert sum(outcome.refusal is None for outcomes in rounds for outcome in outcomes) == 1
    assert await backend.events(one) == [1]


async def test_content_that_the_database_refuses_is_halved_down_to_its_unit(backend: Backend) -> None:
    lane = GroupCommit(backend.engine())
    run = asyncio.create_task(lane.run())
    streams = [uuid4() for _ in range(33)]
    bad = {7, 20}
    units = [name(each, "nul\x00" + str(n)) if n in bad else ask(each, AddOnce(n)) for n, each in enumerate(streams)]
    outcomes = await asyncio.wait_for(lane.submit(units), 30)
    run.cancel()
    assert [n for n, each in enumerate(outcomes) if isinstance(each.error, ContentRefused)] == sorted(bad)
    assert [len(await backend.events(each)) for each in streams] == [0 if n in bad else 1 for n in range(33)]


async def test_a_client_that_left_does_not_end_the_lane_of_the_others(backend: Backend) -> None:
    engine = backend.engine()
    lane = GroupCommit(engine)
    gone = asyncio.create_task(lane.ask(name(uuid4(), "nul\x00")))
    original = engine.run

    async def run_when_left(intake: Intake) -> list[Outcome]:
        gone.cancel()
        await asyncio.wait({gone})
        return await original(intake)

    engine.run = run_when_left  # type: ignore[method-assign]
    run = asyncio.create_task(lane.run())
    outcome = await asyncio.wait_for(lane.ask(ask(uuid4(), Add(1))), 10)
    assert outcome.error is None
    assert not run.done()
    run.cancel()


async def test_states_of_an_older_fold_are_folded_anew_from_their_events(backend: Backend) -> None:
    one, two = uuid4(), uuid4()
    await backend.engine().run(Units([ask(one, Add(1)), ask(one, Add(2)), ask(two, Add(9))]))
    double = replace(JAR, fold_version=2, evolve=lambda jar, event: _doubled(evolve(jar, event)))
    changed = Engine(backend.lane(), (double,), TOPIC, uuid4)
    outcome = (await changed.run(Units([ask(one, Add(3))])))[0]
    assert outcome.heads[0].state.numbers == (8, 8, 6), "each event folded by the new evolve, not the stored state"
    assert outcome.heads[0].version == 3
    heads = await changed.heads([one, two])
    assert heads[one][0].fold == 2
    assert heads[two][0].fold == 1


async def test_a_unit_without_asks_looks_its_key_up_and_stores_nothing(backend: Backend) -> None:
    engine, unit = backend.engine(), keyed(uuid4(), Add(1), "k")
    looked_up = replace(unit, asks=(), answer=None)
    (unknown,) = await engine.run(Units([looked_up]))
    (first,) = await engine.run(Units([unit]))
    (known,) = await engine.run(Units([looked_up]))
    assert (unknown.replayed, unknown.answer, unknown.refusal) == (False, None, None)
    assert (known.replayed, known.answer) == (True, first.answer)
    assert await backend.count("request_key") == 1


async def test_a_read_of_an_older_fold_is_folded_anew_and_never_decoded(backend: Backend) -> None:
    """Its bytes, or even its stage, may be of a class that is gone."""
    one = uuid4()
    await backend.engine().run(Units([ask(one, Add(1)), ask(one, Add(2))]))
    renamed = replace(JAR, fold_version=2, stages=(Crate,), evolve=_packed)
    head, state = (await Engine(backend.lane(), (renamed,), TOPIC, uuid4).heads([one]))[one]
    assert (head.version, state) == (2, Crate((1, 2)))


@dataclass(frozen=True, slots=True)
class Crate:
    """What a later release makes of a jar."""

    numbers: tuple[int, ...] = ()


def _packed(crate: Crate | None, event: Any) -> Crate:
    return Crate((*(crate.numbers if crate else ()), event.number))


def _doubled(jar: Jar) -> Jar:
    return replace(jar, numbers=tuple(2 * number for number in jar.numbers))


async def test_a_stream_that_cannot_be_folded_anew_fails_alone(backend: Backend) -> None:
    broken, fine = uuid4(), uuid4()
    await backend.engine().run(Units([ask(broken, Add(13)), ask(fine, Add(1))]))

    def unlucky(jar: Any, event: Any) -> Any:
        assert event.number != 13, "a planted bug of evolve"
        return evolve(jar, event)

    changed = Engine(backend.lane(), (replace(JAR, fold_version=2, evolve=unlucky),), TOPIC, uuid4)
    bad, good = await changed.run(Units([ask(broken, Add(1)), ask(fine, Add(2))]))
    assert isinstance(bad.error, AssertionError)
    assert good.heads[0].version == 2


async def test_a_transaction_that_slept_too_long_is_away_and_not_bad_content(postgres: Postgres) -> None:
    store = postgres.lane(idle_in_transaction_session_timeout="100")
    with pytest.raises(Unavailable):  # noqa: PT012
        async with store.transaction() as transaction:
            await transaction.read(Wanted())
            await asyncio.sleep(0.4)  # the fault itself: a process that was stopped
            await transaction.write(Write(TOPIC, {"claims": [("name", "blue", "acme", uuid4(), "")]}))


@pytest.mark.parametrize(
    "settings",
    [{"default_transaction_read_only": "on"}, {"search_path": "nowhere"}],
    ids=["a standby", "no tables"],
)
async def test_a_wrong_server_is_away_and_not_bad_content(postgres: Postgres, settings: dict[str, str]) -> None:
    """Else every record in hand would be parked for it."""
    store = postgres.lane(**settings)
    with pytest.raises(Unavailable):
        async with store.transaction() as transaction:
            await transaction.write(Write(TOPIC, {"claims": [("name", "blue", "acme", uuid4(), "")]}))
