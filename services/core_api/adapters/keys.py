"""The request keys of all services: each is asked on its own internal route, all at once, within a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec

from services.kernel.tokens import ServiceToken
from services.kernel.upstream import Link, Upstream, UpstreamLost

ANSWER_SECONDS_MAX = 3.0
ANSWER_BYTES_MAX = 4 * 1024 * 1024
PATH = "/internal/idempotency-keys"
Ask = Callable[[Mapping[str, str]], Awaitable[list[Any]]]  # the items of one service; raises when it does not answer


class AllServices:
    """See ports.KeyBooks."""

    def __init__(self, asks: Mapping[str, Ask]) -> None:
        """By the name of the service."""
        self._asks = dict(asks)

    async def find(self, query: Mapping[str, str]) -> tuple[list[Any], list[str]]:
        """The oldest first."""
        found = await asyncio.gather(*(_within(ask(query)) for ask in self._asks.values()))
        answers = dict(zip(self._asks, found, strict=True))
        items = [item for answer in answers.values() if answer is not None for item in answer]
        unanswered = [service for service, answer in answers.items() if answer is None]
        return sorted(items, key=lambda item: str(item.get("created_at"))), unanswered


async def _within(asked: Awaitable[list[Any]]) -> list[Any] | None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            return await asked
    except Exception:  # noqa: BLE001 - whatever it was, the caller is told that this service did not answer
        return None


OWN = """
    SELECT tenant, principal, key, fingerprint, status, convert_from(answer, 'UTF8') AS answer, created_at, expires_at
    FROM request_key
    WHERE key = $1 AND tenant = $2 AND ($3::text IS NULL OR principal = $3)
    ORDER BY created_at LIMIT 100"""


def own_keys(fetch: Callable[..., Awaitable[list[Any]]], tenant: str) -> Ask:
    """Our own, from our own table."""

    async def ask(query: Mapping[str, str]) -> list[Any]:
        rows = await fetch(OWN, query["key"], tenant, query.get("principal"))
        return [{"service": "core_api", **dict(row)} for row in rows]

    return ask


def remote(upstream: Upstream, token: ServiceToken) -> Ask:
    """Asks a service behind the door."""

    async def ask(query: Mapping[str, str]) -> list[Any]:
        head = f"GET {PATH}?{urlencode(query)} HTTP/1.1\r\nhost: {upstream.authority.decode()}\r\n"
        request = f"{head}authorization: Bearer {token()}\r\n\r\n".encode()
        link = await upstream.exchange(request, repeatable=True)
        try:
            body = await _whole(link)
        finally:
            upstream.release(link)
        if link.status != 200:
            raise UpstreamLost(f"status {link.status}")
        items: list[Any] = msgspec.json.decode(body)["items"]
        return items

    return ask


async def _whole(link: Link) -> bytes:
    body, last = bytearray(), False
    while not last:
        part, last = await link.part()
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            raise UpstreamLost("too large")
    return bytes(body)
