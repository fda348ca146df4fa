"""What the ledger needs from outside."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from services.ledger.domain.fx import Quoted


class RatesUnavailable(Exception):
    """The owner of the rates does not answer, or not in the form that we know."""


class Published(NamedTuple):
    """The newest rates, and the corridors whose pair has none."""

    rates: tuple[Quoted, ...]
    unpublished: tuple[str, ...]


class Rates(Protocol):
    """Whoever knows the published rates."""

    async def published(self) -> Published:
        """Those of this moment; how old one may be comes with it. Raises RatesUnavailable."""
