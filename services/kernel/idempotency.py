"""The Idempotency-Key of a request: which request this is, and whether it is the same one again."""

from __future__ import annotations

import re

from starlette.requests import Request

from services.kernel.decider import RequestKey
from services.kernel.fingerprint import fingerprint
from services.kernel.problem import Problem
from services.kernel.strict_json import canonical
from services.kernel.tokens import Principal

KEY_CHARS_MAX = 255
_HEADER = b"idempotency-key"
_BARE = re.compile(r"[!#-\[\]-~]{1,255}")  # visible ASCII but quote and backslash, which belong to the quoted form
_QUOTED = re.compile(r'"((?:[!#-\[\]-~]|\\["\\])+)"')
_ESCAPE = re.compile(r"\\(.)")
_ODD_UUID = re.compile(r"(?:urn:uuid:)?\{?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?", re.IGNORECASE)


def request_key(request: Request, principal: Principal, body: bytes) -> RequestKey:
    """The key of this request in its tenant and principal. Raises Problem 400: missing, malformed, or the body's own.

    The same JSON with other blanks or another order of members is the same request; another method, path or value is
    another one, which the engine answers with IDEMPOTENCY_CONFLICT.
    """
    key = read_key(request)
    content = canonical(body) if body else b""
    made = fingerprint(request.method, request.scope["path"], key, content)
    return RequestKey(principal.tenant, str(principal.subject), key, made)


def read_key(request: Request) -> str:
    """The header's value, bare or as a quoted structured-field string, unquoted."""
    values = [value for name, value in request.scope["headers"] if name == _HEADER]
    match values:
        case []:
            raise Problem(400, "idempotency-key-missing", "This request needs an Idempotency-Key header.")
        case [value]:
            return _unquote(value.decode("latin-1").strip(" \t"))
        case _:
            raise _malformed()


def item_key(key: RequestKey, index: int) -> RequestKey:
    """The key of one item of a bulk request. The separator is no visible ASCII, so no single key can be it."""
    return RequestKey(key.tenant, key.principal, f"{key.key}\x1f{index}", key.fingerprint)


def _unquote(value: str) -> str:
    quoted = _QUOTED.fullmatch(value)
    key = _ESCAPE.sub(r"\1", quoted[1]) if quoted else value
    if len(key) > KEY_CHARS_MAX or not (quoted or _BARE.fullmatch(value)):
        raise _malformed()
    if _ODD_UUID.fullmatch(key) and (len(key) != 36 or key != key.lower()):
        raise _malformed()  # another spelling of one UUID would be another key, and a second effect
    return key


def _malformed() -> Problem:
    detail = "One Idempotency-Key header of 1 to 255 visible ASCII characters; a UUID in lower case without braces."
    return Problem(400, "idempotency-key-malformed", detail)
