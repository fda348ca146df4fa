"""quote_terms: what each quote promised, as its own event says it. Rebuilt from the topic; decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from contracts.quote.v1 import QuoteCreated
from contracts.topics import QUOTE
from contracts.upcasts import UPCASTS
from services.kernel.codec import decoder, encode
from services.kernel.event_store import PostgresStore
from services.kernel.projector import Projection

TERMS_OF = "SELECT quote_id, terms FROM quote_terms WHERE quote_id = ANY($1)"
_decode = decoder(QuoteCreated)


@dataclass(frozen=True, slots=True)
class QuoteTermsRow:
    """One quote."""

    customer_id: UUID
    terms: bytes  # JSON of QuoteCreated


def key(event: QuoteCreated) -> UUID:
    """The quote."""
    return event.quote_id


def evolve(_row: QuoteTermsRow | None, event: QuoteCreated) -> QuoteTermsRow:
    """Terms never change."""
    return QuoteTermsRow(event.customer_id, encode(event))


PROJECTION = Projection(
    name="quote_terms",
    key_column="quote_id",
    row=QuoteTermsRow,
    topic=QUOTE.name,
    events=QUOTE.events,
    wanted=(QuoteCreated,),
    key=key,
    evolve=evolve,
    upcasts=UPCASTS,
)


async def terms_of(store: PostgresStore, quote_ids: Sequence[UUID]) -> dict[UUID, QuoteCreated]:
    """The terms of those quotes that we know, in one query."""
    rows = await store.fetch(TERMS_OF, list(quote_ids))
    return {quote_id: _decode(terms) for quote_id, terms in rows}
