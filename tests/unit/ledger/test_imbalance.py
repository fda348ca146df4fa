"""A difference between debits and credits is counted, by currency, once for each new amount."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from services.kernel import metrics
from services.ledger.adapters import imbalance


class Books:
    """Differences by currency, or none at all."""

    def __init__(self) -> None:
        self.differences: dict[str, int] | None = {"ETB": 0, "GBP": 0}

    async def fetch(self, _sql: str, *_values: Any) -> list[Any]:
        if self.differences is None:
            raise OSError("planted")
        return list(self.differences.items())


def counted(currency: str) -> float:
    return float(metrics.LEDGER_IMBALANCE.labels(currency)._value.get())


async def test_opposite_differences_of_two_currencies_are_two_and_a_standing_one_is_one() -> None:
    books, before = Books(), (counted("ETB"), counted("GBP"))
    seen: list[dict[str, int] | None] = [None, {"ETB": 5, "GBP": -5}, {"ETB": 5, "GBP": -5}, {"ETB": 7, "GBP": 0}, None]

    async def pause(_seconds: float) -> None:
        if not seen:
            raise KeyboardInterrupt
        books.differences = seen.pop(0)

    with suppress(KeyboardInterrupt):
        await imbalance.watch(books, pause)
    assert (counted("ETB") - before[0], counted("GBP") - before[1]) == (2, 1)


def test_the_currencies_of_the_corridors_are_there_before_the_first_entry(tmp_path: Path) -> None:
    path = tmp_path / "corridors.json"
    path.write_text(json.dumps({"corridors": {"GB-ET": {"source": "GBP", "target": "ETB"}}}))
    assert imbalance.currencies(path) == {"GBP", "ETB"}
    assert imbalance.currencies(tmp_path / "none.json") == set()
