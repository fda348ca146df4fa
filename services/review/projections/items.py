"""The row that all tables of items share, and how it opens, stays and closes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from contracts.topics import Topic
from contracts.upcasts import UPCASTS
from services.kernel.codec import encode
from services.kernel.money import Money
from services.kernel.projector import Projection
from services.review.domain.reasons import Reason

DETAIL_CHARS_MAX = 300


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item, open while `closed_at` is null."""

    reason: str
    subject_id: UUID  # the stream
    transfer_id: UUID | None
    amount_minor: int | None
    currency: str | None
    opened_at: datetime
    closed_at: datetime | None
    opened_by: str  # event type
    closed_by: str | None
    detail: str
    facts: bytes  # JSON of the last event that kept it open


def opened(
    row: ItemRow | None,
    event: Any,
    reason: Reason,
    *,
    subject_id: UUID,
    transfer_id: UUID | None,
    amount: Money | None,
    at: datetime,
    detail: str,
) -> ItemRow:
    """The row while it waits. The same reason again keeps its time; another reason is another wait."""
    waits = row is not None and row.closed_at is None and row.reason == reason
    return ItemRow(
        reason=reason.value,
        subject_id=subject_id,
        transfer_id=transfer_id,
        amount_minor=amount.minor if amount else None,
        currency=amount.currency if amount else None,
        opened_at=row.opened_at if row is not None and waits else at,
        closed_at=None,
        opened_by=row.opened_by if row is not None and waits else event.type,
        closed_by=None,
        detail=detail[:DETAIL_CHARS_MAX],
        facts=encode(event),
    )


def closed(row: ItemRow | None, event: Any, at: datetime) -> ItemRow | None:
    """The row after it has healed. What was no trouble, or is over, stays as it is."""
    if row is None or row.closed_at is not None:
        return row
    return replace(row, closed_at=at, closed_by=event.type)


def projection(
    name: str,
    topic: Topic,
    *,
    opens: tuple[type, ...],
    closes: tuple[type, ...],
    key: Callable[[Any], UUID],
    evolve: Callable[[Any, Any], ItemRow | None],
) -> Projection:
    """A table of items; events of streams that are well cost nothing."""
    return Projection(
        name=name,
        key_column="item_id",
        row=ItemRow,
        topic=topic.name,
        events=topic.events,
        wanted=(*opens, *closes),
        key=key,
        evolve=evolve,
        upcasts=UPCASTS,
        opens=opens,
        stands="closed_at IS NULL",
    )
