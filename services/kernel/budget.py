"""What is refused is kept within a budget for each source and hour, and only counted beyond it.

Whoever sent it was told, so that nothing is lost with the bytes; and without a bound a stranger could fill the disk.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from services.kernel.vault_arrivals import STRANGERS
from services.kernel.webhook import HEADER, Signed

REFUSED_BYTES_PER_HOUR = 1024 * 1024  # of a source, in each process
ROW_BYTES = 256  # a row without its body and headers: ids, words and time 120, two seals 70, the index's entry 40
SIGNATURE_CHARS_MAX = 256  # a well-formed one has at most 149


class Budget:
    """What refused arrivals may still cost in this hour. `now` is the wall clock in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._hour = 0
        self._used: dict[str, int] = {}

    def affords(self, signed: Signed, body: bytes, headers: bytes) -> bool:
        """Whether the source may keep these bytes; if so, it is charged.

        Without a valid signature that source is the strangers: a key id is no secret, and whoever knows a partner's
        must not use up the partner's hour.
        """
        self._turn()
        source = signed.partner if signed.valid else STRANGERS
        used = self._used.get(source, 0) + len(body) + len(headers) + ROW_BYTES
        if used > REFUSED_BYTES_PER_HOUR:
            return False
        self._used[source] = used
        return True

    def _turn(self) -> None:
        hour = int(self._now()) // 3600
        if hour != self._hour:
            self._hour, self._used = hour, {}


def headers_kept(signature: str | None) -> bytes:
    """The signature's header as it is kept: whole when it is well-formed, else its first 256 characters."""
    return json.dumps({HEADER: signature and signature[:SIGNATURE_CHARS_MAX]}).encode()
