"""The running system against its own document, by role: no 5xx, and nothing that the document does not tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from uuid import uuid4

import pytest
import requests

from scripts.contracts.openapi import Document
from scripts.contracts.routes import Found, public_routes
from scripts.system import leftovers
from scripts.system.home import ROOT, Home
from scripts.system.system import System
from tests.integration.openapi.fuzz import ask, operations
from tests.integration.openapi.live import Live

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROLES = ("nobody", "customer", "operator", "admin", "partner")
EXAMPLES = {True: 8, False: 4}  # of each operation, as documented and not, for a role that may ask
REFUSED = {True: 2, False: 1}  # for one that may not
QUOTE_SECONDS = 900  # a slow machine takes longer than the 90 s of the demo
UNLIMITED = {"RATE_LIMIT_LOGIN_PER_MINUTE": "0", "RATE_LIMIT_SIGNUP_PER_MINUTE": "0"}
ROUTES = public_routes()
OPERATIONS = list(operations(Document(ROUTES, strict=True).made()))
BY_NAME = {f"{found.route.method} {found.route.path.replace(':path', '')}": found for found in ROUTES}
NEVER_DONE = {  # nothing here waits for a person or is a statement by chance: their own tests have them
    "GET /v1/reviews/{review_id}",
    "POST /v1/ledger/adjustments",
    "GET /v1/ledger/adjustments/{adjustment_id}",
    "POST /v1/ledger/adjustments/{adjustment_id}/approvals",
    "POST /v1/ledger/adjustments/{adjustment_id}/rejections",
    "GET /v1/ledger/holds/{hold_id}",
    "POST /v1/ledger/halts/{currency}/lift-requests",
    "POST /v1/ledger/halts/{currency}/lift-approvals",
    "POST /v1/reconciliation/statements",
    "GET /v1/reconciliation/statements/{statement_id}",
    "GET /v1/reconciliation/statements/{statement_id}/lines",
    "GET /v1/reconciliation/statements/{statement_id}/parked",
}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    home = Home(tmp_path_factory.mktemp("openapi") / "var")
    corridors = tmp_path_factory.mktemp("corridors") / "corridors.json"
    text = (ROOT / "deploy" / "corridors.json").read_text()
    corridors.write_text(re.sub(r'("quote_seconds": *)\d+', rf"\g<1>{QUOTE_SECONDS}", text))
    overrides = {"core_api": UNLIMITED, "quote": {"CORRIDORS_FILE": str(corridors)}}
    system = System(home, "embedded", overrides=overrides)
    try:
        system.start()
        yield Live(system)
    finally:
        system.stop()
        leftovers.end_all(home)


@pytest.fixture(scope="module")
def done() -> set[str]:
    """The operations of which a request was a success."""
    return set()


def name_of(operation: object) -> str:
    return f"{operation.method.upper()} {operation.path}"  # type: ignore[attr-defined]


def may_ask(found: Found, role: str) -> bool:
    """Whether the document names the role; what is open to everybody is asked by nobody in particular."""
    if found.signed or not found.token:
        return role == ("partner" if found.signed else "nobody")
    return role in (found.roles or ("customer", "operator", "admin"))


@pytest.mark.parametrize("role", ROLES)
def test_no_answer_is_an_error_of_ours_and_each_is_as_documented(live: Live, done: set[str], role: str) -> None:
    caller, found = live.caller(role), dict[str, None]()
    for operation in OPERATIONS:
        if role != "nobody" and (role == "partner") != BY_NAME[name_of(operation)].signed:
            continue
        for valid, examples in (EXAMPLES if may_ask(BY_NAME[name_of(operation)], role) else REFUSED).items():
            asked = ask(operation, live.url, caller, examples, valid=valid)
            found |= asked.faults
            if any(status < 300 for status in asked.statuses):
                done.add(name_of(operation))
    assert not found, "\n".join(found)


def test_every_route_was_reached(live: Live, done: set[str]) -> None:
    """Else what was judged above were refusals only."""
    assert {name_of(operation) for operation in OPERATIONS} - done == NEVER_DONE


@pytest.mark.parametrize("found", ROUTES, ids=lambda found: f"{found.route.method} {found.route.path}")
def test_who_may_call_is_as_documented(live: Live, found: Found) -> None:
    """Without a token 401 where one is needed; 403 to every role that is not named, and to no other."""
    said = {role: status_of(live, found, role) for role in ("nobody", "customer", "operator", "admin")}
    if found.signed or not found.token:
        assert 403 not in said.values(), said
        return
    assert said.pop("nobody") == 401
    refused = {role for role, status in said.items() if status == 403}
    wanted = {role for role in said if role not in found.roles} if found.roles else set()
    assert refused == wanted, "the documentation says otherwise; the route may need roles=(...)"


@pytest.mark.parametrize("word", ["%00", "%01%7f", "%F0%9F%92%B8", "a" * 3_000, "%2e%2e%2f"])
def test_no_word_in_a_path_is_an_error_of_ours(live: Live, word: str) -> None:
    for found in ROUTES:
        path = re.sub(r"\{[^}]*}", word, found.route.path)
        if path != found.route.path and found.route.method == "GET":
            for role in ("customer", "operator"):
                said = requests.get(live.url + path, headers=live.headers(role), timeout=10)
                assert said.status_code < 500, (path[:80], role, said.text)


def status_of(live: Live, found: Found, role: str) -> int:
    """Of a request with an empty object for a body, so that nothing is done."""
    path = found.route.path.replace(":path", "")
    for name, values in live.known.items():
        path = path.replace(f"{{{name}}}", str(values[0]))
    path = re.sub(r"\{\w+\}", "x", path)
    headers = live.headers(role) | {"Idempotency-Key": str(uuid4())}
    body: dict[str, str] | None = {} if found.route.method != "GET" else None
    return requests.request(found.route.method, live.url + path, json=body, headers=headers, timeout=10).status_code
