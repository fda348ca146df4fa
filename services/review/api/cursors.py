"""Where a page of the queue begins, signed: nobody else can make one, and it fits no other filter or caller."""

from __future__ import annotations

import base64
import binascii
import hmac
from datetime import UTC, datetime, timedelta
from typing import Self
from uuid import UUID

from services.kernel.problem import Problem
from services.kernel.settings import Kernel
from services.review.domain.queue import Position

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PLACE_BYTES, _MAC_BYTES = 24, 16


class Cursors:
    """Makes and reads them."""

    def __init__(self, *secrets: str) -> None:
        """The first signs; all are believed (two while a secret is being replaced)."""
        self._keys = [hmac.digest(secret.encode(), b"corridor review cursor", "sha256") for secret in secrets]

    @classmethod
    def from_settings(cls, settings: Kernel) -> Self:
        """Keys that follow from those that sign tokens."""
        previous = settings.jwt_secret_previous
        return cls(settings.jwt_secret.reveal(), *([previous.reveal()] if previous else []))

    def make(self, position: Position, bound: bytes) -> str:
        """`bound`: whom and what it is for."""
        at, review_id = position
        micros = (at - _EPOCH) // _MICROSECOND
        place = micros.to_bytes(8, "big", signed=True) + review_id.bytes
        return base64.urlsafe_b64encode(place + _mac(self._keys[0], place, bound)).rstrip(b"=").decode()

    def read(self, cursor: str, bound: bytes) -> Position:
        """Raises Problem 400: forged, cut, of other filters or of somebody else."""
        try:
            raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise _invalid() from None
        place, mac = raw[:_PLACE_BYTES], raw[_PLACE_BYTES:]
        if not any(hmac.compare_digest(mac, _mac(key, place, bound)) for key in self._keys):
            raise _invalid()
        micros = int.from_bytes(place[:8], "big", signed=True)
        return _EPOCH + micros * _MICROSECOND, UUID(bytes=place[8:])


def _mac(key: bytes, place: bytes, bound: bytes) -> bytes:
    return hmac.digest(key, place + b"\x1f" + bound, "sha256")[:_MAC_BYTES]


def _invalid() -> Problem:
    """400. One answer for every fault of a cursor."""
    detail = "This cursor is not of this queue with these filters and this caller. Begin again without `cursor`."
    return Problem(400, "cursor-invalid", detail)
