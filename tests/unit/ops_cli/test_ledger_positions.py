"""ops-cli ledger positions: the report for a person and for a program, and what it warns of."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.ops_cli.conftest import Door, Ran

Ops = Callable[..., Ran]
PATH = "/v1/ledger/positions"


def position(currency: str, minor: int, **more: Any) -> dict[str, Any]:
    return {
        "currency": currency, "bought_minor": max(minor, 0), "sold_minor": max(-minor, 0), "position_minor": minor,
        "spread_minor": 0, "rounding_minor": 0, "open_minor": max(-minor, 0), "unpriced_minor": 0,
        "profit_and_loss_minor": 0, "profit_and_loss_stale": False, "value_minor": minor, "rate_state": "own",
        "rate": None,
    } | more  # fmt: skip


RATE = {"value": "0.004761904762", "published_at": "2026-11-23T12:00:00Z", "by": ["GBP/ETB sandbox-fx"]}
ETB = position("ETB", -20_000_00, profit_and_loss_minor=475_00, value_minor=-95_24, rate_state="current", rate=RATE)
REPORT: dict[str, Any] = {
    "at": "2026-11-23T12:00:01Z", "entry_seq": 12,
    "rates": {"status": "published", "detail": None, "unpublished": []},
    "positions": [ETB, position("GBP", 97_50, spread_minor=50)],
    "totals": {"currency": "GBP", "value_minor": 2_26, "spread_minor": 50, "rounding_minor": 0,
               "profit_and_loss_minor": 2_26, "missing": [], "stale": []},
}  # fmt: skip


def test_a_person_sees_each_currency_and_the_sum(ops: Ops, door: Door) -> None:
    door.on("GET", PATH, REPORT)
    ran = ops("ledger", "positions")

    assert (ran.code, ran.err) == (0, "")
    etb, gbp = (next(each for each in ran.out.splitlines() if each.startswith(code)) for code in ("ETB", "GBP"))
    assert "-20,000.00 ETB" in etb
    assert "-95.24 GBP" in etb
    assert "475.00 ETB" in etb
    assert "0.004761904762 current, 2026-11-23 12:00:00Z" in etb
    assert "GBP/ETB sandbox-fx" in etb
    assert "97.50 GBP" in gbp
    assert "all in GBP: value 2.26 GBP, profit and loss 2.26 GBP, spread 0.50 GBP, rounding 0.00 GBP" in ran.out


def test_a_program_gets_the_answer_as_it_is(ops: Ops, door: Door) -> None:
    door.on("GET", PATH, REPORT)
    assert ops("ledger", "positions", "-o", "json").json == REPORT
    assert door.asked[0].query == {}


def test_csv_has_a_row_for_each_currency(ops: Ops, door: Door) -> None:
    door.on("GET", PATH, REPORT)
    rows = list(csv.DictReader(io.StringIO(ops("ledger", "positions", "-o", "csv").out)))
    assert [row["currency"] for row in rows] == ["ETB", "GBP"]


def test_another_reporting_currency_is_asked_for(ops: Ops, door: Door) -> None:
    door.on("GET", PATH, REPORT)
    ops("ledger", "positions", "--currency", "USD")
    assert door.asked[0].query == {"currency": ["USD"]}


def test_books_without_a_conversion_say_so(ops: Ops, door: Door) -> None:
    door.on("GET", PATH, REPORT | {"positions": []})
    ran = ops("ledger", "positions")
    assert (ran.code, ran.out) == (0, "")
    assert "there was no conversion yet" in ran.err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"rates": {"status": "unavailable", "detail": "quote answers 503", "unpublished": []}},
         "no published rates: quote answers 503"),
        ({"rates": {"status": "published", "detail": None, "unpublished": ["US-KE"]}}, "corridors US-KE"),
        ({"totals": REPORT["totals"] | {"missing": ["KES", "NPR"]}}, "not in every total: KES, NPR"),
        ({"totals": REPORT["totals"] | {"stale": ["ETB"]}}, "too old to quote on: ETB"),
    ],
)  # fmt: skip
def test_what_the_figures_do_not_say_is_warned_of(ops: Ops, door: Door, more: dict[str, Any], words: str) -> None:
    door.on("GET", PATH, REPORT | more)
    assert words in " ".join(ops("ledger", "positions").err.split())


def test_a_missing_rate_leaves_no_figure_in_its_place(ops: Ops, door: Door) -> None:
    unknown = position("ETB", -5, value_minor=None, profit_and_loss_minor=None, rate_state="missing")
    door.on("GET", PATH, REPORT | {"positions": [unknown]})
    line = next(each for each in ops("ledger", "positions").out.splitlines() if each.startswith("ETB"))
    assert line.split() == [
        "ETB",
        "-0.05",
        "ETB",
        "-",
        "-",
        "0.05",
        "ETB",
        "0.00",
        "ETB",
        "0.00",
        "ETB",
        "missing",
        "-",
    ]


def test_a_profit_of_an_old_rate_is_marked(ops: Ops, door: Door) -> None:
    door.on("GET", PATH, REPORT | {"positions": [ETB | {"profit_and_loss_stale": True, "rate_state": "stale"}]})
    assert "475.00 ETB (stale)" in ops("ledger", "positions").out
