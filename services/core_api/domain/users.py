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
    """This login is taken. Log in, or choose another one."""


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


@value(kw_only=True)
class SignUp:
    """Somebody's own wish at the door: always a customer. Claims the login."""

    user_id: UUID
    login_digest: str  # as in RegisterUser
    password: Sealed
    seen: Seen = NOTHING_SEEN


@value
class Registered:
    """May log in."""

    state: ClassVar[str] = "REGISTERED"
    user: UserRegistered


UserCommand = RegisterUser | SignUp
User = Registered | None  # None: no such user

COMMANDS = (RegisterUser, SignUp)
EVENTS = (UserRegistered,)
STAGES = (Registered,)
TRANSITIONS: tuple[tuple[str, type, str, str], ...] = (  # state, event, next state, deadline of the next state
    ("-", UserRegistered, "REGISTERED", ""),
)


def decide(user: User, command: UserCommand, at: datetime) -> tuple[UserRegistered, ...]:
    """The events that `command` causes at `at` (the database's time), () when it was already done. Raises Rejected."""
    match command:
        case RegisterUser():
            return register(user, command, at)
        case SignUp():
            return sign_up(user, command, at)


def register(user: User, wish: RegisterUser, at: datetime) -> tuple[UserRegistered, ...]:
    """Registered once. The same login with the same roles again changes nothing, the password neither."""
    if user is not None:
        if (user.user.login_digest, set(user.user.roles)) != (wish.login_digest, set(wish.roles)):
            raise UserRegisteredOtherwise(wish.user_id)
        return ()
    if "login" in wish.seen.owners:
        raise LoginTaken
    if not wish.roles:
        raise RoleRequired
    return (_registered(wish, wish.roles, at),)


def sign_up(user: User, wish: SignUp, at: datetime) -> tuple[UserRegistered, ...]:
    """Never "done before": whoever asks under another request key may be somebody else who wants the same login."""
    if user is not None or "login" in wish.seen.owners:
        raise LoginTaken
    return (_registered(wish, ("customer",), at),)


def _registered(wish: UserCommand, roles: tuple[Role, ...], at: datetime) -> UserRegistered:
    return UserRegistered(
        user_id=wish.user_id,
        roles=tuple(sorted(set(roles))),
        login_digest=wish.login_digest,
        password=wish.password,
        registered_at=at,
    )


def evolve(_user: User, event: UserRegistered) -> User:
    """Believes every stored event."""
    return Registered(event)
