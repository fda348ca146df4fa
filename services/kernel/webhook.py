"""`X-Webhook-Signature`: who sent these bytes, and when. HTTP and Kafka are judged by the same code, before parsing.

X-Webhook-Signature: t=<unix seconds>,kid=<key id>,v1=<hex HMAC-SHA256(secret, "<t>." + raw body)>
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.kernel.settings import SharedKey

HEADER = "x-webhook-signature"
TOLERANCE_SECONDS = 300  # the replay window, either way (Standard Webhooks takes the same)
_FORM = re.compile(r"t=([0-9]{10}),kid=([A-Za-z0-9._-]{1,64}),v1=([0-9a-f]{64})", re.ASCII)
_NOBODY = b"nobody"  # the key that an unknown key id is compared with, so that it costs the same time


@dataclass(frozen=True, slots=True)
class Signed:
    """The verdict on a signature. `partner` is who the key belongs to, "unknown" when nobody's."""

    partner: str
    key_id: str
    valid: bool
    fault: str = ""  # "missing", "malformed", "unknown_key", "wrong", "out_of_tolerance"


class Verifier:
    """Knows the shared keys of all partners; two of one partner may be valid at once, while they rotate."""

    def __init__(self, keys: Sequence[SharedKey]) -> None:
        """Raises ValueError without a key (a door without a lock stays shut) and for two keys with one id."""
        if not keys:
            raise ValueError("no webhook key is configured")
        self._keys = {key.key_id: (key.partner, key.secret.reveal().encode()) for key in keys}
        if len(self._keys) < len(keys):
            raise ValueError("each webhook key needs a key id of its own")

    @property
    def partners(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(sorted({partner for partner, _ in self._keys.values()}))

    def verify(
        self, header: str | None, body: bytes, now_seconds: int, tolerance_seconds: int | None = TOLERANCE_SECONDS
    ) -> Signed:
        """Judge the header over the raw bytes at that time; with None it never ages. Raises nothing, whatever comes."""
        if header is None:
            return Signed("unknown", "", valid=False, fault="missing")
        found = _FORM.fullmatch(header)
        if found is None:
            return Signed("unknown", "", valid=False, fault="malformed")
        stamp, key_id, given = found.groups()
        partner, secret = self._keys.get(key_id, ("unknown", _NOBODY))
        right = hmac.compare_digest(signature(secret, stamp, body), given)
        if partner == "unknown":
            return Signed(partner, key_id, valid=False, fault="unknown_key")
        if not right:
            return Signed(partner, key_id, valid=False, fault="wrong")
        if tolerance_seconds is not None and abs(now_seconds - int(stamp)) > tolerance_seconds:
            return Signed(partner, key_id, valid=False, fault="out_of_tolerance")
        return Signed(partner, key_id, valid=True)


def signature(secret: bytes, stamp: str, body: bytes) -> str:
    """The hex that belongs behind v1=."""
    return hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def header_of(key: SharedKey, body: bytes, now_seconds: int) -> str:
    """A whole header, for tests and for the command line."""
    stamp = str(now_seconds)
    return f"t={stamp},kid={key.key_id},v1={signature(key.secret.reveal().encode(), stamp, body)}"
