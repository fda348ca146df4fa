"""Whole runs on PostgreSQL: what is not judged, what a run does when something is away, who may run at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from services.kernel import metrics
from services.reconciliation.domain.runs import RunUnderWay
from services.reconciliation.handlers.comparison import TOPICS
from services.reconciliation.handlers.conductor import INTERRUPTED
from services.reconciliation.handlers.schedule import Schedule
from services.reconciliation.projections import found
from tests.integration.reconciliation.books import (
    META,
    TENANT,
    World,
    booked,
    issues,
    ran,
    run,
    vanished_payment,
    wish,
)
from tests.support.fakes import until


async def test_another_run_opens_nothing_twice_and_a_healed_difference_is_cleared_and_may_come_back(
    world: World,
) -> None:
    transfers = await world.paid_out(3)
    kept = dict(world.book.paid)
    await vanished_payment(world, transfers[1])
    assert [(await ran(world))[name] for name in ("issues_opened", "issues_open")] == [1, 1]
    again = await ran(world)
    assert (again["issues_opened"], again["issues_open"], again["issues_cleared"]) == (0, 1, 0)
    world.book.paid = kept
    healed = await ran(world)
    assert (healed["issues_opened"], healed["issues_open"], healed["issues_cleared"]) == (0, 0, 1)
    await vanished_payment(world, transfers[1])
    assert (await ran(world))["issues_opened"] == 1
    (row,) = await world.sql("SELECT cleared_at, cleared_run_id FROM reconciliation_issue")
    assert tuple(row) == (None, None)
    kinds = await world.sql(
        "SELECT event_type FROM event WHERE event_type LIKE '%issue%' ORDER BY global_seq DESC LIMIT 3"
    )
    assert [row[0].split(".")[2] for row in kinds] == ["issue_opened", "issue_cleared", "issue_opened"]


async def test_what_moved_shortly_before_the_watermark_is_not_judged_and_its_issues_stay(world: World) -> None:
    (transfer,) = await world.paid_out(1)
    await vanished_payment(world, transfer)
    assert (await ran(world))["issues_open"] == 1
    await world.sql("UPDATE payouts_v1 SET moved_at = now() - interval '20 seconds'")
    await world.sql("UPDATE transfers_v1 SET state = 'PAYOUT_INITIATED'")
    row = await ran(world)
    assert (row["transfers"], row["not_judged"], row["issues_cleared"], row["issues_open"]) == (0, 1, 0, 1)


async def test_a_silent_topic_holds_the_watermark_back(world: World) -> None:
    """The ledger has not spoken for a minute while the others have: what it should have said is not missed yet."""
    await world.paid_out(1, ago=timedelta(seconds=80))
    fresh = await world.paid_out(1, first=2, ago=timedelta(seconds=40))
    await world.sql("DELETE FROM bookings_v1 WHERE booking_id = $1", fresh[0])
    row = await ran(world)
    assert (row["not_judged"], await issues(world)) == (2, [])
    assert world.now - row["watermark"] > timedelta(seconds=70)
    await world.sql("UPDATE bookings_v1 SET moved_at = now() - interval '45 seconds'")
    row = await ran(world)
    assert row["issues_by_code"].keys() >= {"LEDGER_SETTLEMENT_DIFFERS"}, "now that it speaks, it is missed"


async def test_a_reader_that_is_behind_fails_the_run_and_opens_nothing(world: World) -> None:
    transfers = await world.paid_out(2)
    await booked(world, transfers[0], lambda lines: lines.clear())
    world.ends.at = {(TOPICS[3], 0): 5, (TOPICS[0], 1): 3}
    await world.sql(
        "INSERT INTO consumer_offset VALUES ('reconciliation.bookings.v1', $1, 1, 0, 4), "
        "('reconciliation.transfers.v1', $2, 1, 1, 3)", TOPICS[3], TOPICS[0],
    )  # fmt: skip
    row = await ran(world)
    assert (row["status"], row["failure"]) == ("failed", f"ReadersBehind: {TOPICS[3]}")
    assert await issues(world) == []


async def test_a_reader_that_comes_up_meanwhile_is_waited_for(world: World) -> None:
    await world.paid_out(1)
    world.ends.at = {(TOPICS[3], 0): 5}
    await world.sql("INSERT INTO consumer_offset VALUES ('reconciliation.bookings.v1', $1, 1, 0, 4)", TOPICS[3])

    async def arrive() -> None:
        await until(lambda: world.sql("SELECT 1 FROM reconciliation_run WHERE status = 'running'"))
        await world.sql("UPDATE consumer_offset SET next_offset = 5")

    row, _ = await asyncio.gather(ran(world), arrive())
    assert row["status"] == "completed"


async def test_a_book_that_cannot_be_read_fails_the_run_and_is_no_difference(world: World) -> None:
    await world.paid_out(2)
    failed = metrics.WORKER_RUNS.labels("reconciliation", "failed")
    before = failed._value.get()
    world.book.away = True
    row = await ran(world)
    assert (row["status"], row["failure"]) == ("failed", "BookUnavailable: HTTP 503")
    assert await issues(world) == []
    assert failed._value.get() == before + 1
    world.book.away = False
    assert (await ran(world))["status"] == "completed"


async def test_two_runs_at_once_are_one_run_and_a_refusal(world: World) -> None:
    await world.paid_out(1)
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        reached.set()
        await go_on.wait()

    world.book.hold = hold
    async with world.conductor() as (one, _, reads), world.conductor() as (other, _, _):
        first = wish()
        _, task = await one.start(first, META)
        await reached.wait()
        for conductor in (one, other):
            with pytest.raises(RunUnderWay):
                await conductor.start(wish(), META)
        go_on.set()
        await task
        row = await found.run(reads, first.run_id)
        assert row is not None
        assert row["status"] == "completed"
        await run(other)
    assert len(await world.sql("SELECT 1 FROM reconciliation_run")) == 2


async def test_a_run_whose_session_is_lost_fails_and_the_next_one_goes_on(world: World) -> None:
    await world.paid_out(1)

    async def cut() -> None:
        world.book.hold = None
        await world.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test run' "
            "AND datname = current_database()"
        )

    world.book.hold = cut
    assert (await ran(world))["status"] == "failed"
    assert (await ran(world))["status"] == "completed"


async def test_a_run_whose_process_died_is_called_interrupted_by_the_next(world: World) -> None:
    await world.paid_out(1)
    hang = asyncio.Event()
    world.book.hold = hang.wait
    async with world.conductor() as (conductor, _, _):
        died = wish()
        _, task = await conductor.start(died, META)
        await until(lambda: world.sql("SELECT 1 FROM reconciliation_run WHERE status = 'running'"))
        conductor._commands = None  # type: ignore[assignment]  # it says nothing any more
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    world.book.hold = None
    row = await ran(world)
    assert row["status"] == "completed"
    async with world.conductor() as (_, _, reads):
        before = await found.run(reads, died.run_id)
    assert before is not None
    assert (before["status"], before["failure"]) == ("failed", INTERRUPTED)


async def test_more_transfers_than_a_page_has_are_all_judged(world: World) -> None:
    transfers = await world.paid_out(1_203)
    await vanished_payment(world, transfers[1_202])
    await vanished_payment(world, transfers[0])
    row = await ran(world)
    assert (row["transfers"], row["issues_opened"]) == (1_203, 2)
    assert {each[1] for each in await issues(world)} == {transfers[0], transfers[1_202]}


async def test_the_schedule_runs_when_it_is_time_and_makes_up_for_a_run_that_died(world: World) -> None:
    await world.paid_out(1)
    async with world.conductor() as (conductor, _, reads):
        now = [world.now]

        def schedule() -> Schedule:
            return Schedule(conductor, reads, 300, TENANT, "service:reconciliation", uuid4, now=lambda: now[0])

        young = schedule()
        assert await young.step() > 299, "a young system is compared after an interval"
        now[0] += timedelta(seconds=301)
        await young.step()
        (row,) = await world.sql("SELECT trigger, status, reason, requested_by FROM reconciliation_run")
        assert tuple(row) == ("schedule", "completed", "scheduled comparison", "service:reconciliation")
        now[0] = world.now
        assert await schedule().step() > 290, "another process knows of it"
        await world.sql("UPDATE reconciliation_run SET status = 'running'")
        await world.sql("DELETE FROM stream_state WHERE category = 'run'")
        assert await schedule()._left() == 0


async def test_each_event_says_who_and_why(world: World) -> None:
    (transfer,) = await world.paid_out(1)
    await vanished_payment(world, transfer)
    row = await ran(world)
    metas = await world.sql(
        "SELECT event_type, m ->> 'actor', m ->> 'reason', m ->> 'correlation_id' "
        "FROM event, LATERAL (SELECT convert_from(meta, 'UTF8')::jsonb AS m) AS read "
        "WHERE recorded_at >= $1 ORDER BY global_seq", row["started_at"] - timedelta(seconds=1),
    )  # fmt: skip
    metas = metas[-3:]
    assert [(kind.split(".")[2], actor, reason) for kind, actor, reason, _ in metas] == [
        ("run_started", "olga", "daily reconciliation"),
        ("issue_opened", "service:reconciliation", "daily reconciliation"),
        ("run_completed", "olga", "daily reconciliation"),
    ]
    assert metas[1][3] == str(transfer)


async def test_the_on_call_sees_the_issues(world: World) -> None:
    (transfer,) = await world.paid_out(1)
    await vanished_payment(world, transfer)
    row = await ran(world)
    (seen,) = await world.sql("SELECT run_id, transfer_id, code, details, state FROM app.reconciliation_issue")
    (may,) = await world.sql("SELECT has_table_privilege('corridor_oncall', 'app.reconciliation_issue', 'SELECT')")
    assert may[0]
    assert (seen[0], seen[1], seen[2], seen[4]) == (row["run_id"], transfer, "PROVIDER_MISSING", "open")
    assert "CONFIRMED" in seen[3]
