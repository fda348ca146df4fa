"""Who is calling: HS256 bearer tokens with key ids, checked once and remembered until they end."""

from __future__ import annotations

import hashlib
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self
from uuid import UUID, uuid4

import jwt
from jwt.warnings import InsecureKeyLengthWarning

from services.kernel.ids import derive, uuid_of
from services.kernel.problem import Problem
from services.kernel.settings import Kernel, Secret
from services.kernel.strict_json import PLAIN_UUID

ISSUER = "corridor"
ALGORITHM = "HS256"
REMEMBERED_MAX = 10_000
TOKEN_CHARS_MAX = 4_096
EARLY_SECONDS = 5  # two machines of ours do not have the same clock
_REQUIRED = ["iss", "aud", "exp", "nbf", "sub"]
_HEADERS = frozenset({"alg", "kid", "typ"})  # jku, jwk, x5u and crit bring keys or rules of the caller's choice

warnings.filterwarnings("ignore", category=InsecureKeyLengthWarning)  # the runbook's minimum is 16; settings hold it


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, for which tenant, and what they may do."""

    subject: UUID
    tenant: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One secret with the id under which tokens name it."""

    key_id: str
    secret: Secret

    @classmethod
    def of(cls, secret: Secret, key_id: str | None = None) -> SigningKey:
        """Without an explicit id: the first 8 hex of the secret's SHA-256."""
        return cls(key_id or hashlib.sha256(secret.reveal().encode()).hexdigest()[:8], secret)


def token_invalid() -> Problem:
    """401. One answer for every fault of a token: which one it was would help only a forger."""
    challenge = (b"www-authenticate", b'Bearer realm="corridor", error="invalid_token"')
    return Problem(401, "token-invalid", "A valid bearer token is needed.", headers=(challenge,))


def require(principal: Principal, *roles: str) -> None:
    """Raises Problem 403 unless the principal has one of `roles`."""
    if principal.roles.isdisjoint(roles):
        raise Problem(403, "forbidden", "The role of the caller does not allow this.")


def require_tenant(principal: Principal, tenant: str) -> None:
    """Raises Problem 403 unless the principal belongs to `tenant`."""
    if principal.tenant != tenant:
        raise Problem(403, "forbidden", "The caller belongs to another tenant.")


class Tokens:
    """Issues under the first key; verifies under all of them (two while a secret is being replaced).

    For customers and staff: a service's token is refused here, and theirs where services are expected.
    """

    audience: ClassVar[str] = "corridor"

    def __init__(self, *keys: SigningKey, now: Callable[[], float] = time.time) -> None:
        """`now` gives seconds since 1970. Raises ValueError when two keys have one id."""
        self._current = keys[0]
        self._secrets = {key.key_id: key.secret.reveal() for key in keys}
        if len(self._secrets) < len(keys):
            raise ValueError("each secret needs a key id of its own")
        self._now = now
        self._verified: OrderedDict[str, tuple[Principal, float]] = OrderedDict()

    @classmethod
    def from_settings(cls, settings: Kernel) -> Self:
        """The current secret, and the previous one while it is still named."""
        keys = [SigningKey.of(settings.jwt_secret, settings.jwt_key_id)]
        if settings.jwt_secret_previous is not None:
            keys.append(SigningKey.of(settings.jwt_secret_previous, settings.jwt_key_id_previous))
        return cls(*keys)

    def issue(self, principal: Principal, ttl_seconds: int) -> str:
        """An access token that ends after `ttl_seconds`."""
        at = int(self._now())
        claims = {
            "iss": ISSUER, "aud": self.audience, "typ": "access", "jti": uuid4().hex,
            "sub": str(principal.subject), "tenant": principal.tenant, "roles": sorted(principal.roles),
            "iat": at, "nbf": at, "exp": at + ttl_seconds,
        }  # fmt: skip
        secret = self._secrets[self._current.key_id]
        return jwt.encode(claims, secret, algorithm=ALGORITHM, headers={"kid": self._current.key_id})

    def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """The caller, from `Authorization: Bearer`. Raises Problem 401."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise token_invalid()
        return self.verify(token.strip())

    def verify(self, token: str) -> Principal:
        """The principal of a token that is valid now. Raises Problem 401."""
        known = self._verified.get(token)
        if known is not None:
            principal, expires = known
            if self._now() < expires:
                self._verified.move_to_end(token)
                return principal
            del self._verified[token]
            raise token_invalid()
        try:
            return self._remember(token, self._claims(token))
        except (jwt.PyJWTError, ValueError, KeyError, TypeError):
            raise token_invalid() from None

    def _claims(self, token: str) -> dict[str, object]:
        if len(token) > TOKEN_CHARS_MAX:
            raise token_invalid()
        header = jwt.get_unverified_header(token)
        if not _HEADERS.issuperset(header):
            raise token_invalid()
        # the times are compared below: PyJWT would ask the machine's clock and not ours
        return jwt.decode(
            token, self._secrets[header["kid"]], algorithms=[ALGORITHM], audience=self.audience, issuer=ISSUER,
            options={
                "require": _REQUIRED, "strict_aud": True,
                "verify_exp": False, "verify_nbf": False, "verify_iat": False,
            },
        )  # fmt: skip

    def _remember(self, token: str, claims: dict[str, object]) -> Principal:
        match claims:
            case {
                "typ": "access",
                "sub": str(subject),
                "tenant": str(tenant),
                "roles": list(roles),
                "nbf": int(begins),
                "exp": int(expires),
            }:
                principal = Principal(_subject(subject), tenant, frozenset(str(role) for role in roles))
            case _:
                raise token_invalid()
        if not (tenant and begins - EARLY_SECONDS <= self._now() < expires):
            raise token_invalid()
        self._verified[token] = (principal, expires)
        if len(self._verified) > REMEMBERED_MAX:
            self._verified.popitem(last=False)
        return principal


def _subject(text: str) -> UUID:
    if not PLAIN_UUID.fullmatch(text):
        raise token_invalid()
    return uuid_of(text)


class ServiceTokens(Tokens):
    """The same keys for another audience: one service of ours that calls another one's `/internal` routes."""

    audience: ClassVar[str] = "corridor-internal"


class ServiceToken:
    """The token with which one service calls another: role `service`, made anew before it ends."""

    TTL_SECONDS = 3_600
    RENEW_SECONDS = 600  # before its end

    def __init__(self, tokens: ServiceTokens, service: str, tenant: str, now: Callable[[], float] = time.time) -> None:
        """`service` names the caller; its subject follows from the name."""
        self._tokens = tokens
        self._principal = Principal(derive("service", service), tenant, frozenset({"service"}))
        self._now = now
        self._token, self._until = "", 0.0

    def __call__(self) -> str:
        """A token that is good for some minutes yet."""
        if self._now() > self._until - self.RENEW_SECONDS:
            self._token = self._tokens.issue(self._principal, self.TTL_SECONDS)
            self._until = self._now() + self.TTL_SECONDS
        return self._token
