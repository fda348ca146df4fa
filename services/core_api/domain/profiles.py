"""Senders and receivers, and whether they passed KYC. Pure: no clock, no randomness, no I/O."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from contracts.customer.v1 import KycDecided, KycVerdict, ProfileCreated, ProfileKind
from services.kernel.rejected import Invalid, NotFound, Rejected
from services.kernel.sealed import Sealed
from services.kernel.value import value


class ProfileNotFound(NotFound):
    """There is no such profile, or it belongs to somebody else."""


class ProfileIdReused(Rejected):
    """This profile id was used before, for another customer, kind, country, name or account."""


class AccountRequired(Invalid):
    """A receiver needs an account to be paid to."""


class AccountUnexpected(Invalid):
    """A sender has no account here: money is paid out to receivers only."""


class KycAlreadyDecided(Rejected):
    """This person was rejected. A rejection stands: the customer may apply anew, with a new profile."""


@value(kw_only=True)
class CreateProfile:
    """A customer names somebody whom they send for, or to."""

    profile_id: UUID
    customer_id: UUID
    kind: ProfileKind
    country: str  # ISO 3166 alpha-2
    name: Sealed
    account: Sealed | None


@value(kw_only=True)
class DecideKyc:
    """An operator's wish."""

    profile_id: UUID
    verdict: KycVerdict


@value
class KycPending:
    """Nobody has looked yet: no transfer can be opened."""

    state: ClassVar[str] = "PENDING"
    kyc: ClassVar[str] = "pending"
    profile: ProfileCreated


@value
class KycApproved:
    """May send or receive, until the approval is taken back."""

    state: ClassVar[str] = "APPROVED"
    kyc: ClassVar[str] = "approved"
    profile: ProfileCreated


@value
class KycRejected:
    """May not, for good."""

    state: ClassVar[str] = "REJECTED"
    kyc: ClassVar[str] = "rejected"
    profile: ProfileCreated


ProfileCommand = CreateProfile | DecideKyc
ProfileEvent = ProfileCreated | KycDecided
Profile = KycPending | KycApproved | KycRejected | None  # None: no such profile

COMMANDS = (CreateProfile, DecideKyc)
EVENTS = (ProfileCreated, KycDecided)
STAGES = (KycPending, KycApproved, KycRejected)
TRANSITIONS: tuple[tuple[str, type, str, str], ...] = (  # state, event, next state, deadline of the next state
    ("-", ProfileCreated, "PENDING", ""),
    ("PENDING", KycDecided, "APPROVED", ""),
    ("PENDING", KycDecided, "REJECTED", ""),
    ("APPROVED", KycDecided, "REJECTED", ""),
)


def decide(profile: Profile, command: ProfileCommand, at: datetime) -> tuple[ProfileEvent, ...]:
    """The events that `command` causes at `at` (the database's time), () when it was already done. Raises Rejected."""
    match command:
        case CreateProfile():
            return create(profile, command, at)
        case DecideKyc():
            return decide_kyc(profile, command, at)


def create(profile: Profile, wish: CreateProfile, at: datetime) -> tuple[ProfileEvent, ...]:
    """Created once. Sealing a text twice gives two values: whoever asks has compared the texts already."""
    if profile is not None:
        known = profile.profile
        if (known.customer_id, known.kind, known.country) != (wish.customer_id, wish.kind, wish.country):
            raise ProfileIdReused(wish.profile_id)
        return ()
    admit(wish.kind, has_account=wish.account is not None)
    return (_created(wish, at),)


def admit(kind: ProfileKind, *, has_account: bool) -> None:
    """What can be judged before anything is sealed. Raises AccountRequired, AccountUnexpected."""
    if kind == "receiver" and not has_account:
        raise AccountRequired
    if kind == "sender" and has_account:
        raise AccountUnexpected


def _created(wish: CreateProfile, at: datetime) -> ProfileCreated:
    return ProfileCreated(
        profile_id=wish.profile_id,
        customer_id=wish.customer_id,
        kind=wish.kind,
        country=wish.country,
        name=wish.name,
        account=wish.account,
        created_at=at,
    )


def decide_kyc(profile: Profile, wish: DecideKyc, at: datetime) -> tuple[ProfileEvent, ...]:
    """An approval may be taken back at any time; a rejection is never turned around by a late or careless click."""
    if profile is None:
        raise ProfileNotFound(wish.profile_id)
    if profile.kyc == wish.verdict:
        return ()
    if isinstance(profile, KycRejected):
        raise KycAlreadyDecided(wish.profile_id)
    customer_id = profile.profile.customer_id
    return (
        KycDecided(profile_id=wish.profile_id, customer_id=customer_id, verdict=wish.verdict, decided_at=at),
    )  # fmt: skip


def evolve(profile: Profile, event: ProfileEvent) -> Profile:
    """Believes every stored event; asserts only what a bug in decide() could have broken."""
    match event:
        case ProfileCreated():
            return KycPending(event)
        case KycDecided(verdict=verdict):
            assert profile is not None, "decided before it was created"
            return (KycApproved if verdict == "approved" else KycRejected)(profile.profile)
