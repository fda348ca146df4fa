"""Whole runs on PostgreSQL: what agrees, and one planted difference at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts.deposit.v1 import DepositConfirmed, DepositObserved
from scripts.contracts.golden import BY_CLASS
from services.reconciliation.domain.codes import Code
from services.reconciliation.handlers.comparison import TOPICS
from tests.integration.reconciliation.books import (
    World,
    booked,
    entries,
    issues,
    payment_of,
    ran,
    story,
    vanished_payment,
)

Plant = Callable[[World, UUID], Awaitable[None]]


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
