"""The history of a stream for people: who did what, when and why. What is sealed stays out of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from pydantic import Field

from services.kernel.engine import Engine
from services.kernel.store import StoredRow
from services.kernel.strict_json import Body

EVENTS_MAX = 500  # of one stream; the first ones
_SEALED = frozenset({"subject", "key_version", "box"})  # the members of sealed.Sealed
MASK = {"sealed": True}


class Step(Body):
    """One event of a stream, without who did it, why, and its content."""

    stream_id: UUID
    version: int = Field(ge=1)
    event_id: UUID
    type: str
    from_: str | None = Field(alias="from", description="the state before; null before the first event")
    to: str | None
    at: datetime
    correlation_id: UUID
    causation_id: UUID | None
    trace_id: str | None = Field(description="of the request or record that caused it; 32 hex digits")


class TimelineEntry(Step):
    """One event of a stream."""

    actor: str
    reason: str | None
    data: dict[str, Any] = Field(description='its content, with {"sealed": true} for what is personal')


async def timeline(reads: Engine, stream_id: UUID) -> list[dict[str, Any]]:
    """Each event with the states before and after it; none for a stream that does not exist."""
    found = reads.history(stream_id, EVENTS_MAX)
    return [entry(stream_id, row, before, after) async for row, before, after in found]


def entry(stream_id: UUID, row: StoredRow, before: Any, after: Any) -> dict[str, Any]:
    """One event, as a timeline shows it."""
    return {
        "stream_id": stream_id,
        "version": row.version,
        "event_id": row.event_id,
        "type": row.event_type,
        "from": getattr(before, "state", None),
        "to": getattr(after, "state", None),
        "at": row.occurred_at,
        "actor": row.meta.actor,
        "reason": row.meta.reason,
        "correlation_id": row.meta.correlation_id,
        "causation_id": row.meta.causation_id,
        "trace_id": trace_id(row.meta.traceparent),
        "data": masked(msgspec.json.decode(row.data)),
    }


def trace_id(traceparent: str | None) -> str | None:
    """The second field of a W3C traceparent, 32 hex digits."""
    fields = (traceparent or "").split("-")
    return fields[1] if len(fields) == 4 else None


def masked(value: Any) -> Any:
    """JSON in which {"sealed": true} stands for every sealed value."""
    match value:
        case dict():
            if _SEALED.issubset(value):
                return dict(MASK)
            return {name: masked(each) for name, each in value.items()}
        case list():
            return [masked(each) for each in value]
        case _:
            return value
