"""The published rates, asked of the quote service when somebody wants a report. None is kept, no topic is read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from services.kernel import tracing
from services.kernel.money import RATE_TEXT, Rate, iso4217, rate_text
from services.kernel.rejected import Rejected
from services.kernel.upstream import Link, Upstream, UpstreamBusy, UpstreamLost
from services.ledger.domain.fx import Quoted
from services.ledger.ports import Published, RatesUnavailable

PATH = "/internal/rates"
SECONDS_MAX = 2.0  # a person waits for the report
ANSWER_BYTES_MAX = 256 * 1024


class QuotedRates:
    """See ports.Rates."""

    def __init__(self, upstream: Upstream, token: Callable[[], str]) -> None:
        """`token` gives one that is good now."""
        self._upstream = upstream
        self._token = token

    async def published(self) -> Published:
        """One call. Raises RatesUnavailable for whatever goes wrong."""
        try:
            async with asyncio.timeout(SECONDS_MAX):
                status, body = await self._get()
            if status != 200:
                raise RatesUnavailable(f"quote answers {status}")
            return read(body)
        except (UpstreamLost, UpstreamBusy, TimeoutError) as error:
            raise RatesUnavailable(f"quote does not answer ({type(error).__name__})") from error
        except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError, Rejected) as error:
            raise RatesUnavailable(f"quote answers what is no list of rates ({type(error).__name__})") from error

    async def _get(self) -> tuple[int, bytes]:
        trace = tracing.traceparent()
        lines = [
            f"GET {PATH} HTTP/1.1", f"host: {self._upstream.authority.decode()}",
            f"authorization: Bearer {self._token()}", *([f"traceparent: {trace}"] if trace else []),
        ]  # fmt: skip
        link = await self._upstream.exchange("\r\n".join([*lines, "", ""]).encode(), repeatable=True)
        try:
            return link.status, await _whole(link)
        finally:
            self._upstream.release(link)


async def _whole(link: Link) -> bytes:
    body, last = b"", False
    while not last:
        part, last = await link.part()
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            raise UpstreamLost("too large")
    return body


def read(body: bytes) -> Published:
    """The rates of an answer. Raises ValueError, KeyError, TypeError, ArithmeticError, RecursionError or Rejected."""
    document: dict[str, Any] = msgspec.json.decode(body)
    return Published(tuple(map(_quoted, document["rates"])), tuple(str(name)[:16] for name in document["unpublished"]))


def _quoted(entry: dict[str, Any]) -> Quoted:
    text, published_at = entry["value"], datetime.fromisoformat(entry["published_at"])
    if not isinstance(text, str) or not RATE_TEXT.fullmatch(text):
        raise ValueError("a rate is decimal text")
    if published_at.tzinfo is None:
        raise ValueError("published_at has no offset")
    rate = Rate(
        iso4217(entry["source"]), iso4217(entry["target"]), rate_text(Decimal(text)), str(entry["publisher"])[:64],
        published_at,
    )  # fmt: skip
    return Quoted(rate, timedelta(seconds=entry["max_age_seconds"]))
