"""contracts/openapi.yaml: valid, what is generated, complete, and its examples are what it says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import schemathesis
import yaml
from jsonschema import Draft202012Validator

from contracts.problems import PROBLEMS
from scripts.contracts.files import OPENAPI, ROOT, SERVED
from scripts.contracts.openapi import document
from scripts.contracts.routes import Found, facts, public_routes
from services.kernel.routing import Request, Route, Router
from services.kernel.tokens import require

REGENERATE = "python -m scripts.contracts write"
MADE = document()
ROUTES = public_routes()


def committed() -> Any:
    return yaml.load((ROOT / OPENAPI).read_bytes(), Loader=yaml.CSafeLoader)


def test_the_committed_document_is_the_generated_one() -> None:
    assert committed() == MADE, f"routes have changed: {REGENERATE}"
    assert json.loads((ROOT / SERVED / "openapi.json").read_bytes()) == MADE, REGENERATE


def test_the_file_says_how_it_is_made_anew() -> None:
    assert REGENERATE in (ROOT / OPENAPI).read_text().splitlines()[0]


def valid(found: Any) -> bool:
    """Against the meta-schema of OpenAPI 3.1."""
    try:
        schemathesis.openapi.from_dict(found).validate()
    except Exception:  # noqa: BLE001 - whatever it says
        return False
    return True


def test_it_is_openapi_3_1() -> None:
    assert MADE["openapi"] == "3.1.0"
    assert valid(MADE)
    spoilt = deepcopy(MADE)
    spoilt["paths"]["/v1/quotes"]["post"]["parameters"][0].pop("in")
    assert not valid(spoilt)


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in MADE["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Every object in the document."""
    if isinstance(node, dict):
        yield node
        for each in node.values():
            yield from nodes(each)
    elif isinstance(node, list):
        for each in node:
            yield from nodes(each)


def test_every_reference_leads_somewhere() -> None:
    references = {each["$ref"] for each in nodes(MADE) if isinstance(each.get("$ref"), str)}
    assert len(references) > 50
    for reference in references:
        found: Any = MADE
        for step in reference.removeprefix("#/").split("/"):
            assert step in found, reference
            found = found[step]


def test_every_route_has_words_a_heading_and_answers() -> None:
    headings = {each["name"] for each in MADE["tags"]}
    names = [operation["operationId"] for _, operation in operations()]
    assert len(names) == len(set(names)) == len(ROUTES) > 25
    for name, operation in operations():
        assert 5 < len(operation["summary"]) < 140, name
        assert set(operation["tags"]) <= headings, name
        assert any(status.startswith("2") for status in operation["responses"]), name
        assert {"4XX", "5XX"} <= operation["responses"].keys(), name


def test_a_success_has_a_body_that_is_told_of() -> None:
    silent = [name for name, each in operations() if "content" not in each["responses"].get("200", {"content": ""})]
    assert silent == [], "give the route reply=..."


def test_money_needs_a_key_a_token_and_a_role() -> None:
    operation = MADE["paths"]["/v1/transfers"]["post"]
    assert operation["security"] == [{"bearer": ["customer"]}]
    assert [each["name"] for each in operation["parameters"]] == ["Idempotency-Key"]
    conflict = operation["responses"]["409"]["content"]["application/problem+json"]["schema"]["allOf"][1]
    assert {"IDEMPOTENCY_CONFLICT", "QUOTE_EXPIRED"} <= set(conflict["properties"]["code"]["enum"])
    webhook = MADE["paths"]["/v1/webhooks/deposit"]["post"]
    assert webhook["security"] == [{"signature": []}]
    assert webhook["responses"]["409"]["description"].startswith("* [`REFERENCE_MISMATCH`](/problems/webhook/refer")


def test_nothing_internal_is_in_it() -> None:
    assert not [path for path in MADE["paths"] if path.startswith(("/internal", "/metrics", "/docs"))]


def shown() -> Iterator[tuple[str, Any, Any]]:
    """(where, schema, example) of every body and answer."""
    for name, operation in operations():
        contents = [operation.get("requestBody", {}), *operation["responses"].values()]
        for content in contents:
            for media in content.get("content", {}).values():
                if "example" in media:
                    yield name, media["schema"], media["example"]
        for parameter in operation.get("parameters", ()):
            if "example" in parameter:
                yield f"{name} {parameter['name']}", parameter["schema"], parameter["example"]
    for name, each in MADE["components"]["examples"].items():
        yield name, {"$ref": "#/components/schemas/Problem"}, each["value"]


@pytest.mark.parametrize(("where", "schema", "example"), list(shown()), ids=lambda value: str(value)[:60])
def test_an_example_is_what_its_schema_says(where: str, schema: Any, example: Any) -> None:
    whole = {"components": MADE["components"], **schema}
    assert [error.message for error in Draft202012Validator(whole).iter_errors(example)] == [], where


def test_every_problem_has_an_example_and_leads_to_its_page() -> None:
    assert MADE["components"]["examples"].keys() == {slug.replace("/", ".") for slug in PROBLEMS}
    pages = set(re.findall(r"\(/problems/([a-z0-9/-]+)\)", json.dumps(MADE)))
    assert pages <= PROBLEMS.keys()
    assert len(pages) > 40


STAFF = ("operator", "admin")


def guarded(request: Request) -> Any:
    """What a service may have of its own."""
    require(request.app.callers.authenticate(request.headers), *STAFF)


def test_what_an_endpoint_asks_is_read_from_it_and_from_what_it_calls() -> None:
    guarded.__module__ = "services.quote.api"
    router = Router("/v1/x")

    @router.get("/{x_id}")
    async def get_x(request: Request) -> Any:
        """An x."""
        return guarded(request)

    (route,) = router.routes
    found = Found("quote", route, facts(route.endpoint))
    assert (found.token, found.roles, found.keyed) == (True, ("admin", "operator"), False)
    open_to_all = Route(method="GET", path="/", endpoint=get_x, documented={"roles": ()})
    assert Found("quote", open_to_all, facts(get_x)).roles == ()
