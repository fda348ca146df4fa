"""What all services have parked. No event says it, so they are asked, at once and at most every few seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.kernel.ids import derive
from services.review.domain.queue import Item, topic_link
from services.review.domain.reasons import Reason
from services.review.ports import OWNERS, OwnerRefused, Owners, OwnerUnavailable, Parked

FRESH_SECONDS = 3.0
STREAMS_MAX = 500  # of one service; beyond it its name is in `incomplete`
PATH = f"/internal/parked?limit={STREAMS_MAX}"
OWN = "review"
Rows = Sequence[Mapping[str, Any]]


class AskedParked:
    """Asks the others over HTTP and itself in its own store; whoever comes meanwhile shares the answer."""

    def __init__(
        self,
        owners: Owners,
        token: Callable[[], str],
        own: Callable[[int], Awaitable[Rows]],
        services: Sequence[str] = OWNERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`token` gives one of a service; `own` reads at most so many of our own streams."""
        self._owners = owners
        self._token = token
        self._own = own
        self._services = services
        self._clock = clock
        self._asking: asyncio.Task[Parked] | None = None
        self._asked_at = 0.0

    async def parked(self) -> Parked:
        """See ports.ParkedStreams."""
        if self._asking is None or (self._asking.done() and self._clock() - self._asked_at >= FRESH_SECONDS):
            self._asked_at = self._clock()
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)

    async def _ask(self) -> Parked:
        names = (*self._services, OWN)
        said = await asyncio.gather(*(self._of(name) for name in names))
        silent = [name for name, rows in zip(names, said, strict=True) if rows is None or len(rows) >= STREAMS_MAX]
        items = [_item(name, row) for name, rows in zip(names, said, strict=True) for row in rows or ()]
        return Parked(items, tuple(silent))

    async def _of(self, service: str) -> Rows | None:
        """None when it does not say. What went wrong is the owner's to log; the caller is told its name."""
        try:
            if service == OWN:
                return await self._own(STREAMS_MAX)
            found = await self._owners.get(service, PATH, self._token())
        except (OwnerUnavailable, OwnerRefused):
            return None
        return None if found is None else list(found["items"])


def _item(service: str, row: Mapping[str, Any]) -> Item:
    stream_id = UUID(str(row["stream_id"])) if row["stream_id"] else None
    topic, count = str(row["topic"]), int(row["count"])
    review_id = derive("review", service, row["consumer"], topic, stream_id or row["fingerprint"])
    at, error = row["parked_at"], row["error"]
    return Item(
        review_id=review_id,
        reason=Reason.PARKED_STREAM,
        service=service,
        subject_id=stream_id,
        transfer_id=stream_id if topic.startswith("corridor.transfer.") else None,
        amount_minor=None,
        currency=None,
        opened_at=at if isinstance(at, datetime) else datetime.fromisoformat(at),
        closed_at=None,
        opened_by=str(row["event_type"] or "unreadable"),
        closed_by=None,
        detail=f"{row['consumer']}: {error} ({count} {'record' if count == 1 else 'records'} wait)",
        link=topic_link(topic, stream_id, f"/v1/reviews/{review_id}"),
        facts=dict(row),
    )
