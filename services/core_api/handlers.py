"""The streams of core_api, and what their commands claim. Pure."""

from __future__ import annotations

from uuid import UUID

from contracts.customer.v1 import UserRegistered
from contracts.upcasts import UPCASTS
from services.core_api.domain import maintenance, profiles, sessions, users
from services.kernel.decider import Ask, Claim, Decider
from services.kernel.ids import derive


def user_id(tenant: str, login_digest: str) -> UUID:
    """A user's id follows from the login, so that a login finds its user by one key."""
    return derive("user", tenant, login_digest)


def maintenance_id(tenant: str) -> UUID:
    """The one stream that says whether this installation is under maintenance."""
    return derive("maintenance", tenant)


def register(wish: users.UserCommand) -> Ask:
    """The wish with the login that it takes for ever."""
    return Ask(wish.user_id, wish, claims=(Claim("login", wish.login_digest),))


def _user_of(event: UserRegistered) -> UUID:
    return event.user_id


def _profile_of(event: profiles.ProfileEvent) -> UUID:
    return event.profile_id


def _session_of(event: sessions.SessionEvent) -> UUID:
    return event.session_id


def _maintenance_of(event: maintenance.MaintenanceEvent) -> UUID:
    return event.maintenance_id


USER: Decider[users.User, users.UserCommand, UserRegistered] = Decider(
    category="user",
    decide=users.decide,
    evolve=users.evolve,
    commands=users.COMMANDS,
    events=users.EVENTS,
    stages=users.STAGES,
    correlate=_user_of,
    upcasts=UPCASTS,
)
PROFILE: Decider[profiles.Profile, profiles.ProfileCommand, profiles.ProfileEvent] = Decider(
    category="profile",
    decide=profiles.decide,
    evolve=profiles.evolve,
    commands=profiles.COMMANDS,
    events=profiles.EVENTS,
    stages=profiles.STAGES,
    correlate=_profile_of,
    upcasts=UPCASTS,
)
SESSION: Decider[sessions.Session, sessions.SessionCommand, sessions.SessionEvent] = Decider(
    category="session",
    decide=sessions.decide,
    evolve=sessions.evolve,
    commands=sessions.COMMANDS,
    events=sessions.EVENTS,
    stages=sessions.STAGES,
    over=sessions.OVER,
    correlate=_session_of,
    upcasts=UPCASTS,
)
MAINTENANCE: Decider[maintenance.Maintenance, maintenance.MaintenanceCommand, maintenance.MaintenanceEvent] = Decider(
    category="maintenance",
    decide=maintenance.decide,
    evolve=maintenance.evolve,
    commands=maintenance.COMMANDS,
    events=maintenance.EVENTS,
    stages=maintenance.STAGES,
    correlate=_maintenance_of,
    upcasts=UPCASTS,
)
DECIDERS = (USER, PROFILE, SESSION, MAINTENANCE)
