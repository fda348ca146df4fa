"""How long a login lasts, and what a refresh token that comes twice means. Pure: no clock, no randomness, no I/O."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from contracts.customer.v1 import SessionEnd, SessionEnded, SessionOpened, SessionRefreshed
from services.kernel.rejected import Rejected
from services.kernel.value import value


class RefreshTokenInvalid(Rejected):
    """This refresh token is not valid: log in again."""

    status = 401


@value(kw_only=True)
class OpenSession:
    """A login whose password was right."""

    session_id: UUID
    user_id: UUID
    family_digest: str  # hex SHA-256, as in the event
    refresh_digest: str
    lifetime_seconds: int


@value(kw_only=True)
class RefreshSession:
    """Somebody shows a refresh token and wants the next one."""

    session_id: UUID
    family_digest: str
    refresh_digest: str  # of the token that is shown
    next_digest: str  # of the token that follows


@value(kw_only=True)
class EndSession:
    """Somebody shows a refresh token and wants the session to end."""

    session_id: UUID
    family_digest: str


@value
class Open:
    """Its newest refresh token is good until `session.expires_at`."""

    state: ClassVar[str] = "OPEN"
    session: SessionOpened
    refresh_digest: str  # of the only token that is good


@value
class Ended:
    """No token of it is good, for ever."""

    state: ClassVar[str] = "ENDED"
    session: SessionOpened


SessionCommand = OpenSession | RefreshSession | EndSession
SessionEvent = SessionOpened | SessionRefreshed | SessionEnded
Session = Open | Ended | None  # None: no such session

COMMANDS = (OpenSession, RefreshSession, EndSession)
EVENTS = (SessionOpened, SessionRefreshed, SessionEnded)
STAGES = (Open, Ended)
OVER = (Ended,)
TRANSITIONS: tuple[tuple[str, type, str, str], ...] = (  # state, event, next state, deadline of the next state
    ("-", SessionOpened, "OPEN", "`expires_at` → its tokens are refused; no event"),
    ("OPEN", SessionRefreshed, "OPEN", "the same `expires_at`"),
    ("OPEN", SessionEnded, "ENDED", ""),
)


def decide(session: Session, command: SessionCommand, at: datetime) -> tuple[SessionEvent, ...]:
    """The events that `command` causes at `at` (the database's time), () when it was already done. Raises Rejected."""
    match command:
        case OpenSession():
            return open_session(session, command, at)
        case RefreshSession():
            return refresh(session, command, at)
        case EndSession():
            return end(session, command, at)


def open_session(session: Session, wish: OpenSession, at: datetime) -> tuple[SessionOpened, ...]:
    """Each login opens a session of its own, under an id that is new."""
    assert session is None, "an id of a session was used twice"
    return (
        SessionOpened(
            session_id=wish.session_id,
            user_id=wish.user_id,
            family_digest=wish.family_digest,
            refresh_digest=wish.refresh_digest,
            opened_at=at,
            expires_at=at + timedelta(seconds=wish.lifetime_seconds),
        ),
    )


def refresh(session: Session, wish: RefreshSession, at: datetime) -> tuple[SessionRefreshed | SessionEnded, ...]:
    """The newest token is replaced. Any other one of the family was replaced before: it was stolen, by whom we cannot
    tell, so the session ends for both. What is not of the family is only somebody's guess, and ends nothing."""
    if not isinstance(session, Open) or session.session.family_digest != wish.family_digest:
        raise RefreshTokenInvalid
    if at >= session.session.expires_at:
        raise RefreshTokenInvalid
    if session.refresh_digest != wish.refresh_digest:
        return (_ended(session, "refresh_token_reused", at),)
    return (
        SessionRefreshed(
            session_id=wish.session_id,
            user_id=session.session.user_id,
            refresh_digest=wish.next_digest,
            refreshed_at=at,
        ),
    )


def end(session: Session, wish: EndSession, at: datetime) -> tuple[SessionEnded, ...]:
    """By any token of the family, also a replaced one; again changes nothing."""
    if session is None or session.session.family_digest != wish.family_digest:
        raise RefreshTokenInvalid
    return (_ended(session, "logged_out", at),) if isinstance(session, Open) else ()


def _ended(session: Open, cause: SessionEnd, at: datetime) -> SessionEnded:
    opened = session.session
    return SessionEnded(session_id=opened.session_id, user_id=opened.user_id, cause=cause, ended_at=at)


def evolve(session: Session, event: SessionEvent) -> Session:
    """Believes every stored event; asserts only what a bug in decide() could have broken."""
    match event:
        case SessionOpened():
            return Open(event, event.refresh_digest)
        case SessionRefreshed(refresh_digest=digest):
            assert isinstance(session, Open), "refreshed before it was opened, or after its end"
            return Open(session.session, digest)
        case SessionEnded():
            assert session is not None, "ended before it was opened"
            return Ended(session.session)
