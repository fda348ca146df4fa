"""Users log in; customers name senders and receivers; operators decide their KYC; nothing personal is kept in clear."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from contracts.customer.v1 import ProfileCreated
from services.core_api.__main__ import add_user
from services.kernel.codec import decoder
from services.kernel.event_store import PostgresStore, connector
from services.kernel.projector import live_version
from services.kernel.store import Write
from services.kernel.tokens import Principal, ServiceToken, ServiceTokens
from services.kernel.upstream import Upstream
from services.transfer.adapters.owners import Owner
from services.transfer.ports import OwnerUnavailable, Person
from services.transfer.projections import profiles
from tests.integration.core_api.conftest import PASSWORD, System

RECEIVER = {"kind": "receiver", "country": "ET", "name": "Abebe Bikila", "account": "ET00123456789"}
SENDER = {"kind": "sender", "country": "GB", "name": "Ada Lovelace"}


async def created(system: System, who: dict[str, str], body: dict[str, str]) -> Any:
    status, profile = await system.ask("POST", "/v1/profiles", body, idempotency_key=str(uuid4()), **who)
    assert status == 201, profile
    return profile


async def test_a_login_gives_a_token_that_says_who_one_is(system: System) -> None:
    who = await system.user("one@example.com", "operator")
    status, me = await system.ask("GET", "/v1/me", **who)
    assert (status, me["tenant"], me["roles"]) == (200, "corridor", ["operator"])


async def test_a_login_does_not_depend_on_case(system: System) -> None:
    await system.user("two@example.com", "customer")
    status, _ = await system.ask("POST", "/v1/auth/login", system.credentials(" TWO@Example.com"))
    assert status == 200


async def test_a_wrong_password_and_an_unknown_login_get_the_same_answer(system: System) -> None:
    await system.user("three@example.com", "customer")
    answers = [
        await system.ask("POST", "/v1/auth/login", system.credentials(login, "wrong password"))
        for login in ("three@example.com", "nobody@example.com")
    ]
    for status, problem in answers:
        assert (status, problem["code"]) == (401, "CREDENTIALS_INVALID")
    first, second = ({**problem, "trace_id": "", "instance": ""} for _, problem in answers)
    assert first == second


async def test_a_login_of_another_tenant_is_refused_even_with_the_right_password(system: System) -> None:
    """One tenant per installation."""
    assert (await add_user(system.settings, "elsewhere", "four@example.com", PASSWORD, "customer"))[0] == 0
    body = system.credentials("four@example.com") | {"tenant": "elsewhere"}
    status, problem = await system.ask("POST", "/v1/auth/login", body)
    assert (status, problem["code"]) == (401, "CREDENTIALS_INVALID")


async def test_adding_a_user_again_prints_the_same_id(system: System) -> None:
    first = await add_user(system.settings, "corridor", "five@example.com", PASSWORD, "customer")
    again = await add_user(system.settings, "corridor", "Five@example.com", PASSWORD, "customer")
    assert (first[0], again[0]) == (0, 0)
    assert again[1] == first[1].replace("true", "false")


async def test_adding_a_known_login_with_another_password_or_role_is_refused(system: System) -> None:
    await add_user(system.settings, "corridor", "six@example.com", PASSWORD, "customer")
    assert (await add_user(system.settings, "corridor", "six@example.com", "another password", "customer"))[0] == 1
    assert (await add_user(system.settings, "corridor", "six@example.com", PASSWORD, "admin"))[0] == 1


async def test_the_owner_sees_a_profile_in_full_and_an_operator_masked(system: System) -> None:
    owner, operator = await system.user("a@example.com", "customer"), await system.user("op@example.com", "operator")
    profile = await created(system, owner, RECEIVER)
    path = f"/v1/profiles/{profile['profile_id']}"

    assert (profile["kyc"], "name" in profile) == ("pending", False)
    full, masked = [await system.ask("GET", path, **who) for who in (owner, operator)]
    assert (full[1]["name"], full[1]["account"]) == (RECEIVER["name"], RECEIVER["account"])
    assert (masked[1]["name"], masked[1]["account"]) == ("A*** B***", "*********6789")


async def test_s0_06_nobody_asserts_their_own_kyc(system: System) -> None:
    owner = await system.user("a@example.com", "customer")
    for claim in ({"kyc": "approved"}, {"approved": True}, {"verdict": "approved"}):
        status, problem = await system.ask("POST", "/v1/profiles", RECEIVER | claim, idempotency_key="own", **owner)
        assert (status, problem["errors"][0]["code"]) == (422, "unknown-member")
    path = f"/v1/profiles/{(await created(system, owner, RECEIVER))['profile_id']}"
    verdict = {"verdict": "approved", "reason": "trust me"}
    assert (await system.ask("POST", path + "/kyc", verdict, **owner))[0] == 403
    assert (await system.ask("GET", path, **owner))[1]["kyc"] == "pending"


async def test_nobody_else_finds_it(system: System) -> None:
    owner, other = await system.user("a@example.com", "customer"), await system.user("b@example.com", "customer")
    stranger = system.bearer(Principal(uuid4(), "elsewhere", frozenset({"operator"})))
    path = f"/v1/profiles/{(await created(system, owner, SENDER))['profile_id']}"

    for who in (other, stranger):
        assert (await system.ask("GET", path, **who))[0] == 404
    body = {"verdict": "approved", "reason": "passport seen"}
    assert (await system.ask("POST", path + "/kyc", body, **stranger))[0] == 404
    assert (await system.ask("GET", path))[0] == 401


async def test_a_profile_asked_for_twice_is_one_profile(system: System) -> None:
    who, key = await system.user("a@example.com", "customer"), str(uuid4())
    answers = [await system.ask("POST", "/v1/profiles", SENDER, idempotency_key=key, **who) for _ in range(2)]
    assert answers[0] == answers[1]
    changed = SENDER | {"name": "Somebody Else"}
    assert (await system.ask("POST", "/v1/profiles", changed, idempotency_key=key, **who))[0] == 409


async def test_a_key_that_expired_and_is_gone_is_not_used_for_another_account(system: System, database: str) -> None:
    who, key = await system.user("a@example.com", "customer"), str(uuid4())

    async def post(body: dict[str, str]) -> tuple[int, Any]:
        connection = await asyncpg.connect(database)
        await connection.execute("DELETE FROM core.request_key WHERE key = $1", key)
        await connection.close()
        return await system.ask("POST", "/v1/profiles", body, idempotency_key=key, **who)

    first = await post(RECEIVER)
    status, problem = await post(RECEIVER | {"account": "ET99999999999"})
    assert (status, problem["code"]) == (409, "PROFILE_ID_REUSED")
    assert await post(RECEIVER) == first
    path = f"/v1/profiles/{first[1]['profile_id']}"
    assert (await system.ask("GET", path, **who))[1]["account"] == RECEIVER["account"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (RECEIVER | {"account": None}, 422, "ACCOUNT_REQUIRED"),
        (SENDER | {"account": "12345678"}, 422, "ACCOUNT_UNEXPECTED"),
        (SENDER | {"kyc": "approved"}, 422, "INVALID_BODY"),
        (SENDER | {"country": "gb"}, 422, "INVALID_BODY"),
    ],
)
async def test_a_profile_is_refused_with_a_name(system: System, body: dict[str, str], status: int, code: str) -> None:
    who = await system.user("a@example.com", "customer")
    answer = await system.ask("POST", "/v1/profiles", body, idempotency_key=str(uuid4()), **who)
    assert (answer[0], answer[1]["code"]) == (status, code)


async def test_only_an_operator_decides_kyc_and_a_rejection_stands(system: System) -> None:
    owner, operator = await system.user("a@example.com", "customer"), await system.user("op@example.com", "operator")
    path = f"/v1/profiles/{(await created(system, owner, SENDER))['profile_id']}/kyc"
    approve = {"verdict": "approved", "reason": "passport seen"}
    reject = {"verdict": "rejected", "reason": "on a list"}

    assert (await system.ask("POST", path, approve, **owner))[0] == 403
    for body, expected in ((approve, "approved"), (approve, "approved"), (reject, "rejected")):
        status, profile = await system.ask("POST", path, body, **operator)
        assert (status, profile["kyc"]) == (200, expected)
    status, problem = await system.ask("POST", path, approve, **operator)
    assert (status, problem["code"]) == (409, "KYC_ALREADY_DECIDED")


async def test_services_get_the_facts_sealed_and_nobody_else_does(system: System) -> None:
    owner = await system.user("a@example.com", "customer")
    profile_id = (await created(system, owner, RECEIVER))["profile_id"]
    service, forger = system.service("transfer"), system.bearer(Principal(uuid4(), "corridor", frozenset({"service"})))
    body = {"tenant": "corridor", "profile_ids": [profile_id, str(uuid4())]}

    for who in (owner, forger):
        assert (await system.ask("POST", "/internal/profiles", body, **who))[0] == 401
    for path in ("/v1/me", f"/v1/profiles/{profile_id}"):
        assert (await system.ask("GET", path, **service))[0] == 401
    status, found = await system.ask("POST", "/internal/profiles", body, **service)
    assert (status, list(found)) == (200, [profile_id])
    person = decoder(Person)(json.dumps(found[profile_id]).encode())
    assert (person.kyc, person.kind, person.name.subject) == ("pending", "receiver", UUID(profile_id))
    assert (await system.ask("POST", "/internal/profiles", body | {"tenant": "elsewhere"}, **service))[0] == 403
    for odd in (profile_id.upper(), "{" + profile_id + "}", "x"):
        status, problem = await system.ask("POST", "/internal/profiles", body | {"profile_ids": [odd]}, **service)
        assert (status, problem["code"]) == (422, "INVALID_BODY")


async def test_the_transfer_service_s_own_client_is_answered_on_the_internal_port_alone(system: System) -> None:
    profile_id = (await created(system, await system.user("a@example.com", "customer"), RECEIVER))["profile_id"]
    token = ServiceToken(ServiceTokens.from_settings(system.settings), "transfer", "corridor")
    body, read = {"tenant": "corridor", "profile_ids": [profile_id]}, decoder(dict[UUID, Person])

    found = await Owner(Upstream(system.internal), "/internal/profiles", token).ask(body, read)
    assert found[UUID(profile_id)].kyc == "pending"
    with pytest.raises(OwnerUnavailable, match="404"):
        await Owner(Upstream(system.url), "/internal/profiles", token).ask(body, read)


async def test_nothing_personal_is_kept_in_clear(system: System, database: str) -> None:
    owner = await system.user("plain@example.com", "customer")
    await created(system, owner, RECEIVER)
    connection = await asyncpg.connect(database)
    kept = b"".join(
        bytes(value)
        for row in await connection.fetch(
            """SELECT data, meta FROM core.event UNION ALL SELECT state, stage::bytea FROM core.stream_state
               UNION ALL SELECT answer, convert_to(key, 'UTF8') FROM core.request_key"""
        )
        for value in row
    )
    await connection.close()
    assert b"receiver" in kept
    for secret in ("Abebe", "Bikila", RECEIVER["account"], "plain@example.com", "argon2", PASSWORD):
        assert secret.encode() not in kept


async def test_the_transfer_services_own_role_reads_and_writes_its_table_of_profiles(
    system: System, database: str
) -> None:
    owner = await system.user("a@example.com", "customer")
    profile_id = UUID((await created(system, owner, RECEIVER))["profile_id"])
    connection = await asyncpg.connect(database)
    rows = await connection.fetch("SELECT data FROM core.event WHERE stream_id = $1", profile_id)
    event = decoder(ProfileCreated)(rows[0][0])
    await connection.close()

    connect = connector(database, "transfer", "test")

    async def as_transfer() -> Any:
        opened = await connect()
        await opened.execute("SET ROLE corridor_transfer")
        return opened

    reads = PostgresStore(as_transfer)
    version = await live_version(reads, "profiles")
    store = PostgresStore(as_transfer, profiles.PROJECTION.parts(version))
    row, write = profiles.evolve(None, event), Write(topic="")
    write.add("rows", (profile_id, *(getattr(row, name) for name, _ in profiles.PROJECTION.columns()[1:])))
    async with store.transaction() as transaction:
        await transaction.write(write)

    found = await profiles.profiles_of(reads, [profile_id, uuid4()])
    assert found == {
        profile_id: Person(
            profile_id=profile_id,
            customer_id=event.customer_id,
            kind="receiver",
            kyc="pending",
            name=event.name,
            account=event.account,
        )
    }
    await store.drop()
    await reads.drop()
