"""Statements over HTTP: who may bring one, in which form, once for each key; pages of what they say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest

from services.kernel.cursors import Cursors
from services.kernel.http import create_app
from services.kernel.routing import FILE_BYTES_MAX
from services.kernel.tokens import Principal
from services.reconciliation.api import statements as api
from services.reconciliation.ports import Collected
from tests.integration.reconciliation.books import World
from tests.integration.reconciliation.statements import intake
from tests.integration.reconciliation.test_recon_api import OLGA, SETTINGS, TOKENS
from tests.support.fakes import until
from tests.unit.kernel.door import Answer, send

PATH = "/v1/reconciliation/statements"
SAMPLES = Path(__file__).parents[2] / "unit" / "reconciliation" / "statements" / "files"
HEAD = "account,statement,number,reference,booked,value,amount,currency,opening,closing,end to end id,text,code"


def csv(statement: str, *rows: tuple[str, str], closing: str) -> bytes:
    """Of the deployment's own map: (reference, amount) by line."""
    lines = [
        f"GB33BUKB20201555555555,{statement},,{reference},2026-03-02,,{amount},GBP,0.00,{closing},,,"
        for reference, amount in rows
    ]
    return "\n".join([HEAD, *lines]).encode()


class Door:
    """The service's HTTP, asked by somebody."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def ask(
        self, method: str, path: str, body: bytes = b"", *, media: str = "application/json", role: str = "operator",
        key: str | None = None, who: UUID = OLGA, **query: str,
    ) -> Answer:  # fmt: skip
        token = TOKENS.issue(Principal(who, "corridor", frozenset({role})), 60)
        headers = [("content-type", media), ("authorization", f"Bearer {token}")]
        if method == "POST":
            headers.append(("idempotency-key", key or str(uuid4())))
        return await send(self._app, method, path, body, headers, query=urlencode(query))

    async def post(self, body: bytes, media: str = "text/csv", **more: Any) -> Answer:
        asked: dict[str, Any] = {"partner": "sandbox-bank", "reason": "statement of the day"} | more
        return await self.ask("POST", PATH, body, media=media, **asked)

    async def get(self, path: str = "", **query: Any) -> Any:
        return (await self.ask("GET", PATH + path, **query)).json


@asynccontextmanager
async def door(world: World) -> AsyncIterator[Door]:
    async with world.conductor() as (_, commands, reads), intake(world) as taker:
        desk = api.Desk(taker, commands, reads, Cursors.from_settings(SETTINGS), "corridor")
        yield Door(create_app(SETTINGS, [api.routes(desk, TOKENS, "corridor")]))


@pytest.fixture
def name() -> str:
    return f"S{uuid4().hex[:12]}"


async def test_a_file_is_taken_and_can_be_read_back(world: World, name: str) -> None:
    body = csv(name, (f"{name}A", "10.00"), (f"{name}B", "-2.50"), (f"{name}C", "1.005"), closing="7.50")
    async with door(world) as ops:
        said = await ops.post(body)
        assert said.status == 201, said.json
        (taken,) = said.json["statements"]
        assert (taken["lines"], taken["parked"], taken["difference_minor"]) == (2, 1, 0)
        one = await ops.get(f"/{taken['statement_id']}")
        assert (one["state"], one["recorded"], one["parked"], one["reference"]) == ("complete", 2, 1, name)
        assert (one["opening_minor"], one["closing_minor"], one["credit_minor"]) == (0, 7_50, 10_00)
        assert one["ledger_account"] == "safeguarding:sandbox-bank:GBP"
        first = await ops.get(f"/{taken['statement_id']}/lines", limit="1")
        rest = await ops.get(f"/{taken['statement_id']}/lines", cursor=first["next_cursor"])
        lines = first["items"] + rest["items"]
        assert [(each["amount_minor"], each["side"]) for each in lines] == [(10_00, "credit"), (2_50, "debit")]
        assert rest["next_cursor"] is None
        (bad,) = (await ops.get(f"/{taken['statement_id']}/parked"))["items"]
        assert (bad["code"], bad["position"], bad["entry_reference"]) == ("AMOUNT_INVALID", "line 4", f"{name}C")


async def test_camt_of_both_kinds_says_itself_what_it_is(world: World) -> None:
    async with door(world) as ops:
        first = await ops.post((SAMPLES / "camt.053.001.08.xml").read_bytes(), "application/xml; charset=utf-8")
        assert first.status == 201, first.json
        said = await ops.post((SAMPLES / "camt.054.001.02.xml").read_bytes(), "text/xml")
        (note,) = said.json["statements"]
        assert (note["lines"], note["repeated"], note["difference_minor"]) == (0, 1, None)  # the statement has it
        wrong = await ops.post((SAMPLES / "camt.054.001.02.xml").read_bytes(), "text/xml", format="camt053")
        assert (wrong.status, wrong.json["code"]) == (422, "STATEMENT_UNREADABLE")


async def test_a_day_of_the_partners_book(world: World) -> None:
    at = datetime(2001, 1, uuid4().int % 28 + 1, 12, tzinfo=UTC)
    world.book.collected["D1"] = Collected(
        seq=uuid4().int % 10**12, partner="sandbox-bank", reference="D1", route_id=uuid4(), amount_minor=5_00,
        currency="GBP", booked_at=at,
    )  # fmt: skip
    body = json.dumps({"day": f"{at:%Y-%m-%d}"}).encode()
    async with door(world) as ops:
        said = await ops.post(body, "application/json")
        assert said.status == 201, said.json
        assert [each["account"] for each in said.json["statements"]] == ["sandbox-bank collected GBP"]
        world.book.away = True
        assert (await ops.post(body, "application/json")).status == 503


async def test_the_same_key_is_the_same_file_and_another_body_a_conflict(world: World, name: str) -> None:
    body, key = csv(name, (f"{name}A", "1.00"), closing="1.00"), str(uuid4())
    async with door(world) as ops:
        first, second = await asyncio.gather(ops.post(body, key=key), ops.post(body, key=key))
        assert (first.status, first.json) == (second.status, second.json)
        again = await ops.post(body, key=key)
        assert (again.json, again.headers["idempotency-replayed"]) == (first.json, "true")
        other = await ops.post(body + b"\n", key=key)
        assert (other.status, other.json["code"]) == (409, "IDEMPOTENCY_CONFLICT")
        reason = await ops.post(body, key=key, reason="another reason")
        assert (reason.status, reason.json["code"]) == (409, "IDEMPOTENCY_CONFLICT")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"role": "customer"}, 403, "FORBIDDEN"),
        ({"media": "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ({"reason": "short"}, 400, "INVALID_QUERY"),
        ({"partner": "nobody"}, 422, "STATEMENT_UNREADABLE"),
        ({"media": "application/xml"}, 422, "STATEMENT_UNREADABLE"),
        ({"media": "application/json"}, 400, "MALFORMED_JSON"),
        ({"format": "camt053"}, 422, "STATEMENT_UNREADABLE"),
    ],
)
async def test_what_is_refused(world: World, name: str, change: dict[str, Any], status: int, code: str) -> None:
    async with door(world) as ops:
        said = await ops.post(csv(name, (name, "1.00"), closing="1.00"), **change)
    assert (said.status, said.json["code"]) == (status, code)


async def test_a_file_beyond_the_bound_is_refused_before_it_is_read(world: World) -> None:
    async with door(world) as ops:
        said = await ops.post(b"x" * (FILE_BYTES_MAX + 1))
    assert (said.status, said.json["code"]) == (413, "BODY_TOO_LARGE")


async def test_a_long_intake_is_answered_before_its_end_and_found_again_by_its_key(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "WAIT_SECONDS", 0.0)
    body, key = csv(name, *((f"{name}{n}", "1.00") for n in range(3_000)), closing="3000.00"), str(uuid4())
    async with door(world) as ops:
        receiving: list[str] = []

        async def read() -> bool:
            first = await ops.post(body, key=key)
            assert (first.status, first.json["state"]) == (202, "receiving")
            receiving[:] = first.json["receiving"]
            return bool(receiving)

        await until(read)
        monkeypatch.setattr(api, "WAIT_SECONDS", 30.0)
        last = await ops.post(body, key=key)
        assert (last.status, last.json["statements"][0]["lines"]) == (201, 3_000)
        assert last.json["statements"][0]["statement_id"] == receiving[0]


async def test_statements_are_listed_newest_first_and_a_cursor_is_its_callers(world: World, name: str) -> None:
    async with door(world) as ops:
        for number in range(3):
            await ops.post(csv(f"{name}{number}", (f"{name}{number}", "1.00"), closing="1.00"))
        page = await ops.get(limit="2", partner="sandbox-bank")
        assert [each["reference"] for each in page["items"]] == [f"{name}2", f"{name}1"]
        rest = await ops.get(cursor=page["next_cursor"], limit="1", partner="sandbox-bank")
        assert rest["items"][0]["reference"] == f"{name}0"
        stranger = await ops.ask("GET", PATH, who=UUID(int=78), cursor=page["next_cursor"], partner="sandbox-bank")
        assert stranger.status == 400
        assert (await ops.ask("GET", f"{PATH}/{uuid4()}")).status == 404
