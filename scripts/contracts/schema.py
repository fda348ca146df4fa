"""An event class as JSON Schema 2020-12. Descriptions are the docstrings and the comments beside the fields."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec

from services.kernel.codec import encode
from services.kernel.money import MINOR_MAX, RATE_TEXT, Currency, Money, RateText
from services.kernel.sealed import Sealed

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]

SCALARS: Mapping[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    UUID: {"type": "string", "format": "uuid"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    RateText: {"type": "string", "pattern": RATE_TEXT.pattern},
    Currency: {"type": "string", "pattern": "^[A-Z]{3}$"},
    type(None): {"type": "null"},
}
BOUNDS: Mapping[tuple[type, str], Schema] = {  # what a constructor checks and a type cannot say
    (Money, "minor"): {"minimum": 0, "maximum": MINOR_MAX},
    (Sealed, "box"): {"contentEncoding": "base64"},
}
_FIELD = re.compile(r"^    (\w+): .*?  # (.+)$", re.MULTILINE)


class Unschematic(TypeError):
    """A type that has no agreed form on the wire."""


def schema_id(event_type: str) -> str:
    """The `$id` of a schema, which the `ce_dataschema` header of every record names."""
    return f"contracts/schemas/{event_type}.json"


def schema_of(event: type) -> Schema:
    """The schema of an event class. Unknown members are allowed: readers ignore what a newer writer adds."""
    defs: dict[str, Schema] = {}
    body = _object(event, defs)
    head = {"$schema": DIALECT, "$id": schema_id(event.type)}  # type: ignore[attr-defined]
    return head | body | ({"$defs": dict(sorted(defs.items()))} if defs else {})


def _object(kind: type, defs: dict[str, Schema]) -> Schema:
    hints, comments = get_type_hints(kind), dict(_FIELD.findall(inspect.getsource(kind)))
    properties, required = {}, []
    for field in dataclasses.fields(kind):
        node = _node(hints[field.name], defs) | BOUNDS.get((kind, field.name), {})
        if field.name in comments:
            node["description"] = comments[field.name]
        if field.default is dataclasses.MISSING:
            required.append(field.name)
        else:
            node["default"] = msgspec.json.decode(encode(field.default))
        properties[field.name] = node
    text = inspect.getdoc(kind)
    return {
        "title": kind.__name__,
        "description": text,
        "type": "object",
        "properties": properties,
        "required": required,
    }


def _node(hint: Any, defs: dict[str, Schema]) -> Schema:
    if hint in SCALARS:
        return dict(SCALARS[hint])
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin in {Union, types.UnionType}:
        return {"anyOf": [_node(each, defs) for each in arguments]}
    if origin is tuple and arguments[1:] == (...,):
        return {"type": "array", "items": _node(arguments[0], defs)}
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        if hint.__name__ not in defs:
            defs[hint.__name__] = _object(hint, defs)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    raise Unschematic(f"{hint!r}: a float, a mapping or a free form is no part of an event")
