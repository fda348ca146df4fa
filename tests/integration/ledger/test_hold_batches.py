"""Holds through the engine on a real PostgreSQL: who comes second sees what the first took, in a batch or beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from contracts.ledger.v1 import BOOKED, HoldPlaced, HoldRefused, Posting
from services.kernel import book
from services.kernel.decider import Ask, Meta, Outcome, Unit
from services.kernel.engine import Engine, Units
from services.kernel.event_store import PostgresStore, connector
from services.kernel.ids import derive
from services.kernel.money import Money, iso4217
from services.ledger.__main__ import service
from services.ledger.domain.adjustments import ApproveAdjustment, ProposeAdjustment
from services.ledger.domain.entries import PostEntry
from services.ledger.domain.holds import PlaceHold, PostHold, VoidHold, available_of

SQL = Path(__file__).parents[3] / "services"
SCRIPTS = ("kernel.sql", "checkpoint.sql", "expiry.sql", "lookups.sql", "book.sql", "books.sql")
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
GBP = iso4217("GBP")


@pytest.fixture
async def schema(postgres_dsn: str) -> AsyncIterator[tuple[str, str]]:
    name = f"holds_{uuid4().hex}"
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(f"CREATE SCHEMA {name}; SET search_path = {name}")
    for script in SCRIPTS:
        await connection.execute((SQL / "kernel/sql" / script).read_text())
    yield postgres_dsn, name
    await connection.execute(f"DROP SCHEMA {name} CASCADE")
    await connection.close()


class Ledger:
    """An engine of the ledger on a lane of its own."""

    def __init__(self, schema: tuple[str, str]) -> None:
        ledger = service()
        self.store = PostgresStore(connector(*schema, "test_holds"), ledger.parts, ledger.read_accounts)
        self.engine = Engine(
            self.store, ledger.deciders, ledger.topic, uuid4, also_of=ledger.also_of, moved=ledger.moved
        )

    async def ask(self, *asks: Ask) -> list[Outcome]:
        return await self.engine.run(Units([Unit((ask,), Meta("corridor", "test", uuid4())) for ask in asks]))

    async def give(self, customer: UUID, minor: int) -> None:
        """Money in the customer's available account."""
        (outcome,) = await self.ask(given_to(customer, minor))
        assert outcome.error is None

    async def balances(self) -> dict[str, int]:
        found = (await book.trial_balance(self.store)).accounts
        return {each.account_id: each.credit_minor - each.debit_minor for each in found}


@pytest.fixture
async def ledger(schema: tuple[str, str]) -> AsyncIterator[Ledger]:
    made = Ledger(schema)
    yield made
    await made.store.drop()


def line(side: Any, account: str, minor: int) -> Posting:
    return Posting(account=account, side=side, amount=Money(minor, GBP))


def given_to(customer: UUID, minor: int) -> Ask:
    cause = uuid4()
    lines = (line("debit", "suspense:deposits:GBP", minor), line("credit", available_of(customer, "GBP"), minor))
    command = PostEntry(
        entry_id=derive("entry", cause, "test"), kind="test", cause_id=cause, transfer_id=None, lines=lines,
        caused_at=AT,
    )  # fmt: skip
    return Ask(command.entry_id, command)


def place(customer: UUID, minor: int) -> Ask:
    hold = uuid4()
    command = PlaceHold(
        hold_id=hold, customer_id=customer, amount=Money(minor, GBP), cause_id=uuid4(), transfer_id=None,
        caused_at=AT, due_at=AT + timedelta(days=1),
    )  # fmt: skip
    return Ask(hold, command, reads=(available_of(customer, "GBP"),))


def kinds(outcomes: list[Outcome]) -> list[type]:
    for outcome in outcomes:
        assert outcome.error is None, outcome.error
        assert outcome.refusal is None, outcome.refusal
    return [type(outcome.events[0].event) for outcome in outcomes]


async def test_of_holds_in_one_batch_each_sees_what_those_before_it_took(ledger: Ledger) -> None:
    one, two = uuid4(), uuid4()
    await ledger.give(one, 1000)
    outcomes = await ledger.ask(place(one, 600), place(two, 1), place(one, 600), place(one, 400), place(one, 1))
    assert kinds(outcomes) == [HoldPlaced, HoldRefused, HoldRefused, HoldPlaced, HoldRefused]
    balances = await ledger.balances()
    assert (balances[available_of(one, "GBP")], balances[f"customer:{one}:held:GBP"]) == (0, 1000)
    assert await book.drift(ledger.store) == ()


async def test_money_that_comes_in_the_same_batch_can_be_held_behind_it(ledger: Ledger) -> None:
    customer = uuid4()
    outcomes = await ledger.ask(place(customer, 5), given_to(customer, 7), place(customer, 7))
    assert [type(each.events[0].event).__name__ for each in outcomes] == ["HoldRefused", "EntryPosted", "HoldPlaced"]


async def test_a_hold_used_in_part_gives_the_rest_back_in_the_same_batch(ledger: Ledger) -> None:
    customer = uuid4()
    await ledger.give(customer, 1000)
    hold = place(customer, 1000)
    use = Ask(hold.stream_id, PostHold(hold_id=hold.stream_id, minor=400, cause_id=uuid4()))
    outcomes = await ledger.ask(hold, use, place(customer, 600), place(customer, 1))
    assert [type(each.events[0].event).__name__ for each in outcomes] == [
        "HoldPlaced", "HoldPosted", "HoldPlaced", "HoldRefused",
    ]  # fmt: skip
    assert (await ledger.balances())["payout_clearing:GBP"] == 400


async def test_lanes_that_hold_from_one_account_never_take_more_than_there_is(schema: tuple[str, str]) -> None:
    """Beside postings to hot accounts; nothing waits in a circle."""
    ledgers, customer = [Ledger(schema) for _ in range(4)], uuid4()
    await ledgers[0].give(customer, 1000)

    async def work(ledger: Ledger, *, holds: bool) -> int:
        placed = 0
        for _ in range(15):
            asks = [place(customer, 30) if holds else given_to(uuid4(), 1) for _ in range(3)]
            outcomes = await ledger.ask(*asks)
            assert not [each.error for each in outcomes if each.error]
            placed += sum(isinstance(each.events[0].event, HoldPlaced) for each in outcomes)
        return placed

    async with asyncio.timeout(60):
        placed = await asyncio.gather(*(work(each, holds=at < 3) for at, each in enumerate(ledgers)))
    balances = await ledgers[0].balances()
    assert sum(placed) == 33
    assert balances[f"customer:{customer}:held:GBP"] == 990
    assert balances[available_of(customer, "GBP")] == 10
    assert await book.drift(ledgers[0].store) == ()
    for each in ledgers:
        await each.store.drop()


async def test_a_hold_that_is_voided_can_be_placed_again_by_another(ledger: Ledger) -> None:
    customer = uuid4()
    await ledger.give(customer, 10)
    first = place(customer, 10)
    void = Ask(first.stream_id, VoidHold(hold_id=first.stream_id, cause_id=uuid4()))
    await ledger.ask(first, void)
    assert kinds(await ledger.ask(place(customer, 10))) == [HoldPlaced]


async def test_an_adjustment_is_in_the_books_when_another_person_approves_it(ledger: Ledger) -> None:
    adjustment, loss, suspense = uuid4(), "loss:payouts:GBP", "suspense:payouts:GBP"
    lines = (line("debit", loss, 250), line("credit", suspense, 250))
    propose = ProposeAdjustment(
        adjustment_id=adjustment, lines=lines, transfer_id=None, reason="written off", evidence="T-1",
        proposed_by="ann", due_at=AT,
    )  # fmt: skip
    approve = ApproveAdjustment(adjustment_id=adjustment, approved_by="ben", reason="checked")
    await ledger.ask(Ask(adjustment, propose))
    assert await ledger.balances() == {}
    (outcome,) = await ledger.ask(Ask(adjustment, approve, reads=(loss, suspense)))
    assert outcome.refusal is None
    assert outcome.error is None
    assert await ledger.balances() == {loss: -250, suspense: 250}


async def test_each_event_that_is_an_entry_is_written_as_one(ledger: Ledger) -> None:
    assert set(ledger.engine.also_of) >= set(BOOKED)
