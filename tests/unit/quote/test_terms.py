"""The terms of quotes are for our own services, of their own tenant, by ids in their plain spelling."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from services.kernel.decider import Ask, Meta, Unit
from services.kernel.engine import Engine, Units
from services.kernel.group_commit import GroupCommit
from services.kernel.http import App, create_app
from services.kernel.memory import MemoryStore
from services.kernel.settings import Kernel, load
from services.kernel.tokens import Principal, ServiceTokens, Tokens
from services.quote import handlers
from services.quote.api import Quotes, internal_routes, routes
from services.quote.domain import Corridors
from tests.support.fakes import Clock, Ids
from tests.unit.quote.samples import AT, CORRIDOR, CREATE, QUOTE_ID

TERMS = "/internal/quotes/terms"
SETTINGS = {
    "ENV": "dev",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/corridor",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "JWT_SECRET": "0f9d1c3b5a7e88420f9d1c3b5a7e8842",
}


async def asked(
    tenant: str, quote_id: str, issuer: type[Tokens] = ServiceTokens, method: str = "POST", path: str = TERMS
) -> tuple[int, Any]:
    """(status, JSON) for a service of the tenant `corridor`, which has one quote."""
    settings = load(Kernel, "quote", SETTINGS)
    engine = Engine(MemoryStore(Clock()), (handlers.decider(),), "quotes", Ids())
    await engine.run(Units([Unit((Ask(QUOTE_ID, CREATE),), Meta("corridor", "anna", uuid4()))]))
    corridors, tokens = Corridors(1, {"GB-ET": CORRIDOR}), Tokens.from_settings(settings)
    quotes = Quotes(GroupCommit(engine), engine, corridors, None, lambda: AT)  # type: ignore[arg-type]  # never asked
    services = ServiceTokens.from_settings(settings)
    token = issuer.from_settings(settings).issue(
        Principal(uuid4(), "corridor", frozenset({"service", "customer"})), 600
    )
    app = create_app(settings, [routes(quotes, corridors, tokens), internal_routes(quotes, services)])
    body = json.dumps({"tenant": tenant, "quote_ids": [quote_id]}).encode()
    return await send(app, token, method, path, body)


async def send(app: App, token: str, method: str, path: str, body: bytes) -> tuple[int, Any]:
    sent: list[Any] = []
    headers = [
        (b"authorization", f"Bearer {token}".encode()),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
    ]
    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": headers, "http_version": "1.1", "scheme": "http", "client": ("127.0.0.1", 1),
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def keep(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, keep)
    return sent[0]["status"], json.loads(b"".join(each.get("body", b"") for each in sent[1:]))


@pytest.mark.parametrize(
    ("tenant", "quote_id", "status"),
    [
        ("corridor", str(QUOTE_ID), 200),
        ("elsewhere", str(QUOTE_ID), 403),
        ("corridor", "x", 422),
        ("corridor", "{" + str(QUOTE_ID) + "}", 422),
    ],
)
async def test_a_service_asks_for_its_own_tenant_by_plain_ids(tenant: str, quote_id: str, status: int) -> None:
    found, answer = await asked(tenant, quote_id)
    assert found == status
    assert (status == 200) == (list(answer) == [str(QUOTE_ID)])


async def test_a_customer_s_token_does_not_open_what_is_internal() -> None:
    status, problem = await asked("corridor", str(QUOTE_ID), Tokens)
    assert (status, problem["code"]) == (401, "TOKEN_INVALID")


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/quotes"), ("GET", f"/v1/quotes/{QUOTE_ID}"), ("GET", "/v1/corridors")]
)
async def test_a_service_s_token_does_not_open_what_is_public(method: str, path: str) -> None:
    status, problem = await asked("corridor", str(QUOTE_ID), ServiceTokens, method, path)
    assert (status, problem["code"]) == (401, "TOKEN_INVALID")
