"""The call to an owner: what it asks, and that everything which goes wrong is one and the same outage."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from services.kernel import tracing
from services.kernel.deadline import Deadline
from services.kernel.upstream import Upstream
from services.transfer.adapters.owners import Owner
from services.transfer.ports import OwnerUnavailable

Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def owner(answering: Answering) -> AsyncIterator[Owner]:
    """The client of a server that answers like this on each connection."""
    server = await asyncio.start_server(answering, "127.0.0.1", 0)
    upstream = Upstream(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    yield Owner(upstream, "/internal/facts", lambda: "token")
    assert upstream._busy == 0
    upstream.close()
    server.close()


def once(answer: bytes) -> Answering:
    """One answer on each connection, which is closed behind it."""

    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    return answering


def http(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


async def test_it_asks_with_token_and_trace_on_a_connection_that_stays() -> None:
    asked: list[tuple[list[bytes], Any]] = []
    connections = 0

    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for _ in range(2):
            lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
            asked.append((lines, json.loads(await reader.readexactly(int(lines[-3].rpartition(b" ")[2])))))
            writer.write(http(b'{"known":true}'))

    async with owner(answering) as client:
        with tracing.span("test") as trace:
            assert await client.ask({"ids": ["a"]}, json.loads) == {"known": True}
        assert await client.ask({"ids": ["b"]}, json.loads) == {"known": True}
    assert connections == 1
    assert [body for _, body in asked] == [{"ids": ["a"]}, {"ids": ["b"]}]
    (first, _), (second, _) = asked
    assert first[0] == b"POST /internal/facts HTTP/1.1"
    assert {b"authorization: Bearer token", b"content-type: application/json"} < {*first} & {*second}
    assert b"traceparent: " + trace.header.encode() in first
    assert not [line for line in second if line.startswith(b"traceparent")]


async def test_an_answer_larger_than_what_is_buffered_comes_whole() -> None:
    body = json.dumps(["x" * 1_000] * 900).encode()
    async with owner(once(http(body))) as client:
        assert await client.ask({}, lambda content: content) == body


async def test_a_kept_connection_that_was_closed_meanwhile_is_no_outage() -> None:
    async with owner(once(http(b"{}"))) as client:
        for _ in range(3):
            assert await client.ask({}, json.loads) == {}


@pytest.mark.parametrize(
    "answer",
    [http(b"{}", b"404 Not Found"), http(b"{}", b"503 Away"), http(b"no json"), b"no http", b"", http(b"{}")[:-1]],
)
async def test_whatever_is_no_answer_is_an_outage(answer: bytes) -> None:
    async with owner(once(answer)) as client:
        with pytest.raises(OwnerUnavailable):
            await client.ask({}, json.loads)


async def test_no_answer_in_time_is_an_outage() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with owner(silent) as client:
        client._deadline = Deadline(1)
        with pytest.raises(OwnerUnavailable, match="TimeoutError"):
            await client.ask({}, json.loads)


async def test_nobody_there_is_an_outage() -> None:
    with socket.socket() as reserved:  # bound, and nobody listens
        reserved.bind(("127.0.0.1", 0))
        upstream = Upstream(f"http://127.0.0.1:{reserved.getsockname()[1]}")
        with pytest.raises(OwnerUnavailable):
            await Owner(upstream, "/internal/facts", lambda: "token").ask({}, json.loads)
