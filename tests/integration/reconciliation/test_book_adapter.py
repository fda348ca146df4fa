"""The partners' book over HTTP: all pages of the real sandbox, its copy kept equal, and every way of no answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from contracts.deposit.routes import route_id
from services.reconciliation.adapters import book as adapter
from services.reconciliation.adapters.book import HttpBook
from services.reconciliation.ports import BookUnavailable, Page
from services.reconciliation.projections import mirror
from tests.integration.reconciliation.books import World
from tests.integration.sandbox.player import Sandbox, deposit, payment


@asynccontextmanager
async def book(url: str) -> AsyncIterator[HttpBook]:
    async with aiohttp.ClientSession() as session:
        yield HttpBook(session, url, "an-api-key-of-the-test", "corridor")


async def read(url: str) -> list[Page]:
    async with book(url) as client:
        return [page async for page in client.pages()]


async def test_all_of_the_real_book_comes_in_pages(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(adapter, "PAGE_ENTRIES", 2)
    transfer = uuid4()
    with Sandbox(tmp_path / "sandbox", "--settle-delay-seconds", "0") as sandbox:
        sandbox.submit(payment(remittance_information=str(transfer)), *(payment() for _ in range(4)))
        sandbox.submit(payment(remittance_information="rent for March"))
        sandbox.call("POST", "/collect", {"deposits": [deposit(partner="collectbank", reference="D1")]})
        pages = await read(sandbox.url)
    paid = [each for page in pages for each in page.paid]
    (collected,) = [each for page in pages for each in page.collected]
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert (len(pages) > 2, len(paid), paid[0].transfer_id, paid[5].transfer_id) == (True, 6, transfer, None)
    assert (paid[0].amount_minor, paid[0].currency) == (2_000_000, "ETB")
    assert collected.route_id == route_id("corridor", "RF18539007547034")
    assert (collected.partner, collected.reference, collected.amount_minor) == ("collectbank", "D1", 10_000)


async def serve(answers: list[bytes]) -> asyncio.Server:
    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers.pop(0) if len(answers) > 1 else answers[0])
        await writer.drain()
        writer.close()

    return await asyncio.start_server(answering, "127.0.0.1", 0)


def http(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (status, len(body), body)


def page(**other: Any) -> bytes:
    return json.dumps({"payouts": [], "collected": [], "next_since": 0, "more": False} | other).encode()


@pytest.mark.parametrize(
    "answer",
    [
        http(b"{}", b"503 Away"), http(b"no json"), http(b"{}"), http(page())[:-1], b"",
        http(page(more=True)), http(page(payouts=[{"seq": 1}])), http(page(), b"302 Found"),
    ],
    ids=["503", "no json", "no members", "cut", "nothing", "does not go on", "a line without members", "elsewhere"],
)  # fmt: skip
async def test_whatever_is_no_whole_book_is_no_book(answer: bytes) -> None:
    server = await serve([answer])
    try:
        with pytest.raises(BookUnavailable):
            await read(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    finally:
        server.close()


async def test_one_lost_answer_is_asked_again() -> None:
    server = await serve([b"", http(page())])
    try:
        assert len(await read(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")) == 1
    finally:
        server.close()


async def test_the_copy_is_made_equal_and_what_is_equal_is_not_written(world: World) -> None:
    await world.paid_out(3)

    class Db:
        async def fetch(self, sql: str, /, *values: Any) -> Any:
            return await world.sql(sql, *values)

    async def copy() -> list[tuple[Any, ...]]:
        from services.reconciliation.handlers.comparison import _deposit_row, _payment_row

        async for part in world.book.pages():
            until = mirror.END if part.last else part.until
            paid, collected = (
                [_payment_row(each) for each in part.paid],
                [_deposit_row(each) for each in part.collected],
            )
            await mirror.keep(Db(), part.since, until, paid, collected)
        rows = await world.sql("SELECT payment_id, xmin::text FROM provider_payment ORDER BY seq")
        return [tuple(row) for row in rows]

    world.book.page_entries = 2
    first = await copy()
    assert [row[0] for row in first] == list(world.book.paid)
    assert await copy() == first, "nothing was written again"
    gone = next(iter(world.book.paid))
    world.book.paid.pop(gone)
    world.book.collected.popitem()
    assert await copy() == first[1:]
    assert len(await world.sql("SELECT 1 FROM provider_deposit")) == 2
    world.book.paid.clear()
    world.book.collected.clear()
    assert await copy() == [], "a book that was emptied"
