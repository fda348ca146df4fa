"""What core_api says of users and sessions, of who sends and receives and their KYC, of maintenance. In one form."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from services.kernel.sealed import Sealed
from services.kernel.value import value

Role = Literal["customer", "operator", "admin"]
ProfileKind = Literal["sender", "receiver"]
KycVerdict = Literal["approved", "rejected"]
SessionEnd = Literal["logged_out", "refresh_token_reused"]


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


@value(kw_only=True)
class SessionOpened:
    """A user logged in. The digests are hex SHA-256 of random secrets; the refresh token is those two secrets."""

    type: ClassVar[str] = "corridor.customer.session_opened.v1"
    session_id: UUID
    user_id: UUID
    family_digest: str  # of the half that all refresh tokens of the session share
    refresh_digest: str  # of the half that is new in each of them
    opened_at: datetime
    expires_at: datetime  # the first instant at which the session is dead, however often it was refreshed


@value(kw_only=True)
class SessionRefreshed:
    """The refresh token was used and replaced: only the new one is good."""

    type: ClassVar[str] = "corridor.customer.session_refreshed.v1"
    session_id: UUID
    user_id: UUID
    refresh_digest: str
    refreshed_at: datetime


@value(kw_only=True)
class SessionEnded:
    """No refresh token of this session is good any more. `refresh_token_reused`: a replaced one came again."""

    type: ClassVar[str] = "corridor.customer.session_ended.v1"
    session_id: UUID
    user_id: UUID
    cause: SessionEnd
    ended_at: datetime


@value(kw_only=True)
class MaintenanceStarted:
    """From now on the door refuses what customers would change."""

    type: ClassVar[str] = "corridor.customer.maintenance_started.v1"
    maintenance_id: UUID  # one per installation
    started_by: UUID
    reason: str
    started_at: datetime


@value(kw_only=True)
class MaintenanceEnded:
    """Customers may change things again."""

    type: ClassVar[str] = "corridor.customer.maintenance_ended.v1"
    maintenance_id: UUID
    ended_by: UUID
    reason: str
    ended_at: datetime


CustomerEvent = (
    UserRegistered
    | ProfileCreated
    | KycDecided
    | SessionOpened
    | SessionRefreshed
    | SessionEnded
    | MaintenanceStarted
    | MaintenanceEnded
)
EVENTS = (
    UserRegistered,
    ProfileCreated,
    KycDecided,
    SessionOpened,
    SessionRefreshed,
    SessionEnded,
    MaintenanceStarted,
    MaintenanceEnded,
)
