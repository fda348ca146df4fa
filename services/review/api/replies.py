"""What the queue is asked and answers, for the documentation. The functions of api make the values."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from services.kernel.pages import LIMIT_DEFAULT, LIMIT_MAX, Query, Whole
from services.kernel.strict_json import Body
from services.review.domain.reasons import Reason
from services.review.domain.timeline import Lane

CURSOR_CHARS_MAX = 80


class QueueQuery(Query):
    """Which items, and which page of them."""

    reason: Reason | None = Field(None, description="only items of one reason")
    state: Literal["open", "closed"] = Field("open", description="`closed`: what has healed, or was settled")
    currency: str | None = Field(None, pattern="^[A-Z]{3}$", description="ISO 4217; leaves out what has no amount")
    limit: Whole = Field(LIMIT_DEFAULT, ge=1, le=LIMIT_MAX, description="items of a page, at most")
    cursor: str | None = Field(None, max_length=CURSOR_CHARS_MAX, description="`next_cursor` of the page before")


class ReviewItem(Body):
    """Something that waits for a person, or did."""

    review_id: UUID
    reason: Reason
    service: str = Field(description="who owns it")
    transfer_id: UUID | None
    amount_minor: int | None = Field(description="null where no money is in question, or nobody has said how much")
    amount_decimal: str | None = Field(description="the same, with the currency's decimal places")
    currency: str | None
    opened_at: datetime
    age_seconds: int = Field(description="how long it waits, or waited")
    link: str = Field(description="the path of this API that shows it")
    detail: str


class CurrencyTotal(Body):
    """Minor units that wait. The money of a transfer counts once."""

    currency: str
    amount_minor: int
    amount_decimal: str


class QueueReply(Body):
    """A page of the queue, oldest first."""

    items: list[ReviewItem]
    next_cursor: str | None = Field(description="null at the end")
    counts: dict[Reason, int] = Field(
        description="open items of every reason, whatever `reason` asks for; {} if closed"
    )
    totals: list[CurrencyTotal] = Field(description="of all open items that the filters take; [] if closed")
    incomplete: list[str] = Field(description="services that did not say what they have parked, or not all of it")


class TimelineEntry(Body):
    """One thing that happened."""

    at: datetime
    lane: Lane
    type: str
    summary: str
    service: str
    stream_id: UUID | None
    version: int | None
    actor: str | None
    reason: str | None
    trace_id: str | None
    data: dict[str, Any]


class TransferStory(Body):
    """Everything that is known of a transfer, in the order of time."""

    transfer_id: UUID
    entries: list[TimelineEntry]
    incomplete: list[str] = Field(description="lanes whose owner did not answer")


class ReviewReply(ReviewItem):
    """An item with what a person needs to decide."""

    state: Literal["open", "closed"]
    subject_id: UUID | None = Field(description="the stream: a route, a payout, a transfer")
    closed_at: datetime | None
    opened_by: str = Field(description="event type")
    closed_by: str | None
    facts: dict[str, Any] = Field(description="the last event that kept it open")
    what_to_do: str
    timeline: list[TimelineEntry] = Field(description="of its transfer; empty without one")
    incomplete: list[str] = Field(description="lanes of the timeline whose owner did not answer")
