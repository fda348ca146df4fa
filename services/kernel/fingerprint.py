"""The fingerprint of a request as one text: what it is compared by, and what is kept to tell how another one differs.

    <SHA-256 of method, path and canonical body, hex> POST /v1/transfers quote_id=1f3a receiver_id=90c2 sender_id=4be1

Of each member of the body stay 16 bits: enough to see that it changed, too few to find out what it was (decision 0019).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

import msgspec

HASH_CHARS = 64
FIELDS_MAX = 24  # none of our bodies has more
PATH_CHARS_MAX = 200
_WORD = re.compile(rf"[!-~]{{1,{PATH_CHARS_MAX}}}")
_ODD = re.compile(r"[^!-~]")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Described(NamedTuple):
    """What a fingerprint tells of its request: method, path, and a digest (four hex digits) for each member."""

    method: str | None
    route: str | None
    fields: Mapping[str, str]


def fingerprint(method: str, path: str, key: str, body: bytes) -> str:
    """Of a request whose `body` is canonical JSON, or empty. `key` salts the digests of its members."""
    whole = sha256(f"{method}\n{path}\n".encode())
    whole.update(body)
    return f"{whole.hexdigest()} {method} {_plain(path)}{_digests(key, body)}"


def same_request(first: str, second: str) -> bool:
    """Whether two fingerprints are of one request. One that was stored before digests were kept is its hash alone."""
    return first == second or (HASH_CHARS in (len(first), len(second)) and first[:HASH_CHARS] == second[:HASH_CHARS])


def described(text: str) -> Described:
    """What there is beside the hash."""
    _, *rest = text.split(" ")
    if len(rest) < 2:
        return Described(None, None, {})
    method, route, *fields = rest
    return Described(method, route, dict(field.split("=", 1) for field in fields if "=" in field))


def differing(first: str, second: str) -> tuple[str, ...]:
    """The names in which they differ: `method`, `route`, members of the body. Empty: the digests do not say."""
    one, other = described(first), described(second)
    if one.method is None or other.method is None:
        return ()
    heads = [name for name, differs in (("method", one.method != other.method), ("route", one.route != other.route))
             if differs]  # fmt: skip
    names = sorted(one.fields.keys() | other.fields.keys())
    return (*heads, *(name for name in names if one.fields.get(name) != other.fields.get(name)))


def _digests(key: str, body: bytes) -> str:
    if not body.startswith(b"{"):
        return ""
    salt = zlib.crc32(key.encode())
    words = []
    for name, raw in _members(body).items():
        head, start = _named(name)
        found = zlib.crc32(raw, start ^ salt)
        words.append(head % ((found ^ found >> 16) & 0xFFFF))
    return "".join(words[:FIELDS_MAX])


@lru_cache(maxsize=256)  # names are those of our bodies; what a stranger sends is refused later
def _named(name: str) -> tuple[str, int]:
    """How the digest of this member is written, and where its checksum starts."""
    return f" {name if _NAME.fullmatch(name) else '~'}=%04x", zlib.crc32(name.encode())


def _plain(path: str) -> str:
    """A path as one word."""
    return path if _WORD.fullmatch(path) else _ODD.sub("?", path[:PATH_CHARS_MAX])
