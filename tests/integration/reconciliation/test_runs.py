"""Whole runs on PostgreSQL: what agrees, one planted difference at a time, what is not judged, who may run at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts.deposit.v1 import DepositConfirmed, DepositObserved
from scripts.contracts.golden import BY_CLASS
from services.kernel import metrics
from services.kernel.decider import Meta
from services.reconciliation.domain.codes import Code
from services.reconciliation.domain.runs import RunUnderWay, StartRun
from services.reconciliation.handlers.comparison import TOPICS
from services.reconciliation.handlers.conductor import INTERRUPTED, Conductor
from services.reconciliation.handlers.schedule import Schedule
from services.reconciliation.ports import Paid
from services.reconciliation.projections import found
from tests.integration.reconciliation.books import TENANT, World, entries, story
from tests.support.fakes import until

META = Meta(TENANT, "olga", UUID(int=9), None, "daily reconciliation")
Plant = Callable[[World, UUID], Awaitable[None]]


def wish() -> StartRun:
    return StartRun(run_id=uuid4(), trigger="request", requested_by="olga", reason="daily reconciliation")


async def run(conductor: Conductor) -> UUID:
    """Begin one and wait for its end."""
    asked = wish()
    _, task = await conductor.start(asked, META)
    await task
    return asked.run_id


async def ran(world: World) -> Any:
    """A run of a process of its own."""
    async with world.conductor() as (conductor, _, reads):
        row = await found.run(reads, await run(conductor))
        assert row is not None
        return row


async def issues(world: World) -> list[tuple[Any, ...]]:
    rows = await world.sql(
        "SELECT code, transfer_id, expected_minor, actual_minor FROM reconciliation_issue WHERE cleared_at IS NULL "
        "ORDER BY seq"
    )
    return [tuple(row) for row in rows]


def total(row: Any, name: str) -> list[tuple[str, int, int]]:
    return [(t["currency"], t["expected_minor"], t["actual_minor"]) for t in row["totals"] if t["name"] == name]


async def test_books_that_agree_are_judged_and_no_issue_is_opened(world: World) -> None:
    world.book.page_entries = 7
    await world.paid_out(20)
    row = await ran(world)
    assert (row["status"], row["transfers"], row["not_judged"]) == ("completed", 20, 0), row
    assert (row["issues_opened"], row["issues_open"], row["issues_by_code"]) == (0, 0, {})
    assert await issues(world) == []
    assert total(row, "deposits") == total(row, "funding") == [("GBP", 20 * 100_00, 20 * 100_00)]
    assert total(row, "fees") == [("GBP", 20 * 2_50, 20 * 2_50)]
    assert total(row, "payouts") == total(row, "settlements") == [("ETB", 20 * 19_999_53, 20 * 19_999_53)]
    assert total(row, "trial_balance") == [("ETB", 0, 0), ("GBP", 0, 0)]


async def booked(world: World, transfer: UUID, change: Callable[[dict[str, Any]], object]) -> None:
    row = (await world.sql("SELECT booked FROM bookings_v1 WHERE booking_id = $1", transfer))[0]
    lines = json.loads(row[0])
    change(lines)
    await world.sql("UPDATE bookings_v1 SET booked = $2 WHERE booking_id = $1", transfer, json.dumps(lines).encode())


async def no_settlement(world: World, transfer: UUID) -> None:
    await booked(world, transfer, lambda lines: lines.pop("payout.confirmed"))


async def a_line_more(world: World, transfer: UUID) -> None:
    await booked(world, transfer, lambda lines: lines["deposit.observed"].update({"suspense:deposits:GBP": -1}))


async def another_fee(world: World, transfer: UUID) -> None:
    def change(lines: dict[str, Any]) -> None:
        lines["transfer.payout_initiated"]["revenue:fees:GBP"] += 50
        lines["transfer.payout_initiated"]["fx_position:GBP"] -= 50

    await booked(world, transfer, change)


async def no_bookings(world: World, transfer: UUID) -> None:
    """All but the last entry, so that one issue is left to see."""
    await booked(world, transfer, lambda lines: lines.pop("transfer.funding_confirmed"))


async def forgotten_transfer(world: World, transfer: UUID) -> None:
    await world.sql("DELETE FROM transfers_v1 WHERE transfer_id = $1", transfer)


async def more_observed(world: World, transfer: UUID) -> None:
    await world.sql("UPDATE deposits_v1 SET confirmed_minor = confirmed_minor + 1 WHERE transfer_id = $1", transfer)


async def stuck_transfer(world: World, transfer: UUID) -> None:
    await world.sql("UPDATE transfers_v1 SET state = 'PAYOUT_INITIATED' WHERE transfer_id = $1", transfer)


async def other_promise(world: World, transfer: UUID) -> None:
    await world.sql("UPDATE payouts_v1 SET amount_minor = 7, confirmed_minor = 7 WHERE transfer_id = $1", transfer)
    payment = payment_of(world, transfer)
    world.book.paid[payment.payment_id] = replace(payment, amount_minor=7)
    await booked(world, transfer, lambda lines: lines["payout.confirmed"].update(
        {"payout_clearing:ETB": 7, "partner_float:sandbox-bank:ETB": -7}
    ))  # fmt: skip


async def no_payout(world: World, transfer: UUID) -> None:
    await world.sql("DELETE FROM payouts_v1 WHERE transfer_id = $1", transfer)
    await world.sql(
        "UPDATE transfers_v1 SET state = 'FUNDING_CONFIRMED', payout_id = NULL WHERE transfer_id = $1", transfer
    )
    await booked(world, transfer, lambda lines: [lines.pop("payout.confirmed"), lines.pop("transfer.payout_initiated")])
    world.book.paid.pop(payment_of(world, transfer).payment_id)


def payment_of(world: World, transfer: UUID) -> Paid:
    return next(each for each in world.book.paid.values() if each.transfer_id == transfer)


async def vanished_payment(world: World, transfer: UUID) -> None:
    world.book.paid.pop(payment_of(world, transfer).payment_id)


async def other_payment(world: World, transfer: UUID) -> None:
    payment = payment_of(world, transfer)
    world.book.paid[payment.payment_id] = replace(payment, amount_minor=payment.amount_minor + 1)


async def rejected_payment(world: World, transfer: UUID) -> None:
    payment = payment_of(world, transfer)
    world.book.paid[payment.payment_id] = replace(payment, status="RJCT")


async def second_payment(world: World, transfer: UUID) -> None:
    payment = payment_of(world, transfer)
    world.book.paid["again"] = replace(payment, payment_id=str(uuid4()), seq=10_000)


async def payment_of_nobody(world: World, transfer: UUID) -> None:
    payment = payment_of(world, transfer)
    world.book.paid["stray"] = replace(payment, payment_id="stray", seq=10_001, transfer_id=None)


async def lost_report(world: World, transfer: UUID) -> None:
    route = (await world.sql("SELECT route_id FROM transfers_v1 WHERE transfer_id = $1", transfer))[0][0]
    first = next(each for each in world.book.collected.values() if each.route_id == route)
    world.book.collected["lost"] = replace(first, reference="LOST", seq=10_002)


async def forged_report(world: World, transfer: UUID) -> None:
    route = (await world.sql("SELECT route_id FROM transfers_v1 WHERE transfer_id = $1", transfer))[0][0]
    for name in [name for name, each in world.book.collected.items() if each.route_id == route]:
        world.book.collected.pop(name)


async def parked_reader(world: World, _transfer: UUID) -> None:
    await world.sql(
        "INSERT INTO stream_cursor VALUES ($1, 'reconciliation.payouts.v1', $2, 3, ''::bytea, true)", uuid4(), TOPICS[2]
    )


PLANTED: dict[Code, tuple[Plant, int | None, int | None]] = {
    Code.LEDGER_SETTLEMENT_DIFFERS: (no_settlement, 19_999_53, 0),
    Code.LEDGER_UNBALANCED: (a_line_more, 0, 99_99),
    Code.LEDGER_FEES_DIFFER: (another_fee, 2_00, 1_50),
    Code.LEDGER_FUNDING_DIFFERS: (no_bookings, 100_00, 0),
    Code.TRANSFER_UNKNOWN: (forgotten_transfer, None, None),
    Code.FUNDING_DIFFERS: (more_observed, 100_01, 100_00),
    Code.PAYOUT_STATE_DIFFERS: (stuck_transfer, None, None),
    Code.PAYOUT_AMOUNT_DIFFERS: (other_promise, 19_999_53, 7),
    Code.PAYOUT_MISSING: (no_payout, 19_999_53, 0),
    Code.PROVIDER_MISSING: (vanished_payment, 19_999_53, 0),
    Code.PROVIDER_AMOUNT_DIFFERS: (other_payment, 19_999_53, 19_999_54),
    Code.PROVIDER_STATE_DIFFERS: (rejected_payment, None, None),
    Code.PROVIDER_PAID_TWICE: (second_payment, 19_999_53, 2 * 19_999_53),
    Code.PROVIDER_UNKNOWN_PAYMENT: (payment_of_nobody, 0, 19_999_53),
    Code.COLLECTED_NOT_OBSERVED: (lost_report, 200_00, 100_00),
    Code.OBSERVED_NOT_COLLECTED: (forged_report, 0, 100_00),
    Code.READER_PARKED: (parked_reader, None, None),
}
OF_NOBODY = {Code.PROVIDER_UNKNOWN_PAYMENT, Code.READER_PARKED}


@pytest.mark.parametrize("code", PLANTED)
async def test_a_planted_difference_is_that_one_issue_and_no_other(world: World, code: Code) -> None:
    transfers = await world.paid_out(5)
    plant, expected, actual = PLANTED[code]
    assert (await ran(world))["issues_open"] == 0
    await plant(world, transfers[2])
    row = await ran(world)
    who = None if code in OF_NOBODY else transfers[2]
    assert await issues(world) == [(code.value, who, expected, actual)]
    assert (row["status"], row["issues_opened"], row["issues_by_code"]) == ("completed", 1, {code.value: 1})


async def observed_of_nobody(world: World, minor: int, *, posted: bool = True) -> None:
    event = replace(
        BY_CLASS[DepositObserved], route_id=uuid4(), transfer_id=None, partner="elsewhere",
        amount=replace(BY_CLASS[DepositObserved].amount, minor=minor), observed_at=world.now - timedelta(hours=1),
    )  # fmt: skip
    await world.say(event, *(entries([event]) if posted else ()))


async def test_money_for_nobody_is_compared_by_its_sum(world: World) -> None:
    await observed_of_nobody(world, 10_00)
    await observed_of_nobody(world, 5_00)
    assert (await ran(world))["issues_open"] == 0
    await observed_of_nobody(world, 3_00, posted=False)
    await ran(world)
    assert await issues(world) == [("UNATTRIBUTED_DIFFERS", None, 18_00, 15_00)]


async def test_an_entry_of_no_transfer_that_nothing_explains_is_found(world: World) -> None:
    events = story(uuid4(), 1, world.now, ago=timedelta(hours=1))
    await world.say(*(replace(each, transfer_id=None, entry_id=uuid4()) for each in entries(events)[-1:]))
    await ran(world)
    assert await issues(world) == [("UNATTRIBUTED_DIFFERS", None, 0, 19_999_53)]


@pytest.mark.parametrize("page_entries", [2, 100])
async def test_what_a_partner_has_booked_twice_under_one_id_is_there_twice(world: World, page_entries: int) -> None:
    world.book.page_entries = page_entries
    transfers = await world.paid_out(5)
    world.book.paid["again"] = replace(payment_of(world, transfers[2]), seq=1_000)
    world.book.collected["again"] = replace(world.book.collected["DEP2"], seq=1_001)
    assert (await ran(world))["status"] == "completed"
    assert set(await issues(world)) == {
        ("PROVIDER_PAID_TWICE", transfers[2], 19_999_53, 2 * 19_999_53),
        ("COLLECTED_NOT_OBSERVED", transfers[1], 200_00, 100_00),
    }
    world.book.paid["again"] = replace(world.book.paid["again"], status="RJCT")
    world.book.collected.pop("again")
    assert (await ran(world))["issues_open"] == 0


async def test_a_payment_of_nobody_we_know_is_found_between_transfers_with_several_payments(world: World) -> None:
    transfers = sorted(await world.paid_out(600))
    for number, transfer in enumerate(transfers[:400]):
        refused = replace(payment_of(world, transfer), payment_id=str(uuid4()), seq=10_000 + number, status="RJCT")
        world.book.paid[refused.payment_id] = refused
    between = UUID(int=(transfers[450].int + transfers[451].int) // 2)
    world.book.paid["?"] = replace(payment_of(world, transfers[0]), payment_id="?", seq=20_000, transfer_id=between)
    await ran(world)
    assert [each[:2] for each in await issues(world)] == [("PROVIDER_UNKNOWN_PAYMENT", between)]


async def test_money_that_came_before_its_transfer_was_known_is_no_difference(world: World) -> None:
    (transfer,) = await world.paid_out(1)
    events = await world.sql("SELECT route_id FROM transfers_v1 WHERE transfer_id = $1", transfer)
    observed = replace(
        BY_CLASS[DepositObserved], route_id=events[0][0], transfer_id=None, observed_at=world.now - timedelta(hours=1)
    )
    await world.sql("DELETE FROM deposits_v1")
    confirmed = replace(
        BY_CLASS[DepositConfirmed], route_id=events[0][0], transfer_id=transfer,
        confirmed_at=world.now - timedelta(hours=1),
    )  # fmt: skip
    await booked(world, transfer, lambda lines: lines.pop("deposit.observed"))
    await world.say(observed, confirmed, *entries([observed]))
    row = await ran(world)
    assert (row["issues_open"], await issues(world)) == (0, [])


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
