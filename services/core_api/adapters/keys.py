"""The request keys of all services: each is asked on its own internal route, all at once, within a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from services.kernel.routing import Request, Router
from services.kernel.telemetry import logger
from services.kernel.tokens import ServiceToken
from services.kernel.upstream import Link, Upstream, UpstreamLost

ANSWER_SECONDS_MAX = 3.0
ANSWER_BYTES_MAX = 4 * 1024 * 1024
PATH = "/internal/idempotency-keys"
Ask = Callable[[str], Awaitable[bytes]]  # a URL's query -> the answer of one service; raises when there is none
_LOG = logger("keys")


class AllServices:
    """See ports.KeyBooks."""

    def __init__(self, asks: Mapping[str, Ask]) -> None:
        """By the name of the service."""
        self._asks = dict(asks)

    async def find(self, query: str) -> tuple[list[Any], list[str]]:
        """As the port says; the oldest first."""
        found = await asyncio.gather(*(_within(service, ask(query)) for service, ask in self._asks.items()))
        items = [item for answer in found if answer is not None for item in answer]
        unanswered = [service for service, answer in zip(self._asks, found, strict=True) if answer is None]
        return sorted(items, key=lambda item: str(item["created_at"])), unanswered


async def _within(service: str, asked: Awaitable[bytes]) -> list[Any] | None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            items: list[Any] = msgspec.json.decode(await asked)["items"]
    except Exception as error:  # noqa: BLE001 - whatever it was, the caller is told that this service did not answer
        _LOG.warning("keys_not_answered", service=service, error=type(error).__name__)
        return None
    return items


def remote(upstream: Upstream, token: ServiceToken) -> Ask:
    """Asks a service behind the door."""

    async def ask(query: str) -> bytes:
        head = f"GET {PATH}?{query} HTTP/1.1\r\nhost: {upstream.authority.decode()}\r\n"
        request = f"{head}authorization: Bearer {token()}\r\n\r\n".encode("latin-1")
        link = await upstream.exchange(request, repeatable=True)
        try:
            body = await _whole(link)
        finally:
            upstream.release(link)
        if link.status != 200:
            raise UpstreamLost(f"status {link.status}")
        return body

    return ask


def local(router: Router, token: ServiceToken) -> Ask:
    """Asks ourselves: the same route, without a connection."""
    endpoint = next(route.endpoint for route in router.routes if route.path == PATH)

    async def ask(query: str) -> bytes:
        bearer = (b"authorization", b"Bearer " + token().encode())
        raw = query.encode("latin-1")
        scope = {"type": "http", "method": "GET", "path": PATH, "query_string": raw, "headers": [bearer]}
        return bytes((await endpoint(Request(scope, _nothing, b""))).body)

    return ask


async def _nothing() -> Any:
    raise AssertionError("it has no body")


async def _whole(link: Link) -> bytes:
    body, last = bytearray(), False
    while not last:
        part, last = await link.part()
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            raise UpstreamLost("too large")
    return bytes(body)
