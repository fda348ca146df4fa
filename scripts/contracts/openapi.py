"""contracts/openapi.yaml: OpenAPI 3.1 of every public route, as a client sees them through core_api."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from contracts.problems import PROBLEMS, page
from contracts.problems.kinds import BASE, ProblemType
from scripts.contracts.answers import Refusals, refusals_of
from scripts.contracts.examples import PREFIX, Node, example
from scripts.contracts.routes import Found, public_routes
from services.kernel.idempotency import KEY_CHARS_MAX
from services.kernel.webhook import HEADER

VERSION = "1.0.0"  # of the contract: additions only, within a first number
ABOUT = f"""\
Corridor sends money across borders: a customer asks for a **quote**, opens a **transfer** with it, pays in on the
transfer's **route**, and a **payout** reaches the receiver. What happens is an event that can be read, too: see
[the events](/docs/events).

**Money** is a whole number of minor units with its ISO 4217 currency: `10000` `GBP` is 100.00 pounds. There is no
fraction anywhere; an exchange rate is a decimal text.

**Tokens.** `POST /v1/auth/login` gives a bearer token; send it as `Authorization: Bearer <token>`. A route names the
roles that may call it. Partners sign the bytes of a report instead (`{HEADER}`).

**Idempotency-Key.** What changes something needs one: choose a key for each wish and send it with every repetition. The
first answer is kept and repeated with `Idempotency-Replayed: true`; another request under the same key is refused
with `IDEMPOTENCY_CONFLICT`.

**Problems.** Whatever is refused is answered as `application/problem+json` (RFC 9457). `type` and `code` are the
contract, `detail` is for people. [Every type](/problems) has a page that says what to do.

**Unknown members** of an answer are to be ignored: answers may grow. Unknown members of a request are refused.
"""
TAGS: Mapping[str, tuple[str, str]] = {  # the step after /v1/: where it is shown, and what is there
    "auth": ("Sign in", "Tokens and who they belong to."),
    "me": ("Sign in", ""),
    "profiles": ("Profiles", "Senders and receivers, and whether they passed KYC."),
    "corridors": ("Quotes", "What it costs and what arrives, promised for some seconds."),
    "quotes": ("Quotes", ""),
    "transfers": ("Transfers", "From an accepted quote to the receiver's account."),
    "payouts": ("Payouts", "The way out: what a partner was told to pay."),
    "webhooks": ("Partners", "What partners report to us, signed over the raw bytes."),
    "deposits": ("Deposits", "For operators: money that came in."),
    "routes": ("Deposits", ""),
    "ledger": ("Ledger", "For operators: double entry, every number from the postings."),
    "reviews": ("Review", "For operators: everything that needs a person."),
    "recon": ("Reconciliation", "For operators: our books against the partners'."),
    "admin": ("Administration", "For administrators."),
    "health": ("Operations", "How the system is, and what runs."),
}
UUID_PATTERN = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
UUID_TEXT: Node = {"type": "string", "format": "uuid", "pattern": UUID_PATTERN}
KEY: Node = {
    "name": "Idempotency-Key", "in": "header", "required": True,
    "description": "Which wish this is, in the caller's words; a repetition sends the same. Bare or quoted.",
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_CHARS_MAX, "pattern": r"^[!#-\[\]-~]+$"},
    "example": "8a3f1c5e-3a55-4a0e-9a3e-0c8f5e1d2b7a",
}  # fmt: skip
SECURITY: Node = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "of `POST /v1/auth/login`"},
    "signature": {
        "type": "apiKey", "in": "header", "name": HEADER.title(),
        "description": '`t=<unix seconds>,kid=<key id>,v1=<hex HMAC-SHA256(secret, "<t>." + body)>` over the raw '
        "bytes; our clocks may differ by 300 s.",
    },
}  # fmt: skip
_PARAMETER = re.compile(r"{(\w+)(?::path)?}")


class Conflicting(ValueError):
    """Two models of one name and another form: one of them needs another name."""


class Document:
    """The document while it is being made."""

    def __init__(self, routes: Iterable[Found]) -> None:
        """`routes` in the order in which they are written."""
        self._schemas: dict[str, Node] = {}
        self._refusals: dict[str, Node] = {}  # by the name under which routes share them
        self._routes = list(routes)

    def made(self) -> Node:
        """The whole document; made anew it is the same."""
        paths: dict[str, Node] = {}
        for found in self._routes:
            path = _PARAMETER.sub(r"{\1}", found.route.path)
            paths.setdefault(path, {})[found.route.method.lower()] = self._operation(found)
        self._schemas["Problem"] = problem_schema()
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "Corridor", "version": VERSION, "description": ABOUT,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
            "servers": [{"url": "/", "description": "wherever core_api answers"}],
            "tags": _tags(self._routes),
            "paths": paths,
            "components": {
                "schemas": dict(sorted(self._schemas.items())),
                "responses": dict(sorted(self._refusals.items())),
                "examples": {_key(each): {"value": page.example(each)} for each in PROBLEMS.values()},
                "securitySchemes": SECURITY,
            },
        }  # fmt: skip

    def _operation(self, found: Found) -> Node:
        route = found.route
        summary, description = words(found)
        operation: Node = {
            "operationId": re.sub(r"\W+", "_", f"{route.method}{route.path}").strip("_").lower(),
            "summary": summary,
            "description": description,
            "tags": [tag(route.path)],
        }
        if security := _security(found):
            operation["security"] = security
        if parameters := self._parameters(found):
            operation["parameters"] = parameters
        if route.body is not None:
            operation["requestBody"] = self._body(found, route.body)
        return operation | {"responses": self._responses(found)}

    def _parameters(self, found: Found) -> list[Node]:
        named = [_path_parameter(name, found) for name in _PARAMETER.findall(found.route.path)]
        return named + self._query(found) + ([KEY] if found.keyed else [])

    def _query(self, found: Found) -> list[Node]:
        query = found.route.documented.get("query", ())
        if isinstance(query, tuple):
            return [
                _parameter(each.name, dict(each.schema), each.description, required=each.required) for each in query
            ]
        schema = self._flat(query)
        return [
            _parameter(name, node, node.pop("description", ""), required=name in schema.get("required", ()))
            for name, node in schema["properties"].items()
        ]

    def _flat(self, model: type[BaseModel]) -> Node:
        reference = self._schema(model, "validation")
        return {**self._schemas.pop(reference["$ref"].removeprefix(PREFIX))}

    def _body(self, found: Found, model: type[BaseModel]) -> Node:
        schema = self._schema(model, "validation")
        told = found.route.documented.get("example")
        shown = told if told is not None else example(schema, self._schemas)
        return {"required": True, "content": {"application/json": {"schema": schema, "example": shown}}}

    def _responses(self, found: Found) -> Node:
        made = {str(found.route.status): self._success(found)}
        for status, model in found.route.documented.get("also", {}).items():
            made[str(status)] = self._answer(status, model)
        return made | {each.status: self._refusal(each) for each in refusals_of(found) if each.status not in made}

    def _refusal(self, refusals: Refusals) -> Node:
        """The answer itself, or a reference to the one that other routes have too."""
        if refusals.shared is None:
            return refusal(refusals)
        self._refusals.setdefault(refusals.shared, refusal(refusals))
        return {"$ref": f"#/components/responses/{refusals.shared}"}

    def _success(self, found: Found) -> Node:
        answer = self._answer(found.route.status, found.route.reply)
        if found.keyed:
            described = {"description": "`true` when this is the kept answer of an earlier request with the same key."}
            answer["headers"] = {"Idempotency-Replayed": described | {"schema": {"const": "true", "type": "string"}}}
        return answer

    def _answer(self, status: int, model: type[BaseModel] | None) -> Node:
        answer: Node = {"description": HTTPStatus(status).phrase}
        if model is not None:
            schema = self._schema(model, "serialization")
            answer["content"] = {"application/json": {"schema": schema, "example": example(schema, self._schemas)}}
        return answer

    def _schema(self, model: type[BaseModel], mode: Any) -> Node:
        """A reference to the model's schema, which is put among the others."""
        schema = model.model_json_schema(ref_template=PREFIX + "{model}", mode=mode)
        for name, node in {**schema.pop("$defs", {}), model.__name__: schema}.items():
            tidied = _tidied(node)
            if mode == "serialization":
                tidied.pop("additionalProperties", None)
            if self._schemas.setdefault(name, tidied) != tidied:
                raise Conflicting(f"two models are called {name}")
        return {"$ref": PREFIX + model.__name__}


def document() -> Node:
    """The document of all public routes."""
    return Document(public_routes()).made()


def words(found: Found) -> tuple[str, str]:
    """(summary, description): the first sentence of what the endpoint says, and all of it with who may call."""
    text = " ".join((inspect.getdoc(found.route.endpoint) or found.route.path).split())
    summary = found.route.documented.get("summary") or page.first_sentence(text).rstrip(".")
    allowed = " or ".join(f"`{role}`" for role in found.roles if role != "partner")
    return summary, text + (f"\n\nFor the role {allowed}." if allowed else "")


def tag(path: str) -> str:
    """Under which heading a path is shown."""
    steps = path.strip("/").split("/")
    if steps[0] != "v1":
        return TAGS["health"][0]
    return TAGS.get(steps[1], (steps[1].capitalize(), ""))[0]


def _tags(routes: Iterable[Found]) -> list[Node]:
    """In the order of TAGS, those that are used; then those that it does not know."""
    used = dict.fromkeys(tag(found.route.path) for found in routes)
    described = {name: text for name, text in TAGS.values() if text}
    order = list(dict.fromkeys(name for name, _ in TAGS.values()))
    names = sorted(used, key=lambda name: order.index(name) if name in order else len(order))
    return [{"name": name} | ({"description": described[name]} if name in described else {}) for name in names]


def _security(found: Found) -> list[Node]:
    if found.signed:
        return [{"signature": []}]
    return [{"bearer": list(found.roles)}] if found.token else []


def _path_parameter(name: str, found: Found) -> Node:
    schema = dict(UUID_TEXT) if name in found.facts.ids else {"type": "string", "minLength": 1}
    return _parameter(name, schema, "", required=True) | {"in": "path"}


def _parameter(name: str, schema: Node, description: str, *, required: bool) -> Node:
    found: Node = {"name": name, "in": "query", "required": required, "schema": schema}
    shown = example(schema, {}, name)
    return found | ({"description": description} if description else {}) | ({} if shown is None else {"example": shown})


def _tidied(node: Any) -> Any:
    """Without the titles that pydantic makes of names; ids in their one spelling."""
    match node:
        case {"properties": dict(members)}:
            rest = {name: value for name, value in node.items() if name != "properties"}
            return _tidied(rest) | {"properties": {name: _tidied(member) for name, member in members.items()}}
        case dict():
            kept = {name: _tidied(value) for name, value in node.items() if name != "title"}
            return kept | (UUID_TEXT if node.get("format") == "uuid" else {})
        case list():
            return [_tidied(each) for each in node]
        case _:
            return node


def refusal(refusals: Refusals) -> Node:
    """The answer with this status, and the types that it can have."""
    listed = refusals.kinds
    codes = {"type": "object", "properties": {"code": {"enum": [kind.code for kind in listed]}}}
    lines = [f"* [`{kind.code}`](/problems/{kind.slug}) {page.first_sentence(kind.meaning)}" for kind in listed]
    content = {
        "schema": {"allOf": [{"$ref": PREFIX + "Problem"}, codes]},
        "examples": {_key(kind): {"$ref": f"#/components/examples/{_key(kind)}"} for kind in listed},
    }
    answer: Node = {"description": "\n".join(lines), "content": {"application/problem+json": content}}
    return answer | ({"headers": {"Retry-After": RETRY_AFTER}} if refusals.status in {"429", "503"} else {})


RETRY_AFTER: Node = {"description": "seconds to wait", "schema": {"type": "integer", "minimum": 0}}


def problem_schema() -> Node:
    """RFC 9457 with our members."""
    fault = {
        "type": "object",
        "properties": {
            "pointer": {"type": "string", "description": "JSON pointer into the body"}, "code": {"type": "string"},
        },
        "required": ["pointer", "code"],
    }  # fmt: skip
    return {
        "type": "object",
        "description": "Why a request was refused (RFC 9457).",
        "properties": {
            "type": {"type": "string", "format": "uri", "description": f"{BASE}<slug>: the contract"},
            "title": {"type": "string"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string", "description": "for people; its words may change"},
            "code": {"type": "string", "pattern": "^[A-Z0-9_]+$"},
            "errors": {"type": "array", "items": fault, "description": "of a body: where, and what"},
            "instance": {"type": "string", "description": "this request: urn:corridor:request:<trace id>"},
            "trace_id": {"type": "string", "description": "under which we find it in our logs"},
        },
        "required": ["type", "title", "status", "detail", "code"],
    }


def _key(kind: ProblemType) -> str:
    return kind.slug.replace("/", ".")
