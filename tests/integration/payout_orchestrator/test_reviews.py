"""The queue of payouts that wait for a person, as its metrics tell it: as the database says, once for each change."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

import services.payout_orchestrator.domain.commands as c
import services.payout_orchestrator.ports as p
import tests.unit.payout_orchestrator.samples as t
from services.kernel import metrics
from services.kernel.decider import Ask, Unit
from services.kernel.engine import Engine, Units
from services.kernel.event_store import PostgresStore, connector
from services.payout_orchestrator.adapters import attempts, reviews
from tests.support.builders import META

REFUSED = c.RecordRefused(payout_id=t.PAYOUT, reason_code="AC04", attempt=1)


@pytest.fixture
async def store(database: str) -> AsyncIterator[PostgresStore]:
    made = PostgresStore(connector(database, "payout", "test"), (reviews.PART,))
    yield made
    await made.drop()


def engine(store: PostgresStore) -> Engine:
    return Engine(
        store, (t.SPEC.decider,), "payouts", uuid4, also_of=reviews.ALSO_OF, committed=reviews.committed
    )  # fmt: skip


async def say(store: PostgresStore, payout: UUID, *commands: Any) -> None:
    """All in one batch."""
    units = [Unit((Ask(payout, replace(command, payout_id=payout)),), META) for command in commands]
    outcomes = await engine(store).run(Units(units))
    assert [outcome.error or outcome.refusal for outcome in outcomes] == [None] * len(units)


def begun(payout: UUID) -> tuple[Any, ...]:
    return (replace(t.REQUEST, transfer_id=uuid4()), c.BeginSubmit(payout_id=payout))


def confirmed(payout: UUID) -> c.ConfirmPayout:
    return c.ConfirmPayout(payout_id=payout, amount=t.AMOUNT, partner_reference="B-1", settled_at=t.AT)


async def size(store: PostgresStore) -> float:
    reviews.show(store)
    text = (await metrics.scraped()).decode()
    return float(next(line for line in text.splitlines() if line.startswith(f"{reviews.SIZE} ")).split()[1])


def transitions() -> dict[str, float]:
    counted = metrics.PAYOUT_REVIEW_TRANSITIONS
    return {action: counted.labels(action)._value.get() for action in ("queued", "confirmed")}


def since(before: dict[str, float]) -> dict[str, float]:
    return {action: count - before[action] for action, count in transitions().items()}


async def test_each_committed_change_counts_once_and_the_queue_is_what_the_database_says(store: PostgresStore) -> None:
    before, first, second = transitions(), uuid4(), uuid4()
    for payout in (first, second):
        await say(store, payout, *begun(payout))
    assert (await size(store), since(before)) == (0, {"queued": 0, "confirmed": 0})
    wrong = replace(confirmed(first), amount=replace(t.AMOUNT, minor=1))
    await say(store, first, wrong)  # contradicted: a person looks
    await say(store, first, REFUSED)  # an event more, of one that waits already
    assert (await size(store), since(before)) == (1, {"queued": 1, "confirmed": 0})
    await say(store, second, REFUSED, confirmed(second))  # it came and went in one batch
    assert (await size(store), since(before)) == (1, {"queued": 2, "confirmed": 1})
    await say(store, first, confirmed(first))
    assert (await size(store), since(before)) == (0, {"queued": 2, "confirmed": 2})


async def test_a_batch_that_was_not_committed_counts_nothing(store: PostgresStore) -> None:
    payout = uuid4()
    await say(store, payout, *begun(payout))
    before, broken = transitions(), Unit((Ask(payout, replace(REFUSED, payout_id=payout)),), META)
    failing = engine(store)
    failing.topic = "\x00"  # what PostgreSQL refuses
    with pytest.raises(Exception, match="0x00"):
        await failing.run(Units([broken]))
    assert since(before) == {"queued": 0, "confirmed": 0}


async def test_a_queue_that_cannot_be_counted_is_not_shown_as_it_was() -> None:
    away = PostgresStore(connector("postgresql://nobody@127.0.0.1:1/none", "payout", "test"))
    assert math.isnan(await size(away))


@pytest.mark.parametrize(
    ("verdict", "result"),
    [(p.Accepted("ACSP", "B-1"), "SENT"), (p.Refused("AC04"), "REFUSED"), (p.Unknown("no answer"), "UNKNOWN"),
     (p.Deferred("HTTP 503", 5), "FAILED"), (p.Deferred("not connected", unsent=True), "FAILED")],
)  # fmt: skip
def test_an_attempt_counts_by_what_it_came_to(verdict: p.SubmitVerdict, result: str) -> None:
    series = metrics.PAYOUT_ATTEMPTS.labels("dashen", result)._value
    before = series.get()
    attempts.count("dashen", verdict)
    assert series.get() == before + 1
