"""What a proxied POST costs core_api in CPU: python -m tests.integration.core_api.measure [raw|aiohttp|none] [requests]

Three processes: a client with 32 connections, the door under uvicorn as in production, and a service without work.
`aiohttp` is the same door on aiohttp's client, as lean as it can be set; `none` is a door that answers by itself, which
is what uvicorn and the edge cost alone. Kept for docs/decisions/0004-proxy.md.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import uvicorn
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from services.core_api.adapters import proxy
from services.core_api.adapters.headers import public_headers
from services.core_api.adapters.proxy import Door, Proxy, targets
from services.kernel.corked import CorkedHttp
from services.kernel.edge import Edge
from services.kernel.process import bind
from services.kernel.upstream import Upstream
from tests.integration.core_api.conftest import BEHIND, OpenGate

CONNECTIONS = 32
BODY = b'{"corridor":"GB-ET","send_minor":10000,"send_currency":"GBP"}'
ANSWER = b'{"quote_id":"5f1f9c1e-6f3c-5b57-9d0f-0f2a3c1b7a10","state":"OFFERED","padding":"' + b"x" * 500 + b'"}'
REQUEST = b"".join([
    b"POST /v1/quotes HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/8.5.0\r\nAccept: application/json\r\n",
    b"Accept-Encoding: gzip, deflate\r\nContent-Type: application/json\r\nAuthorization: Bearer ", b"t" * 400, b"\r\n",
    b"Idempotency-Key: 0198f0aa-0000-7000-8000-000000000001\r\n",
    b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
    b"Content-Length: %d\r\n\r\n" % len(BODY), BODY,
])  # fmt: skip


async def answering(scope: Scope, receive: Receive, send: Send) -> None:
    """A service with nothing to do."""
    await receive()
    headers = [
        (b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER)),
        (b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"),
        (b"traceresponse", b"00-" + b"0" * 52), (b"x-request-id", b"0" * 32),
    ]  # fmt: skip
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


class AiohttpProxy(Proxy):
    """The same, on aiohttp."""

    session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.session is None:
            connector = aiohttp.TCPConnector(limit=500, keepalive_timeout=30)
            self.session = aiohttp.ClientSession(
                connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=3), skip_auto_headers=("User-Agent", "Accept"),
            )  # fmt: skip
        upstream: Upstream = scope[proxy.TARGET].upstream
        length, _, _ = proxy._head(scope)
        body = await self._read(receive, length or 0, 65_536)
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in scope["headers"]
            if name not in proxy._DROPPED and not name.startswith(proxy._FORGED)
        ]
        url = upstream.origin.decode() + scope["path"]
        async with self._deadline, self.session.request(scope["method"], url, data=body, headers=headers) as answer:
            content = await answer.read()
            found = [(name.lower(), value) for name, value in answer.raw_headers if name.lower() not in DROPPED]
        await send({"type": "http.response.start", "status": answer.status, "headers": found})
        await send({"type": "http.response.body", "body": content})


DROPPED = frozenset({b"connection", b"date", b"server", b"x-content-type-options", b"traceresponse", b"x-request-id"})


def serve(app: ASGIApp, ready: Any) -> None:
    """One uvicorn, set as services.kernel.process sets it."""
    listening = bind("127.0.0.1", 0)
    ready.put(listening.getsockname()[1])
    config = uvicorn.Config(
        app, loop="none", http=CorkedHttp, ws="none", lifespan="off", log_config=None, access_log=False,
        server_header=False, proxy_headers=False,
    )  # fmt: skip
    asyncio.Runner(loop_factory=uvloop.new_event_loop).run(uvicorn.Server(config).serve(sockets=[listening]))


def door(kind: str, port: int, ready: Any) -> None:
    """The process that is measured."""
    urls = dict.fromkeys(BEHIND, f"http://127.0.0.1:{port}")
    kinds: dict[str, ASGIApp] = {"raw": Proxy(OpenGate()), "aiohttp": AiohttpProxy(OpenGate()), "none": answering}
    serve(Door(answering, Edge(kinds[kind], public_headers("prod")), targets(urls)), ready)


async def load(port: int, requests: int) -> list[float]:
    """Seconds of each request."""
    taken: list[float] = []

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(requests // CONNECTIONS):
            started = time.perf_counter()
            writer.write(REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 201"), head
            assert await reader.readexactly(len(ANSWER)) == ANSWER
            taken.append(time.perf_counter() - started)
        writer.close()

    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    return taken


def cpu_seconds(pid: int | None) -> float:
    """User and system time of a process."""
    with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(kind: str = "raw", requests: str = "20000") -> None:
    """Print one line."""
    context = multiprocessing.get_context("spawn")
    ready = context.Queue()
    started = []

    def start(work: Callable[..., None], *arguments: Any) -> int:
        process = context.Process(target=work, args=(*arguments, ready), daemon=True)
        process.start()
        started.append(process)
        return int(ready.get(timeout=20))

    front = start(door, kind, start(serve, answering))
    uvloop.run(load(front, 2_000))
    before, began = cpu_seconds(started[1].pid), time.perf_counter()
    taken = sorted(uvloop.run(load(front, int(requests))))
    seconds, cpu = time.perf_counter() - began, cpu_seconds(started[1].pid) - before
    print(
        f"{kind:8} {cpu / len(taken) * 1e6:6.0f} us CPU/request  {len(taken) / seconds:6.0f} requests/s"
        f"  p50 {taken[len(taken) // 2] * 1e3:.1f} ms  p99 {taken[len(taken) * 99 // 100] * 1e3:.1f} ms"
    )
    for process in started:
        process.kill()


if __name__ == "__main__":
    main(*sys.argv[1:])
