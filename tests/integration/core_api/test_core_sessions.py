"""Sign up, log in, refresh, log out; what a stolen token is worth; what a change of the secret does."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from services.core_api.adapters.passwords import MEMORY_KIB, THREADS, WAITING_MAX, Argon2
from services.kernel.problem import Problem
from tests.integration.core_api.conftest import PASSWORD, System, opened_system

SIGN_UP = "/v1/auth/signup"


async def sign_up(system: System, login: str, password: str = PASSWORD, key: str | None = None) -> tuple[int, Any]:
    return await system.ask("POST", SIGN_UP, system.credentials(login, password), idempotency_key=key or str(uuid4()))


async def refresh(system: System, token: str) -> tuple[int, Any]:
    return await system.ask("POST", "/v1/auth/refresh", {"refresh_token": token})


async def me(system: System, token: str) -> int:
    return (await system.ask("GET", "/v1/me", authorization=f"Bearer {token}"))[0]


async def log_out(system: System, token: str) -> int:
    body = {"refresh_token": token}
    async with system.session.post(system.url + "/v1/auth/logout", json=body) as answer:
        return answer.status


async def fetch(database: str, sql: str, *values: Any) -> list[Any]:
    connection = await asyncpg.connect(database)
    try:
        return list(await connection.fetch(sql, *values))
    finally:
        await connection.close()


async def test_who_signs_up_is_a_customer_and_logs_in(system: System) -> None:
    status, user = await sign_up(system, "new@example.com")
    assert (status, user["roles"]) == (201, ["customer"])
    granted = await system.login("New@example.com")
    assert granted["user_id"] == user["user_id"]
    assert await me(system, granted["access_token"]) == 200


async def test_nobody_signs_up_as_anything_else(system: System) -> None:
    body = system.credentials("root@example.com") | {"roles": ["admin"]}
    status, problem = await system.ask("POST", SIGN_UP, body, idempotency_key="k")
    assert (status, problem["errors"][0]["code"]) == (422, "unknown-member")


async def test_a_sign_up_needs_a_key_and_its_repeat_gets_the_same_answer(system: System) -> None:
    assert (await system.ask("POST", SIGN_UP, system.credentials("k@example.com")))[1]["code"] == (
        "IDEMPOTENCY_KEY_MISSING"
    )
    answers = [await sign_up(system, "k@example.com", key="same") for _ in range(2)]
    assert answers[0] == answers[1]
    status, problem = await sign_up(system, "k@example.com", "another password", key="same")
    assert (status, problem["code"]) == (409, "IDEMPOTENCY_CONFLICT")


async def test_strangers_with_the_same_key_do_not_meet(system: System) -> None:
    first, second = [await sign_up(system, login, key="1") for login in ("s1@example.com", "s2@example.com")]
    assert (first[0], second[0]) == (201, 201)
    assert first[1]["user_id"] != second[1]["user_id"]


async def test_a_conflict_says_the_same_of_a_customer_and_of_an_operator(system: System) -> None:
    await sign_up(system, "c@example.com")
    await system.user("o@example.com", "operator")
    found = [await sign_up(system, login, "another password") for login in ("C@example.com", "o@example.com")]
    first, second = ({**problem, "trace_id": "", "instance": ""} for _, problem in found)
    assert first == second
    assert (found[0][0], first["code"]) == (409, "LOGIN_TAKEN")


async def test_a_taken_login_keeps_its_password(system: System) -> None:
    await sign_up(system, "keep@example.com")
    await sign_up(system, "keep@example.com", "another password")
    assert (await system.ask("POST", "/v1/auth/login", system.credentials("keep@example.com")))[0] == 200
    stolen = system.credentials("keep@example.com", "another password")
    assert (await system.ask("POST", "/v1/auth/login", stolen))[0] == 401


async def test_64_sign_ups_with_one_login_make_one_user(database: str) -> None:
    async with opened_system(database, RATE_LIMIT_SIGNUP_PER_MINUTE="0") as system:
        found = await asyncio.gather(*(sign_up(system, "race@example.com") for _ in range(64)))
    assert sorted(status for status, _ in found) == [201] + [409] * 63


@pytest.mark.parametrize("password", ["short", "x" * 257])
async def test_a_password_has_8_to_256_characters(system: System, password: str) -> None:
    status, problem = await sign_up(system, "p@example.com", password)
    assert (status, problem["errors"][0]["pointer"]) == (422, "/password")


async def test_neither_a_password_nor_a_plain_digest_of_it_is_stored(system: System, database: str) -> None:
    await sign_up(system, "secret@example.com", key="secret-1")
    (row,) = await fetch(database, "SELECT fingerprint, answer FROM core.request_key WHERE key = 'secret-1'")
    assert PASSWORD.encode() not in row["answer"]
    other = await fetch(database, "SELECT 1 FROM core.event WHERE position($1 IN data) > 0", PASSWORD.encode())
    assert other == []
    changed = await sign_up(system, "secret@example.com", "another password", key="secret-1")
    assert changed[0] == 409  # the fingerprint covers the password, keyed


async def test_a_flood_of_passwords_is_refused_before_it_eats_memory() -> None:
    passwords = Argon2()
    found = await asyncio.gather(
        *(passwords.hash("p") for _ in range(WAITING_MAX + 5)), return_exceptions=True
    )  # fmt: skip
    refused = [error for error in found if isinstance(error, Problem)]
    assert [problem.status for problem in refused] == [503] * 5
    assert THREADS * MEMORY_KIB < 64 * 1024


async def test_a_refresh_gives_the_next_tokens(system: System) -> None:
    await sign_up(system, "r1@example.com")
    first = await system.login("r1@example.com")
    status, second = await refresh(system, first["refresh_token"])
    assert status == 200
    assert second["refresh_token"] != first["refresh_token"]
    assert (second["session_id"], second["user_id"]) == (first["session_id"], first["user_id"])
    assert await me(system, second["access_token"]) == 200
    assert (await refresh(system, second["refresh_token"]))[0] == 200


async def test_a_refresh_token_that_comes_again_ends_the_session_for_everybody(system: System) -> None:
    await sign_up(system, "r2@example.com")
    stolen = (await system.login("r2@example.com"))["refresh_token"]
    _, second = await refresh(system, stolen)
    other = await system.login("r2@example.com")

    status, problem = await refresh(system, stolen)
    assert (status, problem["code"]) == (401, "REFRESH_TOKEN_INVALID")
    assert (await refresh(system, second["refresh_token"]))[0] == 401
    assert (await refresh(system, other["refresh_token"]))[0] == 200  # another session of theirs goes on


async def test_of_two_at_once_one_gets_the_next_token_and_the_session_ends(system: System) -> None:
    await sign_up(system, "r3@example.com")
    token = (await system.login("r3@example.com"))["refresh_token"]
    found = await asyncio.gather(*(refresh(system, token) for _ in range(8)))
    granted = [answer for status, answer in found if status == 200]
    assert sorted(status for status, _ in found) == [200] + [401] * 7
    assert (await refresh(system, granted[0]["refresh_token"]))[0] == 401


async def test_a_guess_is_401_and_ends_nothing(system: System) -> None:
    await sign_up(system, "r4@example.com")
    granted = await system.login("r4@example.com")
    session, family, secret = granted["refresh_token"].split(".")[1:]
    profile = uuid4().hex
    for guess in (
        f"crt.{session}.{'A' * 22}.{secret}", f"crt.{profile}.{family}.{secret}", "nonsense",
        f"crt.{granted['user_id'].replace('-', '')}.{family}.{secret}",
    ):  # fmt: skip
        assert (await refresh(system, guess))[0] == 401
        assert await log_out(system, guess) == 401
    assert (await refresh(system, granted["refresh_token"]))[0] == 200


async def test_after_a_logout_nothing_is_refreshed_and_a_second_one_is_fine(system: System) -> None:
    await sign_up(system, "r5@example.com")
    token = (await system.login("r5@example.com"))["refresh_token"]
    assert [await log_out(system, token), await log_out(system, token)] == [204, 204]
    assert (await refresh(system, token))[0] == 401


async def test_only_digests_of_tokens_are_stored(system: System, database: str) -> None:
    await sign_up(system, "r6@example.com")
    granted = await system.login("r6@example.com")
    _, next_one = await refresh(system, granted["refresh_token"])
    secrets = {part for one in (granted, next_one) for part in one["refresh_token"].split(".")[2:]}
    assert len(secrets) == 3  # the family's half stays, the other one is new
    for secret in secrets:
        for sql in ("SELECT 1 FROM core.event WHERE position($1 IN data) > 0",
                    "SELECT 1 FROM core.stream_state WHERE position($1 IN state) > 0"):  # fmt: skip
            assert await fetch(database, sql, secret.encode()) == []


async def test_a_session_ends_at_its_time(database: str) -> None:
    async with opened_system(database, SESSION_SECONDS="60") as system:
        await sign_up(system, "r7@example.com")
        granted = await system.login("r7@example.com")
        assert 55 <= granted["refresh_expires_in"] <= 60
        assert (await refresh(system, granted["refresh_token"]))[1]["refresh_expires_in"] <= 60


async def test_s3_26_a_new_secret_ends_access_tokens_and_leaves_refresh_tokens(database: str) -> None:
    async with opened_system(database) as before:
        await sign_up(before, "rotate@example.com")
        granted = await before.login("rotate@example.com")
    async with opened_system(database, JWT_SECRET="another-hs256-key-of-32-characters") as after:
        assert await me(after, granted["access_token"]) == 401
        status, fresh = await refresh(after, granted["refresh_token"])
        assert status == 200
        assert await me(after, fresh["access_token"]) == 200


async def test_s3_26_with_the_previous_secret_named_access_tokens_stay_good(database: str) -> None:
    async with opened_system(database) as before:
        await sign_up(before, "overlap@example.com")
        granted = await before.login("overlap@example.com")
        previous = before.settings.jwt_secret.reveal()
    overlap = {"JWT_SECRET": "another-hs256-key-of-32-characters", "JWT_SECRET_PREVIOUS": previous}
    async with opened_system(database, **overlap) as after:
        assert await me(after, granted["access_token"]) == 200
        assert (await refresh(after, granted["refresh_token"]))[0] == 200


async def test_s2_58_an_admin_logs_in_with_credentials_that_are_nowhere_in_the_code(system: System) -> None:
    who = await system.user("admin@example.com", "admin")
    status, answer = await system.ask("GET", "/v1/admin/maintenance", **who)
    assert (status, answer["enabled"]) == (200, False)
    wrong = system.credentials("admin@example.com", "admin")
    assert (await system.ask("POST", "/v1/auth/login", wrong))[0] == 401


async def test_s0_04_while_the_database_is_away_a_login_is_503(database: str) -> None:
    away = "postgresql://nobody@127.0.0.1:1/nowhere"
    async with opened_system(away) as system:
        status, problem = await system.ask("POST", "/v1/auth/login", system.credentials("x@example.com"))
    assert (status, problem["code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    assert "127.0.0.1" not in str(problem)
