"""The queue as it is read: items of all tables in one order, counts and sums, and what we ourselves have parked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from services.kernel.event_store import PostgresStore
from services.kernel.internal import PARKED
from services.review.domain.queue import PATHS, Filter, Item, Position
from services.review.domain.reasons import Reason

ERROR_CHARS_MAX = 100  # the class alone: its text may hold what the record holds
_COLUMNS = """item_id, reason, service, subject_id, transfer_id, amount_minor, currency, opened_at, closed_at,
              opened_by, closed_by, detail, facts"""
_MATCHES = "($1::text IS NULL OR reason = $1) AND ($2::text IS NULL OR currency = $2)"
OPEN = f"""
    SELECT {_COLUMNS} FROM review_item
    WHERE closed_at IS NULL AND {_MATCHES} AND (opened_at, item_id) > ($3, $4)
    ORDER BY opened_at, item_id LIMIT $5"""  # noqa: S608 - our own names
CLOSED = OPEN.replace("closed_at IS NULL", "closed_at IS NOT NULL")
ONE = f"SELECT {_COLUMNS} FROM review_item WHERE item_id = $1"  # noqa: S608 - our own names
COUNTS = """
    SELECT reason, count(*), min(opened_at) FROM review_item
    WHERE closed_at IS NULL AND ($1::text IS NULL OR currency = $1) GROUP BY reason"""
# the money of a transfer counts once in each currency, however many items it has
TOTALS = f"""
    SELECT currency, sum(amount_minor)::bigint FROM (
        SELECT currency, max(amount_minor) AS amount_minor FROM review_item
        WHERE closed_at IS NULL AND currency IS NOT NULL AND {_MATCHES}
        GROUP BY currency, coalesce(transfer_id, item_id)) each
    GROUP BY currency ORDER BY currency"""  # noqa: S608 - our own names
_PARKED = ("consumer", "topic", "stream_id", "event_type", "error", "fingerprint", "count", "parked_at")
_LINKS = {  # of an item, by its stream and its facts
    "deposit_watcher": PATHS["deposit"],
    "payout_orchestrator": PATHS["payout"],
    "transfer": PATHS["transfer"],
    "reconciliation": "/v1/recon/runs/{run_id}/issues",
}


@dataclass(frozen=True, slots=True)
class Counted:
    """How many are open for a reason, and since when the oldest."""

    count: int
    oldest_at: Any  # datetime


async def items(store: PostgresStore, wanted: Filter, after: Position, limit: int) -> list[Item]:
    """At most `limit` items behind `after`, in order."""
    sql = OPEN if wanted.is_open else CLOSED
    rows = await store.fetch(sql, wanted.reason, wanted.currency, *after, limit)
    return [_item(*row) for row in rows]


async def item(store: PostgresStore, review_id: UUID) -> Item | None:
    """One item, open or closed."""
    rows = await store.fetch(ONE, review_id)
    return _item(*rows[0]) if rows else None


async def counts(store: PostgresStore, currency: str | None) -> dict[Reason, Counted]:
    """Open items by reason."""
    return {Reason(row[0]): Counted(row[1], row[2]) for row in await store.fetch(COUNTS, currency)}


async def totals(store: PostgresStore, wanted: Filter) -> dict[str, int]:
    """Minor units that wait, by currency."""
    return dict(await store.fetch(TOTALS, wanted.reason, wanted.currency))


async def own_parked(store: PostgresStore, limit: int) -> Sequence[Mapping[str, Any]]:
    """What this service itself could not handle, a row for each stream, as the others say it."""
    rows = [dict(zip(_PARKED, row, strict=True)) for row in await store.fetch(PARKED, limit)]
    return [row | {"error": row["error"].partition(":")[0][:ERROR_CHARS_MAX]} for row in rows]


def _item(review_id: UUID, reason: str, service: str, subject_id: UUID, *rest: Any) -> Item:
    transfer_id, amount_minor, currency, opened_at, closed_at, opened_by, closed_by, detail, facts = rest
    told = msgspec.json.decode(facts)
    return Item(
        review_id=review_id,
        reason=Reason(reason),
        service=service,
        subject_id=subject_id,
        transfer_id=transfer_id,
        amount_minor=amount_minor,
        currency=currency,
        opened_at=opened_at,
        closed_at=closed_at,
        opened_by=opened_by,
        closed_by=closed_by,
        detail=detail,
        link=_LINKS[service].format(subject_id, **told),
        facts=told,
    )
