"""One look-up of an Idempotency-Key asks every service, and says who did not answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

import pytest
from starlette.types import Scope, Send

from services.core_api.adapters import keys
from services.kernel.tokens import Principal, ServiceTokens
from tests.integration.core_api.conftest import BEHIND, Echo, System, opened_system, reply

PATH = "/v1/admin/idempotency-keys"
STAFF = Principal(uuid4(), "corridor", frozenset({"operator"}))


def answers(echo: Echo, *items: dict[str, Any], status: int = 200) -> None:
    async def answer(_scope: Scope, send: Send) -> None:
        await reply(send, status, json.dumps({"items": items}).encode(), [(b"content-type", b"application/json")])

    echo.answer = answer


async def look(system: System, query: str) -> tuple[int, Any]:
    return await system.ask("GET", f"{PATH}?{query}", **system.bearer(STAFF))


async def profile(system: System, key: str) -> tuple[str, Any]:
    """Who made it, and the answer."""
    subject = uuid4()
    who = system.bearer(Principal(subject, "corridor", frozenset({"customer"})))
    body = {"kind": "sender", "country": "GB", "name": "Ada Lovelace"}
    status, made = await system.ask("POST", "/v1/profiles", body, idempotency_key=key, **who)
    assert status == 201
    return str(subject), made


async def test_our_own_keys_are_found_beside_those_of_the_others_oldest_first(system: System) -> None:
    for echo in system.behind.values():
        answers(echo)
    subject, made = await profile(system, "k-1")
    old = {"service": "transfer", "key": "k-1", "created_at": "2020-01-01T00:00:00Z"}
    answers(system.behind["transfer"], old)

    status, found = await look(system, "key=k-1")
    assert (status, found["unanswered"]) == (200, [])
    assert found["items"][0] == old
    mine = found["items"][1]
    assert (mine["service"], mine["principal"], mine["status"]) == ("core_api", subject, 201)
    assert mine["answer"]["profile_id"] == made["profile_id"]


async def test_every_service_is_asked_with_a_token_of_ours_and_the_same_question(system: System) -> None:
    for echo in system.behind.values():
        answers(echo)
    await look(system, f"key=k%201%2B%C3%A9&principal={STAFF.subject}")
    for echo in system.behind.values():
        (asked,) = [one for one in echo.asked if one["path"] == b"/internal/idempotency-keys"]
        assert parse_qs(asked["query"].decode()) == {"key": ["k 1+\u00e9"], "principal": [str(STAFF.subject)]}
        token = dict(asked["headers"])[b"authorization"].decode().removeprefix("Bearer ")
        assert ServiceTokens.from_settings(system.settings).verify(token).roles == {"service"}


async def test_who_does_not_answer_is_named_and_holds_nobody_up(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "ANSWER_SECONDS_MAX", 0.5)

    async def silent(_scope: Scope, _send: Send) -> None:
        await asyncio.Event().wait()

    for echo in system.behind.values():
        answers(echo)
    system.behind["ledger"].answer = silent
    answers(system.behind["quote"], status=500)
    await profile(system, "k-2")
    async with asyncio.timeout(5):
        status, found = await look(system, "key=k-2")
    assert (status, sorted(found["unanswered"])) == (200, ["ledger", "quote"])
    assert [item["service"] for item in found["items"]] == ["core_api"]


async def test_who_is_not_installed_is_neither_asked_nor_missed(database: str) -> None:
    async with opened_system(database, "review", "recon") as system:
        for echo in system.behind.values():
            answers(echo)
        _, found = await look(system, "key=nobody-has-this")
    assert found == {"items": [], "unanswered": []}
    assert len(system.behind) == len(BEHIND) - 2


@pytest.mark.parametrize("query", ["", "key=", "key=" + "k" * 256, "key=k&other=1", "key=a&key=b"])
async def test_a_question_that_names_no_key_is_400(system: System, query: str) -> None:
    status, problem = await look(system, query)
    assert (status, problem["code"]) == (400, "INVALID_QUERY")
    assert not any(echo.asked for echo in system.behind.values())


async def test_a_sign_up_is_found_by_its_key_and_shows_no_password(system: System) -> None:
    for echo in system.behind.values():
        answers(echo)
    body = system.credentials("found@example.com")
    assert (await system.ask("POST", "/v1/auth/signup", body, idempotency_key="k-3"))[0] == 201
    _, found = await look(system, "key=k-3")
    (item,) = found["items"]
    assert (item["status"], item["request"]["route"], item["request"]["fields"]) == (201, "/v1/auth/signup", {})
    assert item["principal"].startswith("signup:")
    assert body["password"] not in json.dumps(found)
