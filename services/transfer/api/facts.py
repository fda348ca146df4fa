"""What quote and core_api own: from our own tables, and from the owner once for what the table does not have yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from contracts.quote.v1 import QuoteCreated
from services.kernel.codec import decoder
from services.kernel.event_store import PostgresStore
from services.transfer.domain.commands import Terms
from services.transfer.ports import Person
from services.transfer.projections.profiles import profiles_of
from services.transfer.projections.quote_terms import terms_of

_decode_terms = decoder(dict[UUID, QuoteCreated])
_decode_people = decoder(dict[UUID, Person])


class Owner(Protocol):
    """The internal route of the service that owns a fact."""

    async def ask(self, body: Mapping[str, Any], read: Callable[[bytes], Any]) -> Any:
        """One call; raises OwnerUnavailable for whatever goes wrong."""


class OwnedQuotes:
    """The terms of quotes."""

    def __init__(self, store: PostgresStore, owner: Owner) -> None:
        self._store = store
        self._owner = owner

    async def terms(self, tenant: str, quote_ids: Sequence[UUID]) -> Mapping[UUID, Terms]:
        """See ports.QuoteTerms."""
        found = await terms_of(self._store, quote_ids)
        missing = [str(each) for each in quote_ids if each not in found]
        if missing:
            found |= await self._owner.ask({"tenant": tenant, "quote_ids": missing}, _decode_terms)
        return {quote_id: _terms(created) for quote_id, created in found.items()}


def _terms(created: QuoteCreated) -> Terms:
    return Terms(
        quote_id=created.quote_id,
        customer_id=created.customer_id,
        corridor=created.corridor,
        send=created.send,
        fee=created.fee,
        spread=created.spread,
        converted=created.converted,
        receive=created.receive,
        rate=created.rate,
        tolerance=created.tolerance,
        rail=created.rail,
        partner=created.partner,
        funding_seconds=created.funding_seconds,
        expires_at=created.expires_at,
    )


class OwnedPeople:
    """The facts of profiles. A verdict that our table does not have yet is asked for too: KYC may just have passed."""

    def __init__(self, store: PostgresStore, owner: Owner) -> None:
        self._store = store
        self._owner = owner

    async def people(self, tenant: str, profile_ids: Sequence[UUID]) -> Mapping[UUID, Person]:
        """See ports.People."""
        found = await profiles_of(self._store, profile_ids)
        behind = [str(each) for each in profile_ids if each not in found or found[each].kyc == "pending"]
        if behind:
            found |= await self._owner.ask({"tenant": tenant, "profile_ids": behind}, _decode_people)
        return found
