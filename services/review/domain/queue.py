"""One order of everything that waits: the oldest first, ties by id. Items come from events and from asking services."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.review.domain.reasons import Reason

BEGINNING = (datetime(1, 1, 1, tzinfo=UTC), UUID(int=0))
Position = tuple[datetime, UUID]  # of an item in the queue: opened_at, review_id
# what shows a stream, by the service that owns it
PATHS = {
    "quote": "/v1/quotes/{}",
    "transfer": "/v1/transfers/{}",
    "deposit": "/v1/deposits/routes/{}",
    "payout": "/v1/payouts/{}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something that waits for a person, or did. Amounts in minor units; None where no money is in question."""

    review_id: UUID
    reason: Reason
    service: str
    subject_id: UUID | None  # the stream
    transfer_id: UUID | None
    amount_minor: int | None
    currency: str | None
    opened_at: datetime
    closed_at: datetime | None
    opened_by: str  # event type
    closed_by: str | None
    detail: str
    link: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def position(self) -> Position:
        """Its place in the order."""
        return self.opened_at, self.review_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which items. `currency` leaves out what has no amount."""

    reason: Reason | None = None
    is_open: bool = True
    currency: str | None = None

    def wants(self, item: Item) -> bool:
        """Whether the item is one of them."""
        return (
            (self.reason is None or item.reason == self.reason)
            and (item.closed_at is None) == self.is_open
            and (self.currency is None or item.currency == self.currency)
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Some items in order, and where the next page begins."""

    items: tuple[Item, ...]
    following: Position | None


def page(stored: Sequence[Item], asked: Iterable[Item], after: Position, limit: int) -> Page:
    """The first `limit` items behind `after`. `stored` are in order, and more than `limit` if there are more."""
    others = sorted((item for item in asked if item.position > after), key=_position)
    merged = list(heapq.merge(stored, others, key=_position))
    items = tuple(merged[:limit])
    return Page(items, items[-1].position if len(merged) > limit else None)


def _position(item: Item) -> Position:
    return item.position


def topic_link(topic: str, stream_id: UUID | None, otherwise: str) -> str:
    """The path that shows a stream of `corridor.<owner>.events.v1`; `otherwise` when there is none."""
    owner = topic.split(".")[1] if topic.startswith("corridor.") else ""
    path = PATHS.get(owner)
    return path.format(stream_id) if path and stream_id else otherwise
