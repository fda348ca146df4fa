"""A repeated request gets its first answer, whatever has become of rates and limits since."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.kernel.decider import Meta, RequestKey
from services.kernel.engine import Engine
from services.kernel.group_commit import GroupCommit
from services.kernel.memory import MemoryStore
from services.kernel.money import Currency, Rate
from services.kernel.rejected import Rejected
from services.kernel.tokens import Principal
from services.quote import handlers
from services.quote.api import QuoteBatchRequest, QuoteRequest, Quotes, RateAway
from services.quote.domain import AmountOutsideLimits, Corridors, CorridorUnsupported, RateStale
from services.quote.ports import RateUnavailable
from tests.support.fakes import Clock, Ids, committing
from tests.unit.quote.samples import AT, CORRIDOR, CUSTOMER_ID, RATE

ANNA = Principal(CUSTOMER_ID, "main", frozenset({"customer"}))
ASKED = Meta("main", "anna", uuid4())
WISH = QuoteRequest(corridor="GB-ET", send_minor=100_00, send_currency="GBP")


class Rates:
    """The newest is RATE, unless it is away."""

    away = False

    async def rate(self, source: Currency, target: Currency) -> Rate:
        if self.away:
            raise RateUnavailable
        return RATE


class Desk:
    """Quotes in memory."""

    def __init__(self) -> None:
        self.store = MemoryStore(Clock())
        self.commands = GroupCommit(Engine(self.store, (handlers.decider(),), "quotes", Ids()))
        self.rates, self.now = Rates(), AT
        self.corridors = Corridors(1, {"GB-ET": CORRIDOR})

    def quotes(self) -> Quotes:
        def now() -> datetime:
            return self.now

        return Quotes(self.commands, self.commands.engine, self.corridors, self.rates, now)

    def later(self, trouble: type[Rejected]) -> None:
        """What would refuse the same wish now."""
        if trouble is RateStale:
            self.now = AT + timedelta(hours=1)
        elif trouble is RateAway:
            self.rates.away = True
        elif trouble is AmountOutsideLimits:
            self.corridors = Corridors(2, {"GB-ET": replace(CORRIDOR, send_max=CORRIDOR.send_min)})
        else:
            self.corridors = Corridors(2, {})


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    made = Desk()
    async with committing(made.commands):
        yield made


def key(text: str = "k", fingerprint: str = "f") -> RequestKey:
    return RequestKey("main", str(CUSTOMER_ID), text, fingerprint)


TROUBLES = [RateStale, RateAway, AmountOutsideLimits, CorridorUnsupported]


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_repeated_request_gets_its_first_answer_and_a_new_one_is_refused(
    desk: Desk, trouble: type[Rejected]
) -> None:
    first = await desk.quotes().create(WISH, key(), ASKED, ANNA)
    desk.later(trouble)
    again = await desk.quotes().create(WISH, key(), ASKED, ANNA)
    assert (again.answer, again.replayed) == (first.answer, True)
    with pytest.raises(trouble):
        await desk.quotes().create(WISH, key("another"), ASKED, ANNA)
    changed = await desk.quotes().create(WISH, key(fingerprint="another"), ASKED, ANNA)
    assert changed.refusal is not None
    assert changed.refusal.code == "IDEMPOTENCY_CONFLICT"


async def test_a_refusal_before_the_engine_is_never_stored(desk: Desk) -> None:
    desk.later(RateAway)
    with pytest.raises(RateAway):
        await desk.quotes().create(WISH, key(), ASKED, ANNA)
    desk.rates.away = False
    assert (await desk.quotes().create(WISH, key(), ASKED, ANNA)).events


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_each_item_of_a_repeated_bulk_gets_its_first_answer(desk: Desk, trouble: type[Rejected]) -> None:
    body = QuoteBatchRequest(quotes=[WISH, WISH])
    first = await desk.quotes().create_all(body, key(), ASKED, ANNA)
    desk.later(trouble)
    again = await desk.quotes().create_all(body, key(), ASKED, ANNA)
    other = await desk.quotes().create_all(body, key("another"), ASKED, ANNA)
    assert again.body == first.body
    assert [each["status"] for each in _results(other.body)] == [trouble.status] * 2
    assert [each["body"]["code"] for each in _results(other.body)] == [trouble.code] * 2
    assert len(desk.store.tables.events) == 2


def _results(body: bytes | memoryview) -> list[Any]:
    return list(json.loads(bytes(body))["results"])
