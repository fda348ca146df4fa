"""Who may log in, and as what. Pure: no clock, no randomness, no I/O."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from contracts.customer.v1 import Role, UserRegistered
from services.kernel.decider import NOTHING_SEEN, Seen
from services.kernel.rejected import Invalid, Rejected
from services.kernel.sealed import Sealed
from services.kernel.value import value


class RoleRequired(Invalid):
    """A user has at least one role."""


class LoginTaken(Rejected):
    """Somebody else has this login."""


class UserRegisteredOtherwise(Rejected):
    """This user is registered, with other roles."""


@value(kw_only=True)
class RegisterUser:
    """An operator's wish on the command line. Claims the login."""

    user_id: UUID
    roles: tuple[Role, ...]
    login_digest: str  # keyed HMAC of the login, in lower case
    password: Sealed  # an argon2 hash
    seen: Seen = NOTHING_SEEN


@value
class Registered:
    """May log in."""

    state: ClassVar[str] = "REGISTERED"
    user: UserRegistered


UserCommand = RegisterUser
User = Registered | None  # None: no such user

COMMANDS = (RegisterUser,)
EVENTS = (UserRegistered,)
STAGES = (Registered,)
TRANSITIONS: tuple[tuple[str, type, str, str], ...] = (  # state, event, next state, deadline of the next state
    ("-", UserRegistered, "REGISTERED", ""),
)


def decide(user: User, command: UserCommand, at: datetime) -> tuple[UserRegistered, ...]:
    """Registered once. The same login with the same roles again changes nothing, the password neither."""
    if user is not None:
        if (user.user.login_digest, set(user.user.roles)) != (command.login_digest, set(command.roles)):
            raise UserRegisteredOtherwise(command.user_id)
        return ()
    if "login" in command.seen.owners:
        raise LoginTaken
    if not command.roles:
        raise RoleRequired
    return (_registered(command, at),)


def _registered(wish: RegisterUser, at: datetime) -> UserRegistered:
    return UserRegistered(
        user_id=wish.user_id,
        roles=tuple(sorted(set(wish.roles))),
        login_digest=wish.login_digest,
        password=wish.password,
        registered_at=at,
    )


def evolve(_user: User, event: UserRegistered) -> User:
    """Believes every stored event."""
    return Registered(event)
