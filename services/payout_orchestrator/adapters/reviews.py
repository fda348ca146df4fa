"""Which payouts wait for a person: a row for each, written with the event that begins or ends it, and two metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from contracts.payout.v1 import PayoutConfirmed, PayoutRefused, PayoutReviewRequired
from services.kernel import metrics
from services.kernel.engine import Beside
from services.kernel.event_store import PostgresStore
from services.kernel.parts import Part, typed
from services.kernel.store import Row, Write
from services.payout_orchestrator.domain.states import ManualReview

SIZE = "payout_manual_review_queue_size"
WAITING = "SELECT count(*) FROM manual_review WHERE waits"
_ACTION = 2


def _last(rows: Any) -> list[Row]:
    """Of a payout that came and went in one batch."""
    return list({row[0]: row for row in rows}.values())


PART = Part(
    "manual_review",
    typed("payout_id uuid, waits boolean, action text"),
    """INSERT INTO manual_review (payout_id, waits, action)
       SELECT payout_id, waits, action FROM {rows} ORDER BY payout_id
       ON CONFLICT (payout_id) DO UPDATE SET waits = excluded.waits, action = excluded.action, changed_at = now()
       RETURNING 1""",
    None,
    _last,
)


def _begins(event: PayoutReviewRequired | PayoutRefused, write: Write, before: Any) -> None:
    if not isinstance(before, ManualReview):
        write.add(PART.name, (event.payout_id, True, "queued"))


def ends(action: str) -> Callable[[Any, Write, Any], None]:
    """Beside an event that takes a payout out of review; `action` is one of metrics.REVIEW_ACTIONS."""

    def beside(event: Any, write: Write, before: Any) -> None:
        if isinstance(before, ManualReview):
            write.add(PART.name, (event.payout_id, False, action))

    return beside


ALSO_OF: Mapping[type, Beside] = {
    PayoutReviewRequired: _begins,
    PayoutRefused: _begins,
    PayoutConfirmed: ends("confirmed"),
}


def committed(write: Write) -> None:
    """Count each transition, once it is true."""
    for row in write.rows.get(PART.name, ()):
        metrics.PAYOUT_REVIEW_TRANSITIONS.labels(row[_ACTION]).inc()


def show(store: PostgresStore) -> None:
    """The size of the queue, counted in the database at each scrape: right after a restart, the same everywhere."""

    async def count() -> float:
        return float((await store.fetch(WAITING))[0][0])

    metrics.count_at_scrape(SIZE, "Payouts that wait for a person now", count)
