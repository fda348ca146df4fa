"""Read tables made anew beside the live one: under traffic, with readers, with a planted bug, with deaths between."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.kernel import metrics
from services.kernel import rebuild as rebuilding
from services.kernel.fold import Rows
from services.kernel.operations import Busy, NoProjection, operating
from services.kernel.progress import Progress
from services.kernel.projection_check import STORE, TOPIC, verify
from services.kernel.rebuild import NobodyFollows, Unappliable, rebuild, show
from services.kernel.store import Unavailable
from tests.support.fakes import until
from tests.support.town import CURSORS, LIFE, QUOTES, TERMS, Town, publish_strange, quiet, running, took_strange, wrong

pytestmark = pytest.mark.timeout(240)


async def is_right(place: Town, projection: Any = TERMS) -> bool:
    return (await verify(place.target(projection), (TOPIC, STORE), quiet)).is_right


async def test_a_planted_bug_is_found_and_healed_under_traffic_and_readers_notice_nothing(place: Town) -> None:
    async with place.process(wrong(TERMS)):
        await place.create(400)
        await place.publish()
        await place.caught_up(1)
    found = await verify(place.target(), (TOPIC, STORE), quiet)
    assert not found.is_right
    bad = sum(1 for each in place.quotes if each.int % 4 == 0)
    for difference in found.differences.values():
        assert (difference.changed, difference.missing, difference.added) == (bad, 0, 0)
        assert all(UUID(each).int % 4 == 0 for each in difference.examples)

    seen, phases = Seen(place), set()
    async with place.process(), place.traffic(), running(seen.run()):
        assert not (await verify(place.target(), (TOPIC,), quiet)).is_right
        made = await rebuild(place.target(), lambda progress: phases.add(progress.phase))
        assert (made.previous, made.version, made.followed) == (1, 2, True)
        assert made.difference is not None
        assert made.difference.changed == bad
        assert await place.status() == {1: "retired", 2: "live"}
        assert await is_right(place)
        later = await place.create(5)
        await until(lambda: _has(place, later))  # the lane of the new version goes on without a restart
        assert await is_right(place)
    assert {"fold", "compare", "swap"} <= phases
    assert seen.looks > 20
    await place.publish()
    async with place.process():
        await place.caught_up(2)
    rows = await place.rows()
    assert rows.keys() == set(place.quotes)
    assert UUID(int=0) not in {customer for customer, _ in rows.values()}


async def _has(place: Town, quotes: list[UUID]) -> bool:
    return set(quotes) <= (await place.rows()).keys()


class Seen:
    """A reader: what was there once is there for ever, and no read fails."""

    def __init__(self, place: Town) -> None:
        self._place = place
        self.looks = 0

    async def run(self) -> None:
        connection = await asyncpg.connect(self._place.dsn, server_settings={"search_path": "transfer"})
        look, before = await connection.prepare("SELECT quote_id FROM quote_terms"), set[UUID]()
        while True:
            now = {row[0] for row in await look.fetch()}
            assert now >= before, f"{len(before - now)} rows went away"
            before, self.looks = now, self.looks + 1
            await asyncio.sleep(0.02)


async def test_rows_that_change_and_go_are_folded_as_a_projector_folds_them(place: Town) -> None:
    async with place.process(LIFE):
        made = await place.create(200)
        await place.accept(made[::2])
        await place.publish()
        await place.caught_up(1)
        await rebuild(place.target(LIFE), quiet)
        await place.accept(made[1::4])
        await place.publish()
        await place.caught_up(2)
        assert await is_right(place, LIFE)
    rows = await place.rows()
    assert sum(1 for _, terms in rows.values() if terms.startswith(b"accepted")) == 150


@pytest.mark.parametrize("kept_max", [1, 7, 60])
async def test_a_fold_that_forgets_makes_the_same_rows_and_cursors(
    place: Town, kept_max: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await place.create(100)
    await place.publish()
    await place.accept(made[::2])
    await place.publish()
    monkeypatch.setattr("services.kernel.topic_reader.POLL_RECORDS", 11)
    monkeypatch.setattr("services.kernel.fold.WRITE_ROWS", 5)
    monkeypatch.setattr("services.kernel.fold.KEPT_MAX", kept_max)
    await rebuild(place.target(LIFE), quiet)
    assert len(await place.fetch("SELECT FROM quote_terms WHERE terms LIKE 'accepted%'")) == 50
    cursors = await place.fetch(CURSORS, "transfer.quote_terms.v2")
    heads = await place.fetch("SELECT stream_id, $1, version, hash, false FROM stream_state", QUOTES, schema="quote")
    assert sorted(map(tuple, cursors)) == sorted(map(tuple, heads))
    async with place.process(LIFE):
        await place.accept(made[1::2])
        await place.publish()
        await place.caught_up(2)
    assert len(await place.fetch("SELECT FROM quote_terms WHERE terms LIKE 'accepted%'")) == 100
    assert not await place.fetch("SELECT FROM parked_event")


async def test_what_cannot_be_applied_is_parked_as_a_live_projector_parks_it(place: Town) -> None:
    await publish_strange(place)
    async with place.process(LIFE):
        await place.caught_up(1)
    with pytest.raises(Unappliable, match="3 records"):
        await rebuild(place.target(LIFE), quiet)
    assert await place.status() == {1: "live", 2: "retired"}
    made = await rebuild(place.target(LIFE), quiet, accept_parked=True)
    took_strange(made)
    live, new = await place.kept(1), await place.kept(3)
    assert all(live)
    assert live == new


@pytest.mark.parametrize("phase", ["fold", "compare", "catch up"])
@pytest.mark.parametrize("told", [True, False])
async def test_a_death_leaves_what_is_shown_and_the_next_run_begins_anew(
    place: Town, phase: str, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.create(50)
    await place.publish()

    def dies(progress: Progress) -> None:
        if progress.phase == phase:
            raise KeyboardInterrupt

    async with place.process():
        await place.caught_up(1)
        with monkeypatch.context() as patched:
            if not told:
                patched.setattr(rebuilding, "_give_up", lambda *_: asyncio.sleep(0))  # killed: it could not say so
            if phase == "catch up":
                patched.setattr("services.kernel.operations.Operations.swap", lambda *_: asyncio.sleep(0, False))
            with pytest.raises(KeyboardInterrupt):
                await rebuild(place.target(), dies)
        assert await place.live() == 1
        assert (await place.status())[2] == ("retired" if told else {"catch up": "catching_up"}.get(phase, "building"))
        await place.create(5)
        await place.publish()
        await place.caught_up(1)
        made = await rebuild(place.target(), quiet)
        assert made.version == 3
        assert (await place.status())[2] == "retired"
        assert await is_right(place)


async def test_a_process_that_keeps_read_tables_alone_says_whether_it_follows(place: Town) -> None:
    async with place.process() as runtime:

        async def follows() -> bool:
            said = (await runtime.health().report())["dependencies"]
            return bool(said["kafka"] == "ok")

        assert not await follows()
        await until(follows)


async def test_a_version_that_has_gone_is_no_session_that_may_be_opened(place: Town) -> None:
    def lanes() -> set[str]:
        told = (sample.labels["lane"] for family in metrics.POOL_SIZE.collect() for sample in family.samples)
        return {lane for lane in told if lane.startswith("quote_terms ")}

    async def only_the_second() -> bool:
        return lanes() == {"quote_terms v2"}

    metrics.POOL_SIZE.clear()  # of processes of other tests, which were all this one
    await place.create(1)
    await place.publish()
    async with place.process():
        await place.caught_up(1)
        assert lanes() == {"quote_terms v1"}
        await rebuild(place.target(), quiet)
        await until(only_the_second)


async def test_two_at_once_exclude_each_other(place: Town) -> None:
    await place.create(10)
    await place.publish()
    async with operating(place.operations, "transfer") as first:
        await first.exclusively("quote_terms")
        with pytest.raises(Busy):
            await rebuild(place.target(), quiet)
    assert await place.status() == {1: "live"}
    await rebuild(place.target(), quiet)


async def test_the_version_before_is_kept_and_can_be_shown_again(place: Town) -> None:
    await place.create(30)
    await place.publish()
    async with place.process(wrong(TERMS)):
        await place.caught_up(1)
    async with place.process():
        await rebuild(place.target(), quiet)
        await place.create(10)
        await place.publish()
        await place.caught_up(2)
        made = await show(place.target(), 1, quiet)
        assert (made.previous, made.version, made.followed) == (2, 1, True)
        assert await place.status() == {1: "live", 2: "retired"}
        assert (await place.rows()).keys() == set(place.quotes)  # also those that came meanwhile
        assert not await is_right(place)
        await show(place.target(), 2, quiet)
        assert await is_right(place)
        with pytest.raises(NoProjection, match="there is: 1"):
            await show(place.target(), 7, quiet)


@pytest.mark.parametrize("told", [True, False])
async def test_a_version_that_was_not_made_to_its_end_is_never_shown(
    place: Town, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are there and its position is not: whoever followed it would fold everything a second time."""
    await place.create(30)
    await place.publish()

    async def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    async with place.process():
        await place.caught_up(1)
        with monkeypatch.context() as patched:
            if not told:
                patched.setattr(rebuilding, "_give_up", lambda *_: asyncio.sleep(0))
            patched.setattr(rebuilding, "_hand_over", dies)
            for _ in range(2):  # the second retires what the first has left
                with pytest.raises(KeyboardInterrupt):
                    await rebuild(place.target(), quiet)
        assert (await place.status())[2] == "retired"
        with pytest.raises(NoProjection, match="there is: none"):
            await show(place.target(), 2, quiet)
        assert await place.live() == 1
    async with operating(place.operations, "transfer") as operations:
        with pytest.raises(NoProjection, match="half way"):
            await operations.mark("quote_terms", 2, "catching_up", {})
        for service in ("transfer", "nobody"):
            with pytest.raises(NoProjection, match="not ready"):
                await operations.swap(service, "quote_terms", 2)


async def test_a_version_with_cursors_and_without_rows_is_never_shown(
    place: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever followed it would take every record for one that was taken: the end is reached, and nothing is there."""
    await place.create(30)
    await place.publish()

    async def dies(rows: Rows) -> None:
        await rows.written()
        raise Unavailable("the disk is full")

    async with place.process():
        await place.caught_up(1)
        with monkeypatch.context() as patched:
            patched.setattr(Rows, "flush", dies)
            with pytest.raises(Unavailable, match="disk"):
                await rebuild(place.target(), quiet)
        assert await place.fetch(CURSORS, "transfer.quote_terms.v2")
        with pytest.raises(NoProjection, match="there is: none"):
            await show(place.target(), 2, quiet)
    assert len(await place.rows()) == 30


async def test_positions_of_a_topic_that_was_made_anew_since_hold_nothing_up(
    place: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.create(10)
    await place.publish()
    async with place.process():
        await place.caught_up(1)
    await place.fetch(
        """INSERT INTO consumer_offset (consumer, topic, epoch, partition, next_offset, checkpoint, taken)
           SELECT consumer, topic, 0, partition, 1000, 1000, 1000 FROM consumer_offset"""
    )
    monkeypatch.setattr(rebuilding, "CATCH_UP_SECONDS", 0.5)
    made = await rebuild(place.target(), quiet)
    assert await place.live() == made.version == 2


async def test_without_a_process_it_is_shown_and_one_that_is_behind_is_not(
    place: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.create(30)
    await place.publish()
    made = await rebuild(place.target(), quiet)
    assert not made.followed
    assert (await place.rows()).keys() == set(place.quotes)
    await place.create(10)
    await place.publish()
    async with place.process():
        await place.caught_up(2)
    monkeypatch.setattr(rebuilding, "CATCH_UP_SECONDS", 0.5)
    with pytest.raises(NobodyFollows):
        await show(place.target(), 1, quiet)
    assert await place.status() == {1: "retired", 2: "live"}


async def test_versions_that_nobody_reads_go_with_the_next_rebuild(place: Town) -> None:
    await place.create(10)
    await place.publish()
    await rebuild(place.target(), quiet)
    await rebuild(place.target(), quiet)
    assert await place.status() == {1: "retired", 2: "retired", 3: "live"}
    assert await _tables(place) == [1, 2, 3]  # retired this minute: a process may still write there
    await place.fetch("UPDATE projection_registry SET changed_at = now() - interval '61 seconds'")
    await rebuild(place.target(), quiet)
    assert await _tables(place) == [3, 4]
    left = await place.fetch("SELECT DISTINCT consumer FROM stream_cursor ORDER BY 1")
    assert [row[0] for row in left] == ["transfer.quote_terms.v3", "transfer.quote_terms.v4"]


async def _tables(place: Town) -> list[int]:
    rows = await place.fetch("SELECT tablename FROM pg_tables WHERE tablename LIKE 'quote\\_terms\\_v%'")
    return sorted(int(row[0].rpartition("_v")[2]) for row in rows)


async def test_a_projection_of_nobody_is_not_found(place: Town) -> None:
    from dataclasses import replace

    with pytest.raises(NoProjection):
        await rebuild(place.target(replace(TERMS, name=f"p{uuid4().hex}")), quiet)
