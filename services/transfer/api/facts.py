"""What quote and core_api own: from our own tables, and from the owner once for what the table does not have yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from contracts.quote.v1 import QuoteCreated
from services.kernel.bulk import ITEMS_MAX
from services.kernel.codec import decoder
from services.kernel.event_store import PostgresStore
from services.kernel.loader import Loader
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
    """The terms of quotes. Requests that wait for the same table or owner are asked for together."""

    def __init__(self, store: PostgresStore, owner: Owner) -> None:
        self._owner = owner
        self._known: Loader[UUID, QuoteCreated] = Loader(lambda ids: terms_of(store, ids))
        self._owned: Loader[tuple[str, UUID], QuoteCreated] = Loader(self._ask)

    async def terms(self, tenant: str, quote_ids: Sequence[UUID]) -> Mapping[UUID, Terms]:
        """See ports.QuoteTerms."""
        found = await self._known.load(quote_ids)
        missing = [(tenant, each) for each in quote_ids if each not in found]
        if missing:
            found |= {quote_id: created for (_, quote_id), created in (await self._owned.load(missing)).items()}
        return {quote_id: _terms(created) for quote_id, created in found.items()}

    async def _ask(self, keys: list[tuple[str, UUID]]) -> dict[tuple[str, UUID], QuoteCreated]:
        return await _owned(self._owner, "quote_ids", keys, _decode_terms)


async def _owned(
    owner: Owner, name: str, keys: list[tuple[str, UUID]], read: Callable[[bytes], Any]
) -> dict[tuple[str, UUID], Any]:
    """Ask for the ids of each tenant, in calls of at most ITEMS_MAX."""
    found: dict[tuple[str, UUID], Any] = {}
    for tenant in sorted({tenant for tenant, _ in keys}):
        ids = [str(each) for owned_by, each in keys if owned_by == tenant]
        for at in range(0, len(ids), ITEMS_MAX):
            answer = await owner.ask({"tenant": tenant, name: ids[at : at + ITEMS_MAX]}, read)
            found |= {(tenant, each): fact for each, fact in answer.items()}
    return found


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
    """The facts of profiles. A verdict that our table does not have yet is asked for too: KYC may just have passed.

    An approval in our table is believed: one taken back counts from when its event comes (docs/ARCHITECTURE.md).
    """

    def __init__(self, store: PostgresStore, owner: Owner) -> None:
        self._owner = owner
        self._known: Loader[UUID, Person] = Loader(lambda ids: profiles_of(store, ids))
        self._owned: Loader[tuple[str, UUID], Person] = Loader(self._ask)

    async def people(self, tenant: str, profile_ids: Sequence[UUID]) -> Mapping[UUID, Person]:
        """See ports.People."""
        found = await self._known.load(profile_ids)
        behind = [(tenant, each) for each in profile_ids if each not in found or found[each].kyc == "pending"]
        if behind:
            found |= {profile_id: person for (_, profile_id), person in (await self._owned.load(behind)).items()}
        return found

    async def _ask(self, keys: list[tuple[str, UUID]]) -> dict[tuple[str, UUID], Person]:
        return await _owned(self._owner, "profile_ids", keys, _decode_people)
