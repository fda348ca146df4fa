"""What core_api says of users, of the people who send and receive, and of their KYC. Stored, published and read so."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from services.kernel.sealed import Sealed
from services.kernel.value import value

Role = Literal["customer", "operator", "admin"]
ProfileKind = Literal["sender", "receiver"]
KycVerdict = Literal["approved", "rejected"]


@value(kw_only=True)
class UserRegistered:
    """Somebody may log in. `login_digest` is a keyed HMAC of the login name; `password` an argon2 hash, sealed."""

    type: ClassVar[str] = "corridor.customer.user_registered.v1"
    user_id: UUID
    roles: tuple[Role, ...]
    login_digest: str
    password: Sealed
    registered_at: datetime


@value(kw_only=True)
class ProfileCreated:
    """A sender or a receiver of a customer. KYC is pending; only the server decides it."""

    type: ClassVar[str] = "corridor.customer.profile_created.v1"
    profile_id: UUID
    customer_id: UUID
    kind: ProfileKind
    country: str  # ISO 3166 alpha-2
    name: Sealed
    account: Sealed | None  # creditor account (IBAN or local number); null for a sender
    created_at: datetime


@value(kw_only=True)
class KycDecided:
    """The KYC of a sender or receiver was decided."""

    type: ClassVar[str] = "corridor.customer.kyc_decided.v1"
    profile_id: UUID
    customer_id: UUID
    verdict: KycVerdict
    decided_at: datetime


CustomerEvent = UserRegistered | ProfileCreated | KycDecided
EVENTS = (UserRegistered, ProfileCreated, KycDecided)
