"""S0-04: no route that needs a user answers without a valid token, whichever service owns it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import MagicMock

import pytest

from scripts.contracts import routes as found_by
from services.kernel.edge import Edge
from services.kernel.routing import Route, Router, Table
from services.kernel.settings import Secret
from services.kernel.tokens import Principal, ServiceTokens, SigningKey, Tokens
from tests.unit.core_api.samples import USER_ID

KEY = SigningKey.of(Secret("an-hs256-key-of-32-chars-or-more"))
TOKENS = Tokens(KEY)
REAL: dict[str, Any] = {"Tokens": TOKENS, "ServiceTokens": ServiceTokens(KEY)}
OPEN = {"/v1/health", "/healthz", "/readyz", "/version"}
NEEDED = [each for each in found_by.public_routes() if each.token]


def made(maker: Callable[..., Router]) -> Router:
    """The router with nothing behind it but tokens, which are real."""
    arguments = []
    for parameter in inspect.signature(maker).parameters.values():
        kind = str(parameter.annotation)
        if kind == "Callers":
            callers = inspect.getmodule(inspect.unwrap(maker)).Callers  # type: ignore[union-attr]
            arguments.append(callers(REAL["Tokens"], REAL["ServiceTokens"]))
        else:
            arguments.append(REAL.get(kind, MagicMock()))
    return maker(*arguments)


def every_route() -> Iterator[Route]:
    for service in found_by._services():
        for module in found_by._modules(f"services.{service}.api"):
            for maker in vars(module).values():
                own = inspect.isfunction(maker) and maker.__module__ == module.__name__
                if own and found_by._makes_router(maker):
                    yield from made(maker).routes


ROUTES = {(route.method, route.path): route for route in every_route()}


async def status_of(route: Route, *headers: tuple[bytes, bytes]) -> int:
    """Of a request with a body and a key, as the edge answers it."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    path = route.path.replace("{", "").replace("}", "")
    given = [(b"content-type", b"application/json"), (b"content-length", b"2"), (b"idempotency-key", b"k"), *headers]
    scope = {
        "type": "http", "method": route.method, "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": given, "client": ("127.0.0.1", 1),
    }  # fmt: skip
    await Edge(Table([route], MagicMock()))(scope, receive, send)
    return int(sent[0]["status"])


def test_s0_04_what_needs_no_token_is_known_by_name() -> None:
    """Who forgets to ask for a token makes a route open: it is named here, on purpose, or it is a fault."""
    found = {each.route.path for each in found_by.public_routes() if not each.token}
    assert {path for path in found if not path.startswith(("/v1/webhooks/", "/v1/auth/"))} == OPEN


def test_there_are_routes_of_every_kind() -> None:
    owners = {each.service for each in NEEDED}
    assert {"core_api", "quote", "transfer", "deposit_watcher", "payout_orchestrator", "ledger"} <= owners
    assert len(NEEDED) >= 20


@pytest.mark.parametrize("found", NEEDED, ids=lambda found: f"{found.route.method} {found.route.path}")
def test_s0_04_no_token_an_expired_one_and_one_of_another_secret_are_401(found: found_by.Found) -> None:
    route = ROUTES[found.route.method, found.route.path]
    nobody = Principal(USER_ID, "corridor", frozenset())
    expired = TOKENS.issue(nobody, -1)
    foreign = Tokens(SigningKey.of(Secret("another-key-of-32-characters-or-more"))).issue(nobody, 600)
    for headers in ([], *([(b"authorization", f"Bearer {token}".encode())] for token in (expired, foreign))):
        assert asyncio.run(status_of(route, *headers)) == 401
