"""What review needs of the services that own what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from services.review.domain.queue import Item

OWNERS = (
    "core_api", "quote", "transfer", "deposit_watcher", "payout_orchestrator", "ledger", "reconciliation",
)  # fmt: skip


class OwnerUnavailable(Exception):
    """No answer in time, not a whole one, or one that says that it cannot."""


class OwnerRefused(Exception):
    """The owner does not let this caller see it: its HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


class Owners(Protocol):
    """The other services over HTTP."""

    async def get(self, service: str, path: str, bearer: str) -> Any:
        """The JSON of a 200, None for a 404. Raises OwnerUnavailable, OwnerRefused."""


@dataclass(frozen=True, slots=True)
class Parked:
    """The parked streams of those services that answered, and the names of those that did not, or not with all."""

    items: Sequence[Item]
    incomplete: tuple[str, ...]


class ParkedStreams(Protocol):
    """What all services keep because they could not handle it."""

    async def parked(self) -> Parked:
        """As of some seconds ago."""
