"""The services that own what we show, over their HTTP."""

from __future__ import annotations

from asyncio import timeout
from collections.abc import Mapping
from typing import Any

import msgspec

from services.kernel import tracing
from services.kernel.upstream import Link, Upstream, UpstreamBusy, UpstreamLost
from services.review.ports import OwnerRefused, OwnerUnavailable

SECONDS_MAX = 2.0  # a person waits for the slowest
ANSWER_BYTES_MAX = 4 * 1024 * 1024
_REFUSED = frozenset({401, 403})


class HttpOwners:
    """Each service by its address; the connections stay open."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._upstreams = {service: Upstream(url) for service, url in urls.items()}

    async def get(self, service: str, path: str, bearer: str) -> Any:
        """See ports.Owners."""
        upstream = self._upstreams[service]
        try:
            async with timeout(SECONDS_MAX):
                status, body = await _get(upstream, path, bearer)
            if status == 404:
                return None
            if status in _REFUSED:
                raise OwnerRefused(status)
            if status != 200:
                raise OwnerUnavailable(f"{service}: {status}")
            return msgspec.json.decode(body)
        except (UpstreamLost, UpstreamBusy, TimeoutError, ValueError) as error:
            raise OwnerUnavailable(f"{service}: {type(error).__name__}") from error

    def close(self) -> None:
        """End the connections that nobody uses."""
        for upstream in self._upstreams.values():
            upstream.close()


async def _get(upstream: Upstream, path: str, bearer: str) -> tuple[int, bytes]:
    trace = tracing.traceparent()
    lines = [
        f"GET {path} HTTP/1.1", f"host: {upstream.authority.decode()}", f"authorization: Bearer {bearer}",
        *([f"traceparent: {trace}"] if trace else []),
    ]  # fmt: skip
    link = await upstream.exchange("\r\n".join([*lines, "", ""]).encode(), repeatable=True)
    try:
        return link.status, await _whole(link)
    finally:
        upstream.release(link)


async def _whole(link: Link) -> bytes:
    """Raises UpstreamLost for an answer that is too large."""
    parts, size, last = [], 0, False
    while not last:
        part, last = await link.part()
        size += len(part)
        if size > ANSWER_BYTES_MAX:
            raise UpstreamLost("too large")
        parts.append(part)
    return b"".join(parts)
