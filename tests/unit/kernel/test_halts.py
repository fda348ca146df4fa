"""What a service knows of halts: from its own table, and nothing new begins before it was read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.kernel.halts import Halts, judge
from services.kernel.problem import Problem


class Table:
    """currency_halts, or no database at all."""

    def __init__(self) -> None:
        self.halted: list[str] | None = []

    async def fetch(self, _sql: str, *_values: Any) -> list[Any]:
        if self.halted is None:
            raise OSError("planted")
        return [(each,) for each in self.halted]


class Enough(Exception):
    """Of a loop."""


def refused(halted: frozenset[str] | None, *currencies: str) -> dict[str, Any]:
    with pytest.raises(Problem) as caught:
        judge(halted, currencies)
    assert dict(caught.value.headers)[b"retry-after"]
    found: dict[str, Any] = json.loads(caught.value.answer[1])
    return found


def test_only_halted_currencies_are_refused() -> None:
    judge(frozenset(), {"GBP", "ETB"})
    judge(frozenset({"USD"}), {"GBP", "ETB"})
    problem = refused(frozenset({"ETB", "USD"}), "GBP", "ETB")
    assert (problem["status"], problem["code"]) == (503, "CURRENCY_HALTED")
    assert "ETB" in problem["detail"]
    assert "USD" not in problem["detail"]


def test_while_nobody_knows_nothing_new_begins() -> None:
    assert refused(None, "GBP")["code"] == "TEMPORARILY_UNAVAILABLE"


async def test_it_is_as_the_table_said_last_also_while_the_database_is_away() -> None:
    table, seen = Table(), list[frozenset[str] | None]()
    halts = Halts(table)
    assert halts() is None
    steps = iter([["ETB"], None, [], None])

    async def pause(_seconds: float) -> None:
        seen.append(halts())
        try:
            table.halted = next(steps)
        except StopIteration:
            raise Enough from None

    with pytest.raises(Enough):
        await halts.watch(pause)
    assert seen == [frozenset(), {"ETB"}, {"ETB"}, frozenset(), frozenset()]
