"""The rows of the hostile-input catalogue that the door itself answers: who asks, how often, and from where."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest

from services.core_api.adapters.headers import PAGE_POLICY
from services.kernel.tokens import Principal, ServiceTokens
from tests.integration.core_api.conftest import Echo, System, opened_system, reply

SUBJECT = uuid4()
CLAIMS: dict[str, Any] = {
    "iss": "corridor", "aud": "corridor", "typ": "access", "sub": str(SUBJECT), "tenant": "corridor",
    "roles": ["customer"],
}  # fmt: skip
ORIGIN = "https://app.example"
SAFE = {"x-content-type-options": "nosniff", "x-frame-options": "DENY", "referrer-policy": "no-referrer"}


def signed(system: System, *, secret: str | None = None, header: dict[str, Any] | None = None, **change: Any) -> str:
    """A token that we would have made, but for the change."""
    now = int(time.time())
    claims = CLAIMS | {"nbf": now, "iat": now, "exp": now + 600} | change
    headers = {"kid": system.tokens._current.key_id} | (header or {})
    return jwt.encode(claims, secret or system.settings.jwt_secret.reveal(), algorithm="HS256", headers=headers)


def unsigned(claims: dict[str, Any], header: dict[str, Any]) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)]
    return ".".join([*parts, ""])


async def refused(system: System, token: str | None) -> None:
    """401 with the one problem and the challenge, on a route of our own."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with system.session.get(system.url + "/v1/me", headers=headers) as answer:
        problem = json.loads(await answer.read())
        assert (answer.status, problem["code"]) == (401, "TOKEN_INVALID")
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_the_tokens_of_these_tests_are_good_but_for_what_is_changed(system: System) -> None:
    assert (await system.ask("GET", "/v1/me", authorization=f"Bearer {signed(system)}"))[0] == 200


@pytest.mark.parametrize(
    "change",
    [
        {"exp": 1},
        {"nbf": 4_000_000_000},
        {"aud": "elsewhere"},
        {"aud": ["corridor", "elsewhere"]},
        {"iss": "elsewhere"},
        {"sub": "nobody"},
    ],
)
async def test_ah36_no_or_expired_or_foreign_tokens_are_401(system: System, change: dict[str, Any]) -> None:
    await refused(system, None)
    await refused(system, signed(system, **change))


@pytest.mark.parametrize("name", ["jku", "jwk", "x5u", "crit"])
async def test_ah37_a_token_that_brings_its_own_rules_is_401(system: System, name: str) -> None:
    header = {name: ["exp"] if name == "crit" else "https://evil.example/keys"}
    await refused(system, signed(system, header=header))


async def test_ah37_a_token_without_or_with_another_algorithm_is_401(system: System) -> None:
    now = int(time.time())
    claims = CLAIMS | {"nbf": now, "exp": now + 600}
    for algorithm in ("none", "RS256", "HS512"):
        await refused(system, unsigned(claims, {"alg": algorithm, "kid": system.tokens._current.key_id}))
    await refused(system, signed(system, secret="a-key-of-somebody-else-with-32-chars"))


async def test_ah38_10000_unknown_key_ids_are_401_and_remembered_nowhere(system: System) -> None:
    tokens = [signed(system, header={"kid": f"k{number}"}) for number in range(10_000)]
    started = time.monotonic()
    for token in tokens[:200]:
        await refused(system, token)
    for token in tokens:
        with pytest.raises(Exception, match="token-invalid"):
            system.tokens.verify(token)
    assert system.tokens._verified == {}
    assert time.monotonic() - started < 30


async def test_ah39_a_refresh_token_is_no_access_token_and_the_other_way_round(system: System) -> None:
    await system.user("ah39@example.com", "customer")
    granted = await system.login("ah39@example.com")
    await refused(system, granted["refresh_token"])
    await refused(system, signed(system, typ="refresh"))
    status, _ = await system.ask("POST", "/v1/auth/refresh", {"refresh_token": granted["access_token"]})
    assert status in {401, 422}
    service = ServiceTokens.from_settings(system.settings).issue(Principal(SUBJECT, "corridor", frozenset()), 60)
    await refused(system, service)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/admin/maintenance"), ("POST", "/v1/admin/maintenance"),
        ("GET", "/v1/admin/idempotency-keys?key=k"), ("POST", f"/v1/profiles/{UUID(int=7)}/kyc"),
    ],
)  # fmt: skip
async def test_ah40_a_customer_on_a_route_of_staff_is_403(system: System, method: str, path: str) -> None:
    who = system.bearer(Principal(SUBJECT, "corridor", frozenset({"customer"})))
    body = {"enabled": True, "reason": "mine"} if method == "POST" else None
    status, problem = await system.ask(method, path, body, **who)
    assert (status, problem["code"]) == (403, "FORBIDDEN")


async def test_ah40_an_operator_may_not_begin_maintenance(system: System) -> None:
    who = system.bearer(Principal(SUBJECT, "corridor", frozenset({"operator"})))
    status, _ = await system.ask("POST", "/v1/admin/maintenance", {"enabled": True, "reason": "x"}, **who)
    assert status == 403


async def test_ah41_a_token_in_the_query_opens_nothing(system: System, quote: Echo) -> None:
    token = signed(system)
    assert (await system.ask("GET", f"/v1/quotes/1?access_token={token}"))[0] == 400
    assert (await system.ask("GET", f"/v1/me?access_token={token}"))[0] == 401
    assert quote.asked == []


async def test_ah42_forged_identities_are_ignored(system: System, quote: Echo) -> None:
    forged = {"x-user-id": str(uuid4()), "x-tenant-id": "elsewhere", "x-forwarded-for": "1.2.3.4"}
    async with system.session.get(system.url + "/v1/me", headers=forged) as answer:
        assert answer.status == 401
    mine = forged | {"authorization": f"Bearer {signed(system)}"}
    async with system.session.get(system.url + "/v1/me", headers=mine) as answer:
        assert json.loads(await answer.read())["user_id"] == str(SUBJECT)
    await system.session.get(system.url + "/v1/quotes/1", headers=forged)
    assert not set(quote.headers) & {name.encode() for name in forged}


async def test_ah42_a_forged_address_does_not_escape_the_limit(database: str) -> None:
    async with opened_system(database, RATE_LIMIT_LOGIN_PER_MINUTE="2") as system:
        body = system.credentials("nobody@example.com")
        found = [
            (await system.ask("POST", "/v1/auth/login", body, x_forwarded_for=f"1.2.3.{number}"))[0]
            for number in range(3)
        ]
    assert found == [401, 401, 429]


async def test_behind_a_proxy_of_ours_each_address_has_its_own_limit(database: str) -> None:
    async with opened_system(database, RATE_LIMIT_LOGIN_PER_MINUTE="1", TRUSTED_PROXIES="1") as system:
        body = system.credentials("nobody@example.com")
        found = [
            (await system.ask("POST", "/v1/auth/login", body, x_forwarded_for=f"9.9.9.9, {address}"))[0]
            for address in ("1.1.1.1", "2.2.2.2", "1.1.1.1")
        ]
    assert found == [401, 401, 429]


async def test_ah46_ten_times_the_limit_is_429_and_says_when_to_come_again(database: str) -> None:
    async with opened_system(database, RATE_LIMIT_USER_PER_MINUTE="5") as system:
        who = system.bearer(Principal(SUBJECT, "corridor", frozenset({"customer"})))
        statuses, last = [], None
        for _ in range(50):
            async with system.session.post(system.url + "/v1/transfers", data=b"{}", headers=who) as answer:
                statuses.append(answer.status)
                last = (answer.headers, json.loads(await answer.read()))
        assert statuses == [200] * 5 + [429] * 45
        assert len(system.behind["transfer"].asked) == 5  # nothing of the others reached it: no key was stored
        assert last is not None
        headers, problem = last
        assert problem["code"] == "RATE_LIMITED"
        assert 1 <= int(headers["Retry-After"]) <= 60
        assert headers["RateLimit-Policy"] == '"user";q=5;w=60'
        assert headers["RateLimit"] == f'"user";r=0;t={headers["Retry-After"]}'


async def test_ah46_users_are_counted_apart_and_webhooks_not_at_all(database: str) -> None:
    async with opened_system(database, RATE_LIMIT_USER_PER_MINUTE="1") as system:
        for _ in range(2):
            who = system.bearer(Principal(uuid4(), "corridor", frozenset({"customer"})))
            assert (await system.ask("GET", "/v1/me", **who))[0] == 200
            assert (await system.ask("GET", "/v1/me", **who))[0] == 429  # our own routes and those behind count as one
            assert (await system.session.get(system.url + "/v1/quotes/1", headers=who)).status == 429
        for _ in range(5):
            assert (await system.session.post(system.url + "/v1/webhooks/deposit", data=b"{}")).status == 200


async def test_ah46_an_answer_within_the_limit_says_what_is_left(system: System) -> None:
    body = system.credentials("nobody@example.com")
    for left in (59, 58):
        async with system.session.post(system.url + "/v1/auth/login", json=body) as answer:
            assert answer.status == 401
            assert answer.headers["ratelimit-policy"] == '"login";q=60;w=60'
            assert answer.headers["ratelimit"].startswith(f'"login";r={left};t=')


async def test_ah46_without_a_limit_no_header_and_no_count(system: System) -> None:
    async with system.session.get(system.url + "/v1/quotes/1") as answer:
        assert not [name for name in answer.headers if name.lower().startswith("ratelimit")]


async def test_ah59_a_foreign_origin_gets_no_allow_header(database: str) -> None:
    preflight = {
        "access-control-request-method": "POST", "access-control-request-headers": "authorization", "cookie": "a=1",
    }  # fmt: skip
    async with opened_system(database, CORS_ALLOW_ORIGINS=f"{ORIGIN},https://ops.example:8443") as system:
        for origin in ("https://evil.example", "null", "https://app.example.evil.example", "http://app.example"):
            for path in ("/v1/transfers", "/v1/me"):
                headers = preflight | {"origin": origin}
                async with system.session.options(system.url + path, headers=headers) as answer:
                    assert answer.status == 403
                    assert not [name for name in answer.headers if name.lower().startswith("access-control-allow")]
                    assert SAFE.items() <= {n.lower(): v for n, v in answer.headers.items()}.items()
                async with system.session.get(system.url + path, headers={"origin": origin}) as answer:
                    assert "access-control-allow-origin" not in answer.headers
        assert "origin" not in {name for echo in system.behind.values() for name, _ in sum_of(echo)}


def sum_of(echo: Echo) -> list[tuple[str, bytes]]:
    """Every header that it was ever given."""
    return [(name.decode(), value) for asked in echo.asked for name, value in asked["headers"]]


async def test_s3_04_only_the_named_origins_get_cors(database: str) -> None:
    preflight = {"origin": ORIGIN, "access-control-request-method": "POST"}
    async with opened_system(database, CORS_ALLOW_ORIGINS=ORIGIN) as system:
        for path in ("/v1/transfers", "/v1/me"):
            async with system.session.options(system.url + path, headers=preflight) as answer:
                assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, ORIGIN)
                assert "access-control-allow-credentials" not in answer.headers
            async with system.session.get(system.url + path, headers={"origin": ORIGIN}) as answer:
                assert answer.headers.getall("access-control-allow-origin") == [ORIGIN]
                assert "Retry-After" in answer.headers["access-control-expose-headers"]


async def test_s3_04_without_the_setting_nobody_gets_cors(system: System) -> None:
    async with system.session.get(system.url + "/v1/me", headers={"origin": ORIGIN}) as answer:
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    "path", ["/v1/me", "/v1/quotes/1", "/v1/nothing", "/healthz", "/version", "/v1/auth/login", "/v1/webhooks/deposit"]
)
async def test_every_answer_carries_the_security_headers_once(system: System, path: str) -> None:
    async def answer_json(_scope: Any, send: Any) -> None:
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        await reply(send, 200, b"{}", headers)

    for echo in system.behind.values():
        echo.answer = answer_json
    async with system.session.get(system.url + path) as answer:
        for name, value in SAFE.items():
            assert answer.headers.getall(name) == [value]
        assert answer.headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in answer.headers


async def test_a_page_has_a_policy_and_json_needs_none(system: System) -> None:
    async with system.session.get(system.url + "/docs") as page, system.session.get(system.url + "/v1/me") as other:
        if page.headers["content-type"].startswith("text/html"):
            assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "content-security-policy" not in other.headers
    assert b"frame-ancestors 'none'" in PAGE_POLICY[1]


async def test_ah64_one_person_asks_too_often_and_nobody_else_is_hurt(database: str) -> None:
    async with opened_system(database, RATE_LIMIT_USER_PER_MINUTE="100") as system:
        one, other = [
            system.bearer(Principal(uuid4(), "corridor", frozenset({"customer"}))) for _ in range(2)
        ]  # fmt: skip
        found = await asyncio.gather(
            *(system.session.post(system.url + "/v1/quotes", data=b"{}", headers=one) for _ in range(300))
        )
        assert sorted(answer.status for answer in found) == [200] * 100 + [429] * 200
        assert (await system.session.post(system.url + "/v1/quotes", data=b"{}", headers=other)).status == 200


@pytest.mark.parametrize("path", ["/metrics", "/internal/profiles", "/internal/idempotency-keys?key=k"])
async def test_ah65_what_is_for_us_alone_is_not_on_the_public_port(system: System, path: str) -> None:
    assert (await system.ask("GET", path) if path == "/metrics" else await public(system, path))[0] == 404


async def public(system: System, path: str) -> tuple[int, bytes]:
    """Past the helper that knows the internal port."""
    async with system.session.get(system.url + path) as answer:
        return answer.status, await answer.read()


@pytest.mark.parametrize(("prefix", "name"), [("/v1/reviews", "review"), ("/v1/recon/runs", "recon")])
async def test_a_service_that_is_not_installed_is_named_and_asking_again_is_not_asked_for(
    database: str, prefix: str, name: str
) -> None:
    async with opened_system(database, "review", "recon") as system:
        async with system.session.get(system.url + prefix) as answer:
            problem = json.loads(await answer.read())
        assert (answer.status, problem["code"]) == (503, "NOT_CONFIGURED")
        assert name in problem["detail"]
        assert "retry-after" not in answer.headers
