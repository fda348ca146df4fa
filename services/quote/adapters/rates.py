"""A rate feed over HTTP: fetched in the background, so that no quote waits for it; its age is judged by the domain.

GET <url> -> {"publisher": str, "published_at": RFC 3339, "rates": [{"source", "target", "value": decimal text}]}
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from decimal import Decimal
from typing import Any

import aiohttp
import msgspec

from services.kernel.money import RATE_TEXT, Currency, Rate, iso4217, rate_text
from services.kernel.rejected import Rejected
from services.kernel.telemetry import logger
from services.quote.ports import RateUnavailable

REFRESH_SECONDS = 5.0
TIMEOUT_SECONDS = 3.0
ANSWER_BYTES_MAX = 256 * 1024
_LOG = logger("rates")


class RateFeed:
    """The newest rates that the feed published."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._rates: dict[tuple[Currency, Currency], Rate] = {}

    async def rate(self, source: Currency, target: Currency) -> Rate:
        """See ports.RateSource."""
        found = self._rates.get((source, target))
        if found is None:
            await self.refresh()
            found = self._rates.get((source, target))
        if found is None:
            raise RateUnavailable(f"{source}/{target}")
        return found

    async def run(self) -> None:
        """Keep the rates new for ever; a feed that is away leaves the old ones to grow stale."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_SECONDS)

    async def refresh(self) -> None:
        """One fetch; what cannot be read is left out."""
        try:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
            async with self._session.get(self._url, timeout=timeout) as answer:
                answer.raise_for_status()
                body = await answer.content.read(ANSWER_BYTES_MAX)
            self._rates |= {(rate.source, rate.target): rate for rate in read(body)}
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError, RecursionError, Rejected) as error:
            _LOG.warning("rates_not_refreshed", error=type(error).__name__)


def read(body: bytes) -> list[Rate]:
    """The rates of an answer. Raises ValueError, KeyError, TypeError, RecursionError or Rejected for any other."""
    document: dict[str, Any] = msgspec.json.decode(body)
    published_at = datetime.fromisoformat(document["published_at"])
    if published_at.tzinfo is None:
        raise ValueError("published_at has no offset")
    return [_rate(entry, str(document["publisher"])[:64], published_at) for entry in document["rates"]]


def _rate(entry: dict[str, Any], publisher: str, published_at: datetime) -> Rate:
    text = entry["value"]
    if not isinstance(text, str) or not RATE_TEXT.fullmatch(text):
        raise ValueError("a rate is decimal text")
    return Rate(iso4217(entry["source"]), iso4217(entry["target"]), rate_text(Decimal(text)), publisher, published_at)
