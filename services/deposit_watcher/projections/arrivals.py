"""arrivals: which raw arrivals touched a route, as they were judged. Read where they are; their bytes stay sealed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from contracts.deposit.v1 import DepositEvent, DepositObserved, DepositReferenceMismatched
from services.kernel.store import Store
from services.kernel.value import value

ARRIVALS_MAX = 500  # of one answer, the first ones
# Those that events name, and those that said the same reference again: by raw_arrival_repeated (sql/surface.sql).
ARRIVALS = """
    SELECT arrival_id, source, transport, verdict, reference, content, received_at, octet_length(body)
    FROM (
        SELECT a.* FROM raw_arrival a WHERE a.arrival_id = ANY($1::uuid[])
        UNION
        SELECT a.*
        FROM unnest($2::text[], $3::text[]) w(source, reference)
        CROSS JOIN LATERAL (
            SELECT * FROM raw_arrival a
            WHERE a.reference = w.reference AND a.source = w.source AND a.verdict <> 'accepted'
            ORDER BY a.received_at
            LIMIT $4) a
    ) touched
    WHERE tenant = $5
    ORDER BY received_at, arrival_id
    LIMIT $4"""


@value(kw_only=True)
class ArrivalView:
    """One arrival. `size_bytes` is what its sealed body takes; an item of a batch has its bytes in the batch's."""

    arrival_id: UUID
    source: str
    transport: str
    verdict: str
    reference: str | None
    content: str | None  # fingerprint of the normalised business fields
    received_at: datetime
    size_bytes: int


def named_by(events: Iterable[DepositEvent]) -> tuple[list[UUID], list[tuple[str, str]]]:
    """The arrivals that events name, and the references (partner, reference) that they had."""
    told = [each for each in events if isinstance(each, DepositObserved | DepositReferenceMismatched)]
    return [each.arrival_id for each in told], sorted({(each.partner, each.reference) for each in told})


async def arrivals_of(store: Store, tenant: str, events: Sequence[DepositEvent]) -> list[ArrivalView]:
    """Those that touched the route of these events, oldest first."""
    ids, references = named_by(events)
    if not ids:
        return []
    sources, texts = [each[0] for each in references], [each[1] for each in references]
    return [_view(*row) for row in await store.fetch(ARRIVALS, ids, sources, texts, ARRIVALS_MAX, tenant)]


def _view(*row: Any) -> ArrivalView:
    arrival_id, source, transport, verdict, reference, content, received_at, size = row
    return ArrivalView(
        arrival_id=arrival_id, source=source, transport=transport, verdict=verdict, reference=reference,
        content=content, received_at=received_at, size_bytes=size,
    )  # fmt: skip
