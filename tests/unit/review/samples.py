"""The test language of tables of items: after(projection, *events) is what waits and what has healed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from services.kernel.decider import Cause
from services.kernel.projector import Projection, Standing
from services.review.domain.queue import Item
from services.review.domain.reasons import Reason
from services.review.projections.items import ItemRow

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
CAUSE = Cause(
    event_id=UUID(int=9), event_type="corridor.test.happened.v1", stream_id=UUID(int=9), version=1, tenant="main",
    correlation_id=UUID(int=9), occurred_at=AT,
)  # fmt: skip


def after(projection: Projection, *events: Any) -> dict[UUID, ItemRow]:
    """The rows after these events, of which only those that the table wants are asked."""
    standing = Standing()
    standing.load(())
    consumes = projection.inbox("review", 1, standing).consumes
    rows: dict[UUID, ItemRow] = {}
    for event in events:
        for ask in consumes[type(event)](event, CAUSE) if type(event) in consumes else ():
            row = projection.evolve(rows.get(ask.stream_id), ask.command)
            if row is not None:
                rows[ask.stream_id] = row
    return rows


def waits(projection: Projection, *events: Any) -> list[Reason]:
    """The reasons of what is open after these events."""
    return sorted(Reason(row.reason) for row in after(projection, *events).values() if row.closed_at is None)


def only(projection: Projection, *events: Any) -> ItemRow:
    """The one row after these events."""
    (row,) = after(projection, *events).values()
    return row


def item(number: int, opened_at: datetime = AT, reason: Reason = Reason.PAYOUT_UNKNOWN) -> Item:
    """Some item."""
    return Item(
        review_id=UUID(int=number), reason=reason, service="payout_orchestrator", subject_id=UUID(int=5),
        transfer_id=UUID(int=6), amount_minor=100, currency="GBP", opened_at=opened_at, closed_at=None,
        opened_by="corridor.payout.unknown.v1", closed_by=None, detail="no answer", link="/v1/payouts/5",
    )  # fmt: skip
