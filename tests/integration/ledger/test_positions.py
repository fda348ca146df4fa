"""Positions as real books have them: both sides, what is open, also behind a checkpoint; the report."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from contracts.ledger.v1 import Posting, Side
from services.kernel.book_positions import BookedPosition, BookedPositions, OpenPromise, positions
from services.kernel.http import create_app
from services.kernel.internal import Callers
from services.kernel.money import Rate, iso4217, rate_text
from services.ledger.api.positions import Desk as Positions
from services.ledger.api.positions import position_routes
from services.ledger.domain import fx
from services.ledger.ports import Published, Rates, RatesUnavailable
from tests.integration.ledger.reading import Desk, close_block, deposit, line, opened

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
GBP = iso4217("GBP")


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Desk]:
    async with opened(database) as made:
        yield made


def conversion(source: int, target: int, pair: str = "GBP ETB", rounding: int = 0) -> tuple[Posting, ...]:
    """What an initiation posts of it, with a spread of 5."""
    taken, promised = pair.split()
    left = [line("credit", f"revenue:rounding:{taken}", rounding)] if rounding else []
    return (
        line("debit", f"suspense:deposits:{taken}", source + rounding + 5), line("credit", f"revenue:fx:{taken}", 5),
        line("credit", f"fx_position:{taken}", source), *left,
        line("debit", f"fx_position:{promised}", target), line("credit", f"payout_clearing:{promised}", target),
    )  # fmt: skip


def taken_back(source: int, target: int, pair: str = "GBP ETB") -> tuple[Posting, ...]:
    sides: dict[Side, Side] = {"debit": "credit", "credit": "debit"}
    return tuple(replace(each, side=sides[each.side]) for each in conversion(source, target, pair))


def funded(minor: int, currency: str = "ETB") -> tuple[Posting, ...]:
    return line("debit", f"partner_float:bank:{currency}", minor), line("credit", f"fx_position:{currency}", minor)


def swept(minor: int, currency: str = "GBP") -> tuple[Posting, ...]:
    return line("debit", f"fx_position:{currency}", minor), line("credit", f"safeguarding:bank:{currency}", minor)


async def found(desk: Desk) -> dict[str, BookedPosition]:
    booked = await positions(desk.store, fx.POSITION, fx.SPREAD, fx.ROUNDING)
    return {each.currency: each for each in booked.positions}


def open_of(position: BookedPosition) -> list[tuple[str | None, int, int, int]]:
    return sorted((each.source or "", each.taken, each.promised, each.open) for each in position.promises)


async def test_empty_books_have_no_position(desk: Desk) -> None:
    nothing = BookedPositions(entry_seq=0, positions=())
    assert await positions(desk.store, fx.POSITION, fx.SPREAD, fx.ROUNDING) == nothing


async def test_books_without_a_conversion_have_no_position(desk: Desk) -> None:
    await desk.post(deposit(500))
    assert await found(desk) == {}


async def test_both_sides_and_what_was_earned(desk: Desk) -> None:
    await desk.post(conversion(100, 20_000), conversion(50, 10_100, rounding=3))

    assert await found(desk) == {
        "ETB": BookedPosition(
            currency="ETB", bought=0, sold=30_100, spread=0, rounding=0,
            promises=(OpenPromise(source="GBP", taken=150, promised=30_100, open=30_100),),
        ),
        "GBP": BookedPosition(currency="GBP", bought=150, sold=0, spread=10, rounding=3, promises=()),
    }  # fmt: skip


@pytest.mark.parametrize("checkpoint", [False, True])
async def test_what_comes_in_covers_the_oldest_promise(desk: Desk, database: str, checkpoint: bool) -> None:
    await desk.post(conversion(100, 15_000))
    await desk.post(funded(22_000))
    if checkpoint:
        await close_block(database)
    await desk.post(conversion(100, 20_000))
    await desk.post(conversion(10, 3_000, "USD ETB"))

    etb = (await found(desk))["ETB"]

    assert (etb.bought, etb.sold) == (22_000, 38_000)
    assert open_of(etb) == [("GBP", 100, 20_000, 13_000), ("USD", 10, 3_000, 3_000)]


async def test_what_is_covered_at_a_checkpoint_is_not_read_again(desk: Desk, database: str) -> None:
    await desk.post(conversion(100, 15_000))
    await desk.post(funded(15_000))
    await close_block(database)
    await desk.post(conversion(100, 20_000))
    assert open_of((await found(desk))["ETB"]) == [("GBP", 100, 20_000, 20_000)]


async def test_what_is_covered_in_part_keeps_its_own_rate(desk: Desk) -> None:
    await desk.post(conversion(100, 15_000))
    await desk.post(conversion(100, 20_000))
    await desk.post(funded(5_000))
    assert open_of((await found(desk))["ETB"]) == [("GBP", 100, 15_000, 10_000), ("GBP", 100, 20_000, 20_000)]


async def test_each_currency_is_read_from_its_own_checkpoint_on(desk: Desk, database: str) -> None:
    await desk.post(conversion(100, 15_000), conversion(5, 600, "USD KES"))
    await desk.post(funded(15_000))
    await close_block(database)
    await desk.post(conversion(100, 20_000))
    by_currency = await found(desk)
    assert open_of(by_currency["ETB"]) == [("GBP", 100, 20_000, 20_000)]
    assert open_of(by_currency["KES"]) == [("USD", 5, 600, 600)]


async def test_what_was_open_at_a_checkpoint_is_still_read(desk: Desk, database: str) -> None:
    await desk.post(conversion(100, 15_000))
    await close_block(database)
    await desk.post(conversion(100, 20_000))
    assert open_of((await found(desk))["ETB"]) == [("GBP", 200, 35_000, 35_000)]


async def test_a_move_inside_one_position_is_no_conversion(desk: Desk) -> None:
    await desk.post(conversion(100, 20_000))
    await desk.post((line("debit", "fx_position:ETB", 7), line("credit", "fx_position:ETB", 7)))
    assert open_of((await found(desk))["ETB"]) == [("", 0, 7, 7), ("GBP", 100, 20_000, 19_993)]


async def test_a_promise_out_of_two_currencies_has_no_one_rate(desk: Desk) -> None:
    both = [line("debit", f"suspense:deposits:{one}", 10) for one in ("GBP", "USD")]
    taken = [line("credit", f"fx_position:{one}", 10) for one in ("GBP", "USD")]
    await desk.post(
        (*both, *taken, line("debit", "fx_position:ETB", 3_000), line("credit", "payout_clearing:ETB", 3_000))
    )
    assert open_of((await found(desk))["ETB"]) == [("", 0, 3_000, 3_000)]


async def test_a_conversion_that_is_covered_whole_is_not_open(desk: Desk) -> None:
    await desk.post(conversion(100, 15_000), conversion(100, 20_000))
    await desk.post(funded(15_000))
    assert open_of((await found(desk))["ETB"]) == [("GBP", 100, 20_000, 20_000)]


async def test_nothing_is_open_of_a_currency_that_we_hold(desk: Desk) -> None:
    await desk.post(conversion(100, 15_000))
    await desk.post(funded(15_001))
    etb = (await found(desk))["ETB"]
    assert (etb.bought - etb.sold, etb.promises) == (1, ())


async def test_a_conversion_that_was_taken_back_leaves_nothing(desk: Desk) -> None:
    await desk.post(conversion(100, 20_000))
    await desk.post(taken_back(100, 20_000))
    by_currency = await found(desk)
    assert [(each.bought - each.sold, each.spread, each.promises) for each in by_currency.values()] == [(0, 0, ())] * 2


async def test_what_was_swept_beyond_what_was_taken_has_no_locked_rate(desk: Desk) -> None:
    await desk.post(conversion(100, 20_000))
    await desk.post(swept(130))
    assert open_of((await found(desk))["GBP"]) == [("", 0, 130, 30)]


# the report over HTTP


class Feed:
    """A feed with a will."""

    def __init__(self, *rates: tuple[str, str, str], age_seconds: int = 0) -> None:
        published_at = AT - timedelta(seconds=age_seconds)
        self.rates = tuple(
            fx.Quoted(
                Rate(iso4217(source), iso4217(target), rate_text(Decimal(value)), "sandbox-fx", published_at),
                timedelta(seconds=300),
            )
            for source, target, value in rates
        )

    async def published(self) -> Published:
        if not self.rates:
            raise RatesUnavailable("quote does not answer (UpstreamLost)")
        return Published(self.rates, ("GB-KE",))


@asynccontextmanager
async def reporting(desk: Desk, rates: Rates | None) -> AsyncIterator[Desk]:
    callers = Callers.from_settings(desk.settings)
    routes = position_routes(Positions(desk.store, rates, GBP, lambda: AT), callers)
    yield replace(desk, app=create_app(desk.settings, [routes]))


async def asked(desk: Desk, rates: Rates | None, **query: Any) -> Any:
    async with reporting(desk, rates) as one:
        return await one.json("/positions", **query)


async def test_the_report_of_the_worked_example(desk: Desk) -> None:
    await desk.post(conversion(97_50, 20_000_00))

    told = await asked(desk, Feed(("GBP", "ETB", "210")))

    assert (told["entry_seq"], told["rates"]) == (
        1, {"status": "published", "detail": None, "unpublished": ["GB-KE"]},
    )  # fmt: skip
    assert told["positions"] == [
        {
            "currency": "ETB", "bought_minor": 0, "sold_minor": 20_000_00, "position_minor": -20_000_00,
            "spread_minor": 0, "rounding_minor": 0, "open_minor": 20_000_00, "unpriced_minor": 0,
            "profit_and_loss_minor": 475_00, "profit_and_loss_stale": False, "value_minor": -95_24,
            "rate_state": "current",
            "rate": {"value": "0.004761904762", "published_at": AT.isoformat().replace("+00:00", "Z"),
                     "by": ["GBP/ETB sandbox-fx"]},
        },
        {
            "currency": "GBP", "bought_minor": 97_50, "sold_minor": 0, "position_minor": 97_50, "spread_minor": 5,
            "rounding_minor": 0, "open_minor": 0, "unpriced_minor": 0, "profit_and_loss_minor": 0,
            "profit_and_loss_stale": False, "value_minor": 97_50, "rate_state": "own", "rate": None,
        },
    ]  # fmt: skip
    assert told["totals"] == {
        "currency": "GBP", "value_minor": 2_26, "spread_minor": 5, "rounding_minor": 0, "profit_and_loss_minor": 2_26,
        "missing": [], "stale": [],
    }  # fmt: skip


async def test_half_of_a_promise_has_half_of_its_profit(desk: Desk) -> None:
    await desk.post(conversion(97_50, 20_000_00))
    await desk.post(funded(10_000_00))
    told = await asked(desk, Feed(("GBP", "ETB", "210")))
    assert (told["positions"][0]["open_minor"], told["positions"][0]["profit_and_loss_minor"]) == (10_000_00, 237_50)


async def test_another_reporting_currency_may_be_asked_for(desk: Desk) -> None:
    await desk.post(conversion(97_50, 20_000_00))
    told = await asked(desk, Feed(("GBP", "ETB", "210")), currency="ETB")
    assert (told["totals"]["currency"], told["totals"]["value_minor"]) == ("ETB", 475_00)


async def test_an_old_rate_is_used_and_said(desk: Desk) -> None:
    await desk.post(conversion(97_50, 20_000_00))
    told = await asked(desk, Feed(("GBP", "ETB", "210"), age_seconds=301))
    assert (told["positions"][0]["rate_state"], told["positions"][0]["profit_and_loss_stale"]) == ("stale", True)
    assert told["totals"]["stale"] == ["ETB"]


@pytest.mark.parametrize(("rates", "status"), [(Feed(), "unavailable"), (None, "not_configured")])
async def test_without_rates_the_positions_stand(desk: Desk, rates: Rates | None, status: str) -> None:
    await desk.post(conversion(97_50, 20_000_00))
    told = await asked(desk, rates)
    assert told["rates"]["status"] == status
    assert told["rates"]["detail"]
    etb = told["positions"][0]
    assert (etb["position_minor"], etb["rate_state"]) == (-20_000_00, "missing")
    assert etb["value_minor"] is etb["profit_and_loss_minor"] is etb["rate"] is None
    assert told["totals"]["missing"] == ["ETB"]


@pytest.mark.parametrize(
    ("who", "query", "status"),
    [("olga", {"currency": "gbp"}, 400), ("olga", {"currency": "XXX"}, 422), ("olga", {"of": "x"}, 400),
     ("anna", {}, 403), ("adam", {}, 200)],
)  # fmt: skip
async def test_who_may_ask_what(desk: Desk, who: str, query: dict[str, str], status: int) -> None:
    async with reporting(desk, None) as one:
        answer = await one.get("/positions", who, **query)
    assert answer.status == status, json.loads(answer.body)
