"""The rates as quote answers them over a socket; whatever else comes is `unavailable`, never a wrong figure."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from services.kernel.upstream import Upstream
from services.ledger.adapters import rates
from services.ledger.adapters.rates import QuotedRates, read
from services.ledger.ports import RatesUnavailable

ROW = {
    "source": "GBP", "target": "ETB", "value": "205.128206", "publisher": "treasury",
    "published_at": "2026-11-23T12:00:00Z", "max_age_seconds": 300,
}  # fmt: skip


def body(*rows: Any, **more: Any) -> bytes:
    return json.dumps({"at": "2026-11-23T12:00:01Z", "rates": rows, "unpublished": ["GB-KE"]} | more).encode()


@asynccontextmanager
async def quote(answer: bytes | None, status: str = "200 OK") -> AsyncIterator[tuple[QuotedRates, list[bytes]]]:
    """A quote service that answers so; None: it never answers."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        if answer is not None:
            writer.write(b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n" % (status.encode(), len(answer)) + answer)
            await writer.drain()
        else:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    upstream = Upstream(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    yield QuotedRates(upstream, lambda: "a-token"), heard
    upstream.close()
    server.close()


async def test_the_rates_are_read_with_publisher_time_and_age() -> None:
    async with quote(body(ROW)) as (asked, heard):
        found = await asked.published()

    (only,) = found.rates
    assert (only.rate.source, only.rate.target, only.rate.value) == ("GBP", "ETB", "205.128206")
    assert (only.rate.publisher, only.rate.published_at.isoformat()) == ("treasury", "2026-11-23T12:00:00+00:00")
    assert (only.age_max, found.unpublished) == (timedelta(seconds=300), ("GB-KE",))
    assert heard[0].startswith(b"GET /internal/rates HTTP/1.1\r\n")
    assert b"authorization: Bearer a-token\r\n" in heard[0]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"{}", "503 Service Unavailable"), (b"", "401 Unauthorized"), (b"<html>", "200 OK"), (b"[" * 30_000, "200 OK"),
        (b"[]", "200 OK"), (body(ROW | {"value": 205.1}), "200 OK"), (body(ROW | {"value": "0"}), "200 OK"),
        (body(ROW | {"value": "5E-7"}), "200 OK"), (body(ROW | {"source": "XXX"}), "200 OK"),
        (body(ROW | {"published_at": "2026-11-23T12:00:00"}), "200 OK"), (body({}), "200 OK"),
        (body(ROW | {"max_age_seconds": "x"}), "200 OK"), (body(ROW | {"max_age_seconds": 10**30}), "200 OK"),
        (body(ROW, pad="x" * rates.ANSWER_BYTES_MAX), "200 OK"),
    ],
)  # fmt: skip
async def test_anything_else_is_no_answer(answer: bytes, status: str) -> None:
    async with quote(answer, status) as (asked, _):
        with pytest.raises(RatesUnavailable):
            await asked.published()


async def test_a_service_that_does_not_answer_is_waited_for_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "SECONDS_MAX", 0.1)
    async with quote(None) as (asked, _):
        with pytest.raises(RatesUnavailable, match="TimeoutError"):
            await asked.published()


async def test_a_service_that_is_away_is_told() -> None:
    async with quote(b"") as (asked, _):
        pass
    with pytest.raises(RatesUnavailable, match="UpstreamLost"):
        await asked.published()


def test_no_rates_are_no_mistake() -> None:
    assert read(body()).rates == ()
