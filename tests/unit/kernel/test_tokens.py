"""Only our own tokens, of the right kind, at the right time, say who is calling."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import jwt
import pytest

from services.kernel.problem import Problem
from services.kernel.settings import Secret, SharedKey
from services.kernel.tokens import (
    EARLY_SECONDS,
    REMEMBERED_MAX,
    Principal,
    ServiceToken,
    ServiceTokens,
    SigningKey,
    Tokens,
    require,
)
from services.kernel.webhook import Verifier

AT = 1_800_000_000
ANNA = Principal(UUID(int=7), "corridor", frozenset({"customer"}))
KEY = SigningKey.of(Secret("a-signing-secret-of-some-length-0123"))
OLD = SigningKey.of(Secret("the-secret-before-this-one-0123456789"), "old")
CLAIMS = {
    "iss": "corridor", "aud": "corridor", "typ": "access", "sub": str(ANNA.subject), "tenant": "corridor",
    "roles": ["customer"], "nbf": AT, "exp": AT + 60,
}  # fmt: skip


class Clock:
    at = float(AT)

    def __call__(self) -> float:
        return self.at


def tokens(*keys: SigningKey, clock: Clock | None = None) -> Tokens:
    return Tokens(*(keys or (KEY,)), now=clock or Clock())


def forged(
    key: SigningKey = KEY, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **changes: Any
) -> str:
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not None}
    return jwt.encode(claims, key.secret.reveal(), algorithm=algorithm, headers={"kid": key.key_id} | (headers or {}))


def refused(token: str, verifier: Tokens | None = None) -> None:
    with pytest.raises(Problem) as caught:
        (verifier or tokens()).verify(token)
    assert caught.value.status == 401
    assert caught.value.headers[0][0] == b"www-authenticate"


def test_a_token_of_ours_gives_its_principal_back() -> None:
    issuer = tokens()
    assert tokens().verify(issuer.issue(ANNA, 60)) == ANNA


def test_the_key_id_follows_from_the_secret() -> None:
    assert jwt.get_unverified_header(tokens().issue(ANNA, 60))["kid"] == KEY.key_id
    assert len(KEY.key_id) == 8


def test_a_token_of_the_previous_secret_is_good_during_rotation() -> None:
    assert tokens(KEY, OLD).verify(tokens(OLD).issue(ANNA, 60)) == ANNA


def test_a_token_of_a_retired_secret_is_refused() -> None:
    refused(tokens(OLD).issue(ANNA, 60))


def test_a_token_ends_at_its_second_also_when_it_is_remembered() -> None:
    clock = Clock()
    verifier = tokens(clock=clock)
    token = verifier.issue(ANNA, 60)
    clock.at = AT + 59.9
    assert verifier.verify(token) == ANNA
    clock.at = AT + 60
    refused(token, verifier)


def test_a_token_is_not_good_before_its_time() -> None:
    assert tokens().verify(forged(nbf=AT + EARLY_SECONDS)) == ANNA
    refused(forged(nbf=AT + EARLY_SECONDS + 1))


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "somebody"}, {"aud": "somewhere"}, {"aud": None},
        {"aud": ["corridor", "corridor-internal"]}, {"typ": "refresh"}, {"typ": None}, {"exp": None}, {"nbf": None},
        {"sub": None}, {"sub": "{00000000-0000-0000-0000-000000000007}"}, {"tenant": None}, {"tenant": ""},
        {"roles": None}, {"roles": "admin"}, {"exp": AT}, {"exp": "soon"},
    ],
)  # fmt: skip
def test_a_token_with_a_wrong_or_missing_claim_is_refused(change: dict[str, Any]) -> None:
    refused(forged(**change))


def test_a_customer_s_token_is_none_of_a_service_whatever_its_roles_say() -> None:
    token = tokens().issue(Principal(ANNA.subject, "corridor", frozenset({"service"})), 60)
    refused(token, ServiceTokens(KEY, now=Clock()))


def test_a_service_s_token_opens_the_internal_door_and_no_other() -> None:
    token = ServiceToken(ServiceTokens(KEY, now=Clock()), "transfer", "corridor", Clock())()
    principal = ServiceTokens(KEY, now=Clock()).verify(token)
    assert (principal.tenant, principal.roles) == ("corridor", frozenset({"service"}))
    refused(token)


@pytest.mark.parametrize("extra", ["jku", "jwk", "x5u", "crit"])
def test_a_token_that_brings_its_own_key_is_refused(extra: str) -> None:
    refused(forged(headers={extra: "https://evil.example"}))


def test_a_token_without_a_signature_is_refused() -> None:
    refused(jwt.encode(CLAIMS, "", algorithm="none", headers={"kid": KEY.key_id}))


def test_a_token_of_another_algorithm_is_refused() -> None:
    refused(forged(SigningKey.of(Secret("x" * 64)), "HS512"), tokens(SigningKey.of(Secret("x" * 64))))


def test_a_token_of_another_secret_under_our_key_id_is_refused() -> None:
    refused(forged(key=SigningKey.of(OLD.secret, KEY.key_id)))


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "e30.e30.", "\u00e9.\u00e9.\u00e9", "x" * 10_000])
def test_what_is_no_token_is_refused(token: str) -> None:
    refused(token)


@pytest.mark.parametrize("header", ["", "Basic abc", "Bearer", "Bearer  ", "bearer x"])
def test_a_request_without_a_bearer_is_refused(header: str) -> None:
    with pytest.raises(Problem) as caught:
        tokens().authenticate({"authorization": header} if header else {})
    assert caught.value.status == 401


def test_a_bearer_header_gives_the_principal() -> None:
    issuer = tokens()
    assert issuer.authenticate({"authorization": f"bearer {issuer.issue(ANNA, 60)}"}) == ANNA


def test_no_more_tokens_are_remembered_than_the_bound() -> None:
    verifier = tokens()
    for number in range(REMEMBERED_MAX + 10):
        verifier._remember(str(number), CLAIMS)
    assert len(verifier._verified) == REMEMBERED_MAX


def test_the_wrong_role_is_forbidden() -> None:
    require(ANNA, "operator", "customer")
    with pytest.raises(Problem) as caught:
        require(ANNA, "operator")
    assert caught.value.status == 403


def test_two_secrets_under_one_key_id_are_refused() -> None:
    with pytest.raises(ValueError, match="key id"):
        tokens(KEY, SigningKey.of(Secret("another-signing-secret-0123456789"), KEY.key_id))


def test_two_webhook_keys_with_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="key id"):
        Verifier([SharedKey("acme", "k1", Secret("s" * 24)), SharedKey("zed", "k1", Secret("t" * 24))])
