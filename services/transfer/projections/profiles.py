"""profiles: who sends and receives, and whether they passed KYC. Rebuilt from the topic; decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from contracts.customer.v1 import KycDecided, ProfileCreated
from contracts.topics import CUSTOMER
from contracts.upcasts import UPCASTS
from services.kernel.codec import decoder, encode
from services.kernel.event_store import PostgresStore
from services.kernel.projector import Projection
from services.kernel.sealed import Sealed
from services.transfer.ports import Person

PROFILES_OF = "SELECT profile_id, customer_id, kind, kyc, name, account FROM profiles WHERE profile_id = ANY($1)"
_decode = decoder(Sealed)
ProfileEvent = ProfileCreated | KycDecided


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """One sender or receiver. What is personal stays sealed."""

    customer_id: UUID
    kind: str  # sender | receiver
    country: str  # ISO 3166 alpha-2
    kyc: str  # pending | approved | rejected
    name: bytes | None  # JSON of Sealed
    account: bytes | None  # JSON of Sealed; a sender has none


def key(event: ProfileEvent) -> UUID:
    """The profile."""
    return event.profile_id


def evolve(row: ProfileRow | None, event: ProfileEvent) -> ProfileRow:
    """The row after the event."""
    match event:
        case ProfileCreated():
            account = encode(event.account) if event.account else None
            return ProfileRow(event.customer_id, event.kind, event.country, "pending", encode(event.name), account)
        case KycDecided(verdict=verdict):
            assert row is not None, "decided before it was created"
            return replace(row, kyc=verdict)


PROJECTION = Projection(
    name="profiles",
    key_column="profile_id",
    row=ProfileRow,
    topic=CUSTOMER.name,
    events=CUSTOMER.events,
    wanted=(ProfileCreated, KycDecided),
    key=key,
    evolve=evolve,
    upcasts=UPCASTS,
)


async def profiles_of(store: PostgresStore, profile_ids: Sequence[UUID]) -> dict[UUID, Person]:
    """Those that we know, in one query."""
    rows = await store.fetch(PROFILES_OF, list(profile_ids))
    return {row[0]: _person(*row) for row in rows}


def _person(profile_id: UUID, customer_id: UUID, kind: str, kyc: str, name: bytes, account: bytes | None) -> Person:
    return Person(
        profile_id=profile_id,
        customer_id=customer_id,
        kind=kind,  # type: ignore[arg-type]  # the column holds what `evolve` wrote
        kyc=kyc,  # type: ignore[arg-type]
        name=_decode(name),
        account=_decode(account) if account is not None else None,
    )
