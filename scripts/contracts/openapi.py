"""contracts/openapi.yaml: OpenAPI 3.1 of every public route, as a client sees them through core_api."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from contracts.problems import PROBLEMS, page
from scripts.contracts.answers import Refusals, key_of, problem_schema, refusal, refusals_of
from scripts.contracts.examples import PREFIX, Node, example
from scripts.contracts.routes import Found, public_routes
from scripts.contracts.words import ABOUT, TAGS, VERSION
from services.kernel.idempotency import KEY_CHARS_MAX
from services.kernel.webhook import HEADER

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

    def __init__(self, routes: Iterable[Found], *, strict: bool = False) -> None:
        """`routes` in the order in which they are written. `strict`: an answer has no member that is not told of, as
        our own tests want it; who reads answers must ignore what they do not know."""
        self._strict = strict
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
                "examples": {key_of(each): {"value": page.example(each)} for each in PROBLEMS.values()},
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
                _parameter(each.name, dict(each.schema), each.description, {}, required=each.required) for each in query
            ]
        schema = self._flat(found, query)
        return [
            _parameter(
                name,
                _asked(node),
                node.get("description", ""),
                self._schemas,
                required=name in schema.get("required", ()),
            )
            for name, node in schema["properties"].items()
        ]

    def _flat(self, found: Found, query: type[BaseModel]) -> Node:
        reference = self._schema(found, query, "validation")
        return {**self._schemas.pop(reference["$ref"].removeprefix(PREFIX))}

    def _body(self, found: Found, model: type[BaseModel]) -> Node:
        schema = self._schema(found, model, "validation")
        told = found.route.documented.get("example")
        shown = told if told is not None else example(schema, self._schemas)
        files = found.route.documented.get("files", {})
        content = {media: {"schema": {"type": "string"}, "example": each} for media, each in files.items()}
        return {"required": True, "content": {"application/json": {"schema": schema, "example": shown}} | content}

    def _responses(self, found: Found) -> Node:
        made = {str(found.route.status): self._success(found)}
        for status, model in found.route.documented.get("also", {}).items():
            made[str(status)] = self._answer(found, status, model)
        return made | {each.status: self._refusal(each) for each in refusals_of(found) if each.status not in made}

    def _refusal(self, refusals: Refusals) -> Node:
        """The answer itself, or a reference to the one that other routes have too."""
        if refusals.shared is None:
            return refusal(refusals)
        self._refusals.setdefault(refusals.shared, refusal(refusals))
        return {"$ref": f"#/components/responses/{refusals.shared}"}

    def _success(self, found: Found) -> Node:
        answer = self._answer(found, found.route.status, found.route.reply)
        if found.keyed:
            described = {"description": "`true` when this is the kept answer of an earlier request with the same key."}
            answer["headers"] = {"Idempotency-Replayed": described | {"schema": {"const": "true", "type": "string"}}}
        return answer

    def _answer(self, found: Found, status: int, model: type[BaseModel] | None) -> Node:
        answer: Node = {"description": HTTPStatus(status).phrase}
        if model is not None:
            schema = self._schema(found, model, "serialization")
            answer["content"] = {"application/json": {"schema": schema, "example": example(schema, self._schemas)}}
        return answer

    def _schema(self, found: Found, model: type[BaseModel], mode: Any) -> Node:
        """A reference to the model's schema, which is put among the others: of its service, when two have one name."""
        schema = model.model_json_schema(ref_template=PREFIX + "{model}", mode=mode)
        nodes = {name: _tidied(node) for name, node in {**schema.pop("$defs", {}), model.__name__: schema}.items()}
        if mode == "serialization" and not self._strict:
            for node in nodes.values():
                node.pop("additionalProperties", None)
        taken = {name for name, node in nodes.items() if self._schemas.get(name, node) != node}
        names = {name: found.service.title().replace("_", "") + name if name in taken else name for name in nodes}
        for name, node in nodes.items():
            renamed = _renamed(node, names)
            if self._schemas.setdefault(names[name], renamed) != renamed:
                raise Conflicting(f"two models of {found.service} are called {name}")
        return {"$ref": PREFIX + names[model.__name__]}


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
    return _parameter(name, schema, "", {}, required=True) | {"in": "path"}


def _parameter(name: str, schema: Node, description: str, components: Mapping[str, Node], *, required: bool) -> Node:
    found: Node = {"name": name, "in": "query", "required": required, "schema": schema}
    shown = example(schema, components, name)
    return found | ({"description": description} if description else {}) | ({} if shown is None else {"example": shown})


def _asked(node: Node) -> Node:
    """A member as a parameter: what may be left out is left out, never null."""
    kept = {name: value for name, value in node.items() if name not in {"description", "anyOf"}}
    kinds = [each for each in node.get("anyOf", ()) if each != {"type": "null"}]
    if kept.get("default", "") is None:
        del kept["default"]
    return kept | (kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else {})


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


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    """With its references to the models' names here."""
    match node:
        case {"$ref": str(reference)}:
            name = reference.removeprefix(PREFIX)
            return {**node, "$ref": PREFIX + names.get(name, name)}
        case dict():
            return {key: _renamed(value, names) for key, value in node.items()}
        case list():
            return [_renamed(each, names) for each in node]
        case _:
            return node
