"""Registration and login over HTTP. Parses, calls, answers; decides nothing."""

from __future__ import annotations

import unicodedata
from contextlib import suppress
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints
from starlette.responses import Response

from contracts.customer.v1 import Role, UserRegistered
from services.core_api.domain.users import LoginTaken, Registered, RegisterUser, SignUp
from services.core_api.handlers import register, user_id
from services.core_api.ports import Gate, Passwords
from services.kernel.bulk import commit
from services.kernel.codec import encode
from services.kernel.decider import Answer, Ask, Outcome, RequestKey, Unit
from services.kernel.engine import Engine
from services.kernel.group_commit import GroupCommit
from services.kernel.http import json_reply, meta, reply
from services.kernel.idempotency import read_key
from services.kernel.problem import rejection
from services.kernel.routing import Request, Router
from services.kernel.sealed import Sealed
from services.kernel.strict_json import Body, Line, canonical, parse
from services.kernel.tokens import Principal, Tokens
from services.kernel.vault import Erased, Vault

PASSWORD_CHARS_MIN = 8  # NIST SP 800-63B; checked where users are made
PASSWORD_CHARS_MAX = 256
SIGN_UP = "/v1/auth/signup"
DIGEST_CHARS = 32  # 128 bits of a login's digest tell two logins apart


class SignUpRequest(Body):
    """A login and a password of your choice."""

    login: Annotated[Line, Field(max_length=254)]
    password: Annotated[str, StringConstraints(min_length=PASSWORD_CHARS_MIN, max_length=PASSWORD_CHARS_MAX)]


class UserReply(Body):
    """Who you are now. Log in for a token."""

    user_id: UUID
    roles: list[Role]


class MeReply(UserReply):
    """Who the token says you are."""

    tenant: str


def normal(login: str) -> str:
    """Logins that differ in case or in how a character is written are one login."""
    return unicodedata.normalize("NFKC", login).strip().casefold()


class Users:
    """Registration, sign-up and login."""

    def __init__(self, reads: Engine, vault: Vault, passwords: Passwords) -> None:
        self._reads = reads
        self._vault = vault
        self._passwords = passwords

    async def registration(self, tenant: str, login: str, password: str, roles: tuple[Role, ...]) -> Ask:
        """The wish to register this login; its user id is the ask's stream."""
        digest = self._vault.digest(tenant, normal(login))
        subject = user_id(tenant, digest)
        sealed = await self._sealed(tenant, subject, password)
        return register(RegisterUser(user_id=subject, roles=roles, login_digest=digest, password=sealed))

    async def sign_up(self, wish: SignUpRequest, tenant: str, key: str, body: bytes) -> Unit:
        """The unit of a sign-up. A known login takes as long as a new one up to its answer.

        The request key belongs to the login, so that nobody else's key is met. Its fingerprint is keyed: a plain digest
        of a body with a password in it would let whoever reads the table try passwords at full speed.
        """
        digest = self._vault.digest(tenant, normal(wish.login))
        subject = user_id(tenant, digest)
        principal = f"signup:{digest[:DIGEST_CHARS]}"
        fingerprint = f"{self._vault.digest(tenant, canonical(body).decode())} POST {SIGN_UP}"
        request_key = RequestKey(tenant, principal, key, fingerprint)
        asked = meta(Principal(subject, tenant, frozenset()))
        hashed = await self._passwords.hash(wish.password)
        asks: tuple[Ask, ...] = ()
        if await self._standing(subject, tenant) is None:
            with suppress(Erased):
                sealed = await self._vault.seal(tenant, subject, "password", hashed)
                asks = (register(SignUp(user_id=subject, login_digest=digest, password=sealed)),)
        return Unit(asks, asked, request_key, answer=signed_up)

    async def authenticate(self, tenant: str, login: str, password: str) -> Registered | None:
        """The user, if the password is theirs. The slow part is done for an unknown login too."""
        subject = user_id(tenant, self._vault.digest(tenant, normal(login)))
        user = await self._standing(subject, tenant)
        same = await self._passwords.verify(await self._hash(tenant, user), password)
        return user if same else None

    async def find(self, subject: UUID, tenant: str) -> UserRegistered | None:
        """The user with the roles of today; None once their key was destroyed."""
        user = await self._standing(subject, tenant)
        return user.user if user and await self._hash(tenant, user) is not None else None

    async def _standing(self, subject: UUID, tenant: str) -> Registered | None:
        head, state = (await self._reads.heads([subject])).get(subject, (None, None))
        return state if head is not None and head.tenant == tenant and isinstance(state, Registered) else None

    async def _sealed(self, tenant: str, subject: UUID, password: str) -> Sealed:
        return await self._vault.seal(tenant, subject, "password", await self._passwords.hash(password))

    async def _hash(self, tenant: str, user: Registered | None) -> str | None:
        try:
            return await self._vault.open(tenant, user.user.password, "password") if user else None
        except Erased:
            return None


def signed_up(outcome: Outcome) -> Answer:
    """201 with the user, or that the login is taken: a unit without an ask had nothing to register."""
    refusal = outcome.refusal or (None if outcome.heads else LoginTaken())
    if refusal is not None:
        return rejection(refusal)
    user = outcome.heads[0].state.user
    return 201, encode({"user_id": user.user_id, "roles": user.roles})


def user_routes(users: Users, commands: GroupCommit, gate: Gate, tokens: Tokens, tenant: str) -> Router:
    """/v1/auth/signup and /v1/me; `tenant` is that of this installation, which serves no other."""
    router = Router()

    @router.post(SIGN_UP, body=SignUpRequest, reply=UserReply, roles=(), keyed=True, problems=(LoginTaken,))
    async def post_signup(request: Request) -> Response:
        """Become a customer. Needs an Idempotency-Key; log in afterwards."""
        gate.judge_anybody()
        raw = await request.body()
        key, wish = read_key(request), parse(raw, SignUpRequest)
        (outcome,) = await commit(commands, [await users.sign_up(wish, tenant, key, raw)])
        return reply(outcome)

    @router.get("/v1/me", reply=MeReply)
    async def get_me(request: Request) -> Response:
        """Who the token says you are."""
        principal = tokens.authenticate(request.headers)
        return json_reply({"user_id": principal.subject, "tenant": principal.tenant, "roles": sorted(principal.roles)})

    return router
