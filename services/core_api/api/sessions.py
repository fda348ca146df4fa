"""What a login gives, and how it goes on and ends, over HTTP. Parses, calls, answers; decides nothing."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from pydantic import Field, StringConstraints
from starlette.responses import Response

from contracts.customer.v1 import Role, SessionEnded, SessionOpened, UserRegistered
from services.core_api.api.users import PASSWORD_CHARS_MAX, Users
from services.core_api.domain.sessions import (
    Ended,
    EndSession,
    Open,
    OpenSession,
    RefreshSession,
    RefreshTokenInvalid,
    SessionCommand,
)
from services.kernel.bulk import commit
from services.kernel.decider import Ask, Meta, Outcome, Unit
from services.kernel.engine import Engine
from services.kernel.group_commit import GroupCommit
from services.kernel.http import json_reply, meta
from services.kernel.problem import Problem
from services.kernel.routing import Request, Router
from services.kernel.strict_json import Body, Line, parse
from services.kernel.tokens import Principal, Tokens

TOKEN = re.compile(r"crt\.([0-9a-f]{32})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})")
FAMILY_BYTES, SECRET_BYTES = 16, 32  # 22 and 43 characters; nobody guesses either, so a plain digest keeps them
_CHALLENGE = (b"www-authenticate", b'Bearer realm="corridor", error="invalid_token"')


class LoginRequest(Body):
    """Who, and how we may believe it."""

    login: Annotated[Line, Field(max_length=254)]
    password: Annotated[str, StringConstraints(min_length=1, max_length=PASSWORD_CHARS_MAX)]
    tenant: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None  # ours, when it is not said


class RefreshRequest(Body):
    """The newest refresh token of a session."""

    refresh_token: Annotated[str, StringConstraints(min_length=1, max_length=256)]


class SessionReply(Body):
    """A bearer token for every other route, and what brings the next one."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int = Field(description="seconds")
    refresh_token: str = Field(description="for POST /v1/auth/refresh, once")
    refresh_expires_in: int = Field(description="seconds until the session ends, however often it is refreshed")
    session_id: UUID
    user_id: UUID
    roles: list[Role]


@dataclass(frozen=True, slots=True)
class Shown:
    """A refresh token that was shown to us: which session, and the digests of its two secrets."""

    session_id: UUID
    family: str
    family_digest: str
    refresh_digest: str


def credentials_invalid() -> Problem:
    """401. The same for a login that nobody has and for a wrong password."""
    challenge = (b"www-authenticate", b'Bearer realm="corridor"')
    return Problem(401, "credentials-invalid", "Login or password is wrong.", headers=(challenge,))


def refresh_token_invalid() -> Problem:
    """401. The same for whatever is wrong with it: forged, replaced, of a session that has ended."""
    return Problem(401, RefreshTokenInvalid.slug, RefreshTokenInvalid().detail, headers=(_CHALLENGE,))


def digest(secret: str) -> str:
    """Hex SHA-256."""
    return hashlib.sha256(secret.encode()).hexdigest()


def read_token(token: str) -> Shown:
    """The parts of a refresh token. Raises Problem 401."""
    parts = TOKEN.fullmatch(token)
    if parts is None:
        raise refresh_token_invalid()
    return Shown(UUID(parts[1]), parts[2], digest(parts[2]), digest(parts[3]))


class Sessions:
    """Opens, refreshes and ends sessions."""

    def __init__(
        self,
        commands: GroupCommit,
        reads: Engine,
        users: Users,
        tokens: Tokens,
        *,
        token_seconds: int,
        session_seconds: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        random: Callable[[int], str] = secrets.token_urlsafe,
    ) -> None:
        """`token_seconds`: of an access token; `session_seconds`: from login to the last refresh."""
        self._commands = commands
        self._reads = reads
        self._users = users
        self._tokens = tokens
        self._token_seconds = token_seconds
        self._session_seconds = session_seconds
        self._now = now
        self._random = random

    async def open(self, user: UserRegistered, tenant: str) -> dict[str, Any]:
        """The tokens of a new session of this user, whose password was right."""
        principal = _principal(user, tenant)
        family, secret = self._random(FAMILY_BYTES), self._random(SECRET_BYTES)
        command = OpenSession(
            session_id=uuid4(),
            user_id=user.user_id,
            family_digest=digest(family),
            refresh_digest=digest(secret),
            lifetime_seconds=self._session_seconds,
        )
        outcome = await self._ask(command, meta(principal))
        return self._grant(outcome.heads[0].state.session, principal, family, secret)

    async def refresh(self, token: str, tenant: str) -> dict[str, Any]:
        """The tokens that follow. A token that was used before ends its session. Raises Problem 401."""
        shown = read_token(token)
        standing = await self._standing(shown, tenant)
        user = await self._users.find(standing.session.user_id, tenant)
        if user is None:
            raise refresh_token_invalid()
        principal, secret = _principal(user, tenant), self._random(SECRET_BYTES)
        command = RefreshSession(
            session_id=shown.session_id,
            family_digest=shown.family_digest,
            refresh_digest=shown.refresh_digest,
            next_digest=digest(secret),
        )
        outcome = await self._ask(command, meta(principal))
        if any(isinstance(each.event, SessionEnded) for each in outcome.events):
            raise refresh_token_invalid()
        return self._grant(outcome.heads[0].state.session, principal, shown.family, secret)

    async def end(self, token: str, tenant: str) -> None:
        """End the session of any token that it ever had. Raises Problem 401."""
        shown = read_token(token)
        standing = await self._standing(shown, tenant)
        asked = meta(Principal(standing.session.user_id, tenant, frozenset()))
        await self._ask(EndSession(session_id=shown.session_id, family_digest=shown.family_digest), asked)

    async def _standing(self, shown: Shown, tenant: str) -> Open | Ended:
        """Looked up first: the id comes from the caller, and may be that of a stream of another kind or tenant."""
        head, state = (await self._reads.heads([shown.session_id])).get(shown.session_id, (None, None))
        if head is None or head.tenant != tenant or not isinstance(state, Open | Ended):
            raise refresh_token_invalid()
        return state

    async def _ask(self, command: SessionCommand, asked: Meta) -> Outcome:
        (outcome,) = await commit(self._commands, [Unit((Ask(command.session_id, command),), asked)])
        if isinstance(outcome.refusal, RefreshTokenInvalid):
            raise refresh_token_invalid()
        if outcome.error is not None:
            raise outcome.error
        return outcome

    def _grant(self, session: SessionOpened, principal: Principal, family: str, secret: str) -> dict[str, Any]:
        left = int((session.expires_at - self._now()).total_seconds())
        return {
            "access_token": self._tokens.issue(principal, self._token_seconds),
            "token_type": "Bearer",
            "expires_in": self._token_seconds,
            "refresh_token": f"crt.{session.session_id.hex}.{family}.{secret}",
            "refresh_expires_in": max(0, left),
            "session_id": session.session_id,
            "user_id": principal.subject,
            "roles": sorted(principal.roles),
        }


def _principal(user: UserRegistered, tenant: str) -> Principal:
    return Principal(user.user_id, tenant, frozenset(user.roles))


def session_routes(sessions: Sessions, users: Users, tenant: str) -> Router:
    """/v1/auth/login, refresh, logout. The refresh token says who asks: an access token may have ended."""
    router = Router()

    @router.post("/v1/auth/login", status=200, body=LoginRequest, reply=SessionReply, roles=(), keyed=False,
                 problems=("credentials-invalid",))  # fmt: skip
    async def post_login(request: Request) -> Response:
        """A bearer token for login and password, and a refresh token for the next one."""
        wish = parse(await request.body(), LoginRequest)
        if wish.tenant not in {None, tenant}:
            raise credentials_invalid()
        known = await users.authenticate(tenant, wish.login, wish.password)
        if known is None:
            raise credentials_invalid()
        return json_reply(await sessions.open(known.user, tenant))

    @router.post("/v1/auth/refresh", status=200, body=RefreshRequest, reply=SessionReply, roles=(), keyed=False,
                 problems=(RefreshTokenInvalid,))  # fmt: skip
    async def post_refresh(request: Request) -> Response:
        """A new access token and the next refresh token. Each is good once: one that comes again ends the session."""
        wish = parse(await request.body(), RefreshRequest)
        return json_reply(await sessions.refresh(wish.refresh_token, tenant))

    @router.post("/v1/auth/logout", status=204, body=RefreshRequest, roles=(), keyed=False,
                 problems=(RefreshTokenInvalid,))  # fmt: skip
    async def post_logout(request: Request) -> Response:
        """End the session. Its access token runs out by itself; a second logout changes nothing."""
        wish = parse(await request.body(), RefreshRequest)
        await sessions.end(wish.refresh_token, tenant)
        return Response(status_code=204, headers={"cache-control": "no-store"})

    return router
