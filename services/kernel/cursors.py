"""Cursors: a place in a list, signed, so that nobody else can make one and it fits no other list, filter or caller."""

from __future__ import annotations

import base64
import binascii
import hmac
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import NamedTuple, Self

from services.kernel.problem import Problem
from services.kernel.settings import Kernel

CURSOR_CHARS_MAX = 80
MAC_BYTES = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Place(NamedTuple):
    """Where a row stands in a list: the instant and the global sequence of its first event."""

    at: datetime
    seq: int


class Cursors:
    """Makes and reads them: a place, and an HMAC over it and whom and what it is for."""

    def __init__(self, *secrets: str) -> None:
        """The first signs; all are believed (two while a secret is being replaced)."""
        self._keys = [hmac.digest(secret.encode(), b"corridor list cursor", "sha256") for secret in secrets]

    @classmethod
    def from_settings(cls, settings: Kernel) -> Self:
        """Keys that follow from those that sign tokens."""
        previous = settings.jwt_secret_previous
        return cls(settings.jwt_secret.reveal(), *([previous.reveal()] if previous else []))

    def make(self, place: Place, bound: bytes) -> str:
        """`bound`: whom and what it is for."""
        return self.sign(_packed(place), bound)

    def read(self, cursor: str, bound: bytes) -> Place:
        """Raises Problem 400, as `opened`."""
        return _unpacked(self.opened(cursor, bound))

    def sign(self, content: bytes, bound: bytes) -> str:
        """A cursor of a list whose places have a form of their own."""
        return _text(content + _mac(self._keys[0], content, bound))

    def opened(self, cursor: str, bound: bytes) -> bytes:
        """What was signed. Raises Problem 400: forged, cut, of another list, of other filters or of somebody else."""
        try:
            raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise _invalid() from None
        content, mac = raw[:-MAC_BYTES], raw[-MAC_BYTES:]
        known = [hmac.compare_digest(mac, _mac(key, content, bound)) for key in self._keys]
        if not any(known) or _text(raw) != cursor:
            raise _invalid()
        return content


def _invalid() -> Problem:
    """400. One answer for every fault of a cursor."""
    detail = "This cursor is not of this list with these filters and this caller. Begin again without `cursor`."
    return Problem(400, "cursor-invalid", detail)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _packed(place: Place) -> bytes:
    micros = (place.at - _EPOCH) // _MICROSECOND
    return micros.to_bytes(8, "big", signed=True) + place.seq.to_bytes(8, "big")


def _unpacked(content: bytes) -> Place:
    micros = int.from_bytes(content[:8], "big", signed=True)
    return Place(_EPOCH + micros * _MICROSECOND, int.from_bytes(content[8:], "big"))


def _mac(key: bytes, content: bytes, bound: bytes) -> bytes:
    return hmac.digest(key, content + sha256(bound).digest(), "sha256")[:MAC_BYTES]
