"""What reconciliation needs from outside: the books of the partners, and the ends of the topics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.kernel.value import value


class BookUnavailable(Exception):
    """The partner's book cannot be read, or not to its end: nothing follows from what is missing in it."""


class TopicsUnavailable(Exception):
    """Kafka does not say where its topics end."""


@value(kw_only=True)
class Paid:
    """A payment in the provider's book."""

    seq: int
    payment_id: str
    transfer_id: UUID | None
    amount_minor: int
    currency: str
    status: str
    accepted_at: datetime
    settled_at: datetime | None


@value(kw_only=True)
class Collected:
    """Money in the book of a partner who collects."""

    seq: int
    partner: str
    reference: str
    route_id: UUID
    amount_minor: int
    currency: str
    booked_at: datetime


@value(kw_only=True)
class Page:
    """All entries of the book behind `since`, up to and with `until`; `last` when there are no more."""

    since: int
    until: int
    last: bool
    paid: tuple[Paid, ...]
    collected: tuple[Collected, ...]


class Book(Protocol):
    """The book of the bank that pays out, and of those who collect."""

    def pages(self) -> AsyncIterator[Page]:
        """All of it, in the order of its entries. Raises BookUnavailable."""


class Ends(Protocol):
    """Where the topics end now."""

    async def ends(self, topics: Sequence[str]) -> Mapping[tuple[str, int], int]:
        """The offset behind the last record of each partition. Raises TopicsUnavailable."""
