"""What the quote service needs from outside."""

from __future__ import annotations

from typing import Protocol

from services.kernel.money import Currency, Rate


class RateUnavailable(Exception):
    """The source does not answer, or has no rate for the pair: an outage, not a refusal."""


class RateSource(Protocol):
    """Somebody who publishes rates."""

    async def rate(self, source: Currency, target: Currency) -> Rate:
        """The newest rate that we have; its age is judged by `price`. Raises RateUnavailable."""
