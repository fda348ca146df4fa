"""JSON from strangers: read strictly, or refused with a name. Never a float, never an echo of the input."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError

from services.kernel.problem import Problem

DEPTH_MAX = 16
MEMBERS_MAX = 200  # of one object
ITEMS_MAX = 1_000  # of one array; a bulk request has at most 500
ERRORS_MAX = 20
STRING_CHARS_MAX = 1_024

_CONTAINERS = (dict, list)
_ESCAPED_COLON = re.compile(rb"\\u003a", re.IGNORECASE)
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # an odd number of backslashes: an escape, not text about one
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
PLAIN_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

# A number with a fraction or an exponent stays the text that it was, marked, so that 1.0 and "1.0" stay apart.
_DECODER = msgspec.json.Decoder(float_hook=lambda text: "\x7f" + text)
_ENCODER = msgspec.json.Encoder(order="sorted")


class Body(BaseModel):
    """The base of every request body: strict types, no unknown members."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


BodyType = TypeVar("BodyType", bound=BaseModel)


def parse(body: bytes, model: type[BodyType]) -> BodyType:
    """`body` as `model`. Raises Problem: 400 malformed-json, duplicate-member, json-too-deep, json-too-large; 422."""
    canonical(body)
    try:
        return model.model_validate_json(body, strict=True, extra="forbid")
    except ValidationError as error:
        raise invalid_body(faults(error)) from None


@lru_cache(maxsize=4)  # the key of a request and its model ask for the same bytes, one after the other
def canonical(body: bytes) -> bytes:
    """`body` without blanks and with sorted members: the same document has the same bytes. Raises Problem."""
    if not body:
        raise Problem(400, "malformed-json", "The body is empty.")
    try:
        tree = _DECODER.decode(body)
    except RecursionError:
        raise Problem(400, "json-too-deep") from None
    except msgspec.ValidationError:
        raise invalid_body([{"pointer": "", "code": "number-out-of-range"}]) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Problem(400, "malformed-json") from None
    _measure(tree)
    compact = _ENCODER.encode(tree)
    _refuse_duplicates(body, compact)
    if b"\\u0000" in compact and _NUL.search(compact):
        raise invalid_body([{"pointer": "", "code": "text-invalid"}])
    return compact


def _measure(tree: object) -> None:
    """Level by level, so that the cost is that of the containers and not of what is in them."""
    level = [tree] if isinstance(tree, _CONTAINERS) else []
    for _ in range(DEPTH_MAX):
        if not level:
            return
        if any(len(node) > (MEMBERS_MAX if type(node) is dict else ITEMS_MAX) for node in level):
            raise Problem(400, "json-too-large")
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) in _CONTAINERS
        ]
    if level:
        raise Problem(400, "json-too-deep")


def _refuse_duplicates(body: bytes, compact: bytes) -> None:
    """A dropped duplicate drops a colon, and only an escaped colon adds one: equal counts prove that none was there."""
    if body.count(b":") != compact.count(b":") or (b"\\u003" in body and _ESCAPED_COLON.search(body)):
        json.loads(body, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise Problem(400, "duplicate-member")


def invalid_body(errors: Iterable[dict[str, str]]) -> Problem:
    """422 with where (JSON pointer) and what (code); the value is never repeated."""
    return Problem(422, "invalid-body", "The body does not have the form that is documented.", errors=list(errors))


def faults(error: ValidationError) -> list[dict[str, str]]:
    """pydantic's findings as {pointer, code}, at most ERRORS_MAX."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [{"pointer": _pointer(one["loc"]), "code": _code(one["type"])} for one in found[:ERRORS_MAX]]


def _pointer(location: tuple[int | str, ...]) -> str:
    """A member's name comes from the caller when it is unknown: only one that looks like ours is repeated."""
    steps = [str(step) if isinstance(step, int) or _NAME.fullmatch(step) else "~" for step in location]
    return "".join(f"/{step}" for step in steps)


def _code(kind: str) -> str:
    match kind:
        case "extra_forbidden":
            return "unknown-member"
        case "missing":
            return "missing"
        case "json_invalid":
            return "malformed-json"
        case _ if kind.endswith(("_type", "_parsing")) or kind.startswith("is_instance"):
            return "type-invalid"
        case _:
            return kind.replace("_", "-")


def _plain_uuid(value: object) -> object:
    """uuid.UUID reads many spellings of one id; on the wire there is one."""
    if isinstance(value, str) and not PLAIN_UUID.fullmatch(value):
        raise PydanticCustomError("id-invalid", "not a UUID in its plain spelling")
    return value


def _clean(text: str) -> str:
    """No control, format (bidi, zero-width), surrogate or unassigned characters; composed; at most two marks a row."""
    marks = 0
    for char in text:
        category = unicodedata.category(char)
        marks = marks + 1 if category == "Mn" else 0
        if category in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} or marks > 4:
            raise PydanticCustomError("text-invalid", "holds characters that no text on one line needs")
    return unicodedata.normalize("NFC", text)


Id = Annotated[UUID, BeforeValidator(_plain_uuid)]
Line = Annotated[
    str,
    StringConstraints(min_length=1, max_length=STRING_CHARS_MAX, strip_whitespace=True),
    AfterValidator(_clean),
]


def read_uuid(text: str) -> UUID:
    """An id from a path. Raises Problem 404: what is no id names nothing."""
    if not PLAIN_UUID.fullmatch(text):
        raise Problem(404, "not-found", "There is no such thing, or it belongs to somebody else.")
    return UUID(text)
