"""The feed of rates: decimal text in, rates out; what cannot be read changes nothing and ends nothing."""

from __future__ import annotations

import json
from typing import Any, Self

import pytest

from services.quote.adapters.rates import RateFeed
from tests.unit.quote.samples import AT, ETB, GBP


class Feed:
    """A session, its answer and the answer's content in one, with what the publisher says."""

    def __init__(self) -> None:
        self.content = self
        self.rates: Any = [{"source": "GBP", "target": "ETB", "value": "205.1"}]

    def get(self, url: str, **_options: Any) -> Feed:
        assert url == "http://rates"
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        return None

    def raise_for_status(self) -> None:
        return None

    async def read(self, _most: int) -> bytes:
        said = {"publisher": "treasury", "published_at": AT.isoformat(), "rates": self.rates}
        return json.dumps(said).encode()


@pytest.mark.parametrize(("said", "value"), [("205.1", "205.1"), ("0205.10", "205.10"), ("0.0000005", "0.0000005")])
async def test_a_rate_is_taken_as_it_was_published(said: str, value: str) -> None:
    feed = Feed()
    feed.rates[0]["value"] = said
    rates = RateFeed(feed, "http://rates")  # type: ignore[arg-type]
    await rates.refresh()
    assert (await rates.rate(GBP, ETB)).value == value


@pytest.mark.parametrize(
    "odd",
    [{"value": "0"}, {"value": "5E-7"}, {"value": 205.1}, {"value": "1\n"}, {"source": "XXX"}, {"target": None}],
)
async def test_what_cannot_be_read_leaves_the_last_rates_as_they_are(odd: dict[str, Any]) -> None:
    feed = Feed()
    rates = RateFeed(feed, "http://rates")  # type: ignore[arg-type]
    await rates.refresh()
    feed.rates = [{"source": "GBP", "target": "ETB", "value": "300"} | odd]
    await rates.refresh()
    assert (await rates.rate(GBP, ETB)).value == "205.1"


async def test_an_answer_that_is_nested_without_end_leaves_the_last_rates_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feed = Feed()
    rates = RateFeed(feed, "http://rates")  # type: ignore[arg-type]
    await rates.refresh()

    async def nested(_: int) -> bytes:
        return b"[" * 30_000

    monkeypatch.setattr(feed, "read", nested)
    await rates.refresh()
    assert (await rates.rate(GBP, ETB)).value == "205.1"
