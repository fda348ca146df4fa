"""What reconciliation needs from outside: the books of the partners, and the ends of the topics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from typing import Literal, Protocol
from uuid import UUID

from services.kernel.value import value
from services.reconciliation.domain.statements.checks import Calendar
from services.reconciliation.domain.statements.shape import Statement

Format = Literal["camt053", "camt054", "csv"]


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


@value
class Read:
    """What a file says: its digest, and its statements."""

    sha256: str
    statements: tuple[Statement, ...]


class Statements(Protocol):
    """What partners send, read into the one shape."""

    async def of_file(self, body: bytes, partner: str, kind: Format) -> Read:
        """Raises BadFile when nothing of it can be used."""

    async def of_book(self, partner: str, day: date) -> Read:
        """A day of the partner's own book. Raises BadFile, BookUnavailable."""

    def calendar(self, partner: str) -> Calendar:
        """On which days it makes a statement."""
