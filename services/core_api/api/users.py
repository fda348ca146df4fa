"""Registration and login over HTTP. Parses, calls, answers; decides nothing."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints
from starlette.responses import Response

from contracts.customer.v1 import Role
from services.core_api.domain.users import Registered, RegisterUser
from services.core_api.handlers import register, user_id
from services.core_api.ports import Passwords
from services.kernel.decider import Ask
from services.kernel.engine import Engine
from services.kernel.http import json_reply
from services.kernel.problem import Problem
from services.kernel.routing import Request, Router
from services.kernel.strict_json import Body, Line, parse
from services.kernel.tokens import Principal, Tokens
from services.kernel.vault import Erased, Vault

PASSWORD_CHARS_MIN = 8  # NIST SP 800-63B; checked where users are made
PASSWORD_CHARS_MAX = 256


class LoginRequest(Body):
    """Who, and how we may believe it."""

    login: Annotated[Line, Field(max_length=254)]
    password: Annotated[str, StringConstraints(min_length=1, max_length=PASSWORD_CHARS_MAX)]
    tenant: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None  # ours, when it is not said


class LoginReply(Body):
    """A bearer token for every other route."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int = Field(description="seconds")
    user_id: UUID
    roles: list[Role]


class MeReply(Body):
    """Who you are to us."""

    user_id: UUID
    tenant: str
    roles: list[Role]


def credentials_invalid() -> Problem:
    """401. The same for a login that nobody has and for a wrong password."""
    challenge = (b"www-authenticate", b'Bearer realm="corridor"')
    return Problem(401, "credentials-invalid", "Login or password is wrong.", headers=(challenge,))


def normal(login: str) -> str:
    """Logins that differ in case or in how a character is written are one login."""
    return unicodedata.normalize("NFKC", login).strip().casefold()


class Users:
    """Registration and login."""

    def __init__(self, reads: Engine, vault: Vault, passwords: Passwords) -> None:
        self._reads = reads
        self._vault = vault
        self._passwords = passwords

    async def registration(self, tenant: str, login: str, password: str, roles: tuple[Role, ...]) -> Ask:
        """The wish to register this login; its user id is the ask's stream."""
        digest = self._vault.digest(tenant, normal(login))
        subject = user_id(tenant, digest)
        hashed = await self._passwords.hash(password)
        sealed = await self._vault.seal(tenant, subject, "password", hashed)
        return register(RegisterUser(user_id=subject, roles=roles, login_digest=digest, password=sealed))

    async def authenticate(self, tenant: str, login: str, password: str) -> Registered | None:
        """The user, if the password is theirs. The slow part is done for an unknown login too."""
        subject = user_id(tenant, self._vault.digest(tenant, normal(login)))
        _, user = (await self._reads.heads([subject])).get(subject, (None, None))
        same = await self._passwords.verify(await self._hash(tenant, user), password)
        return user if same else None

    async def _hash(self, tenant: str, user: Registered | None) -> str | None:
        try:
            return await self._vault.open(tenant, user.user.password, "password") if user else None
        except Erased:
            return None


def login_routes(users: Users, tokens: Tokens, tenant: str, token_seconds: int) -> Router:
    """/v1/auth/login and /v1/me; `tenant` is that of this installation, which serves no other."""
    router = Router()

    @router.post("/v1/auth/login", status=200, body=LoginRequest, reply=LoginReply, problems=("credentials-invalid",))
    async def post_login(request: Request) -> Response:
        """A bearer token for login and password."""
        wish = parse(await request.body(), LoginRequest)
        if wish.tenant not in {None, tenant}:
            raise credentials_invalid()
        known = await users.authenticate(tenant, wish.login, wish.password)
        if known is None:
            raise credentials_invalid()
        principal = Principal(known.user.user_id, tenant, frozenset(known.user.roles))
        return json_reply({
            "access_token": tokens.issue(principal, token_seconds),
            "token_type": "Bearer",
            "expires_in": token_seconds,
            "user_id": principal.subject,
            "roles": sorted(principal.roles),
        })  # fmt: skip

    @router.get("/v1/me", reply=MeReply)
    async def get_me(request: Request) -> Response:
        """Who the token says you are."""
        principal = tokens.authenticate(request.headers)
        return json_reply({"user_id": principal.subject, "tenant": principal.tenant, "roles": sorted(principal.roles)})

    return router
