"""What the transfer service needs to know of others before it decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol
from uuid import UUID

from services.kernel.sealed import Sealed
from services.transfer.domain.commands import Terms


class OwnerUnavailable(Exception):
    """The service that owns the fact does not answer: an outage, not a refusal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """A sender or receiver as core_api says."""

    profile_id: UUID
    customer_id: UUID
    kind: Literal["sender", "receiver"]
    kyc: Literal["pending", "approved", "rejected"]
    name: Sealed
    account: Sealed | None


class QuoteTerms(Protocol):
    """What quotes promise."""

    async def terms(self, tenant: str, quote_ids: Sequence[UUID]) -> Mapping[UUID, Terms]:
        """Those that exist, in one look-up. Raises OwnerUnavailable."""


class People(Protocol):
    """Who sends and receives."""

    async def people(self, tenant: str, profile_ids: Sequence[UUID]) -> Mapping[UUID, Person]:
        """Those that exist, in one look-up. Raises OwnerUnavailable."""
