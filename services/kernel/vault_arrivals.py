"""What comes from outside is kept sealed, under a key for each partner and month (decisions/0011-sealed-arrivals.md).

A box is HEAD (form, month, the key's version), the nonce, and AES-256-GCM's ciphertext with its tag. To seal asks
nobody: the few keys of this month are in memory. A destroyed key makes its partner's month unreadable, and nothing else
breaks.
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.kernel.ids import derive
from services.kernel.sealed import Box
from services.kernel.store import Unavailable
from services.kernel.telemetry import logger
from services.kernel.vault import FIRST_VERSION, NONCE_BYTES, CannotOpen, Erased, KeyStore, StoredKey, Wrapping

STRANGERS = "unknown"  # the source of what nobody signed; see webhook.Signed
RENEW_SECONDS = 60.0  # how late another process's destruction of this month's key is noticed
AWAY_SECONDS = 1.0  # between two tries for a vault that is away
HEAD = struct.Struct(">BIH")
FORM = 1
PREFIX_BYTES, COUNTS_MAX = 8, 2**32  # of a nonce: drawn once for a key in a process, then counted
BODY, HEADERS = b"b", b"h"
_LOG = logger("vault")

Seal = Callable[[str, UUID, bytes, bytes], tuple[Box, Box]]  # source, arrival id, body, headers
Task = Callable[[], Coroutine[Any, Any, None]]


def month_of(at: datetime) -> int:
    """202611 for November 2026, in the time zone of `at`."""
    return at.year * 100 + at.month


def subject_of(tenant: str, source: str, month: int) -> UUID:
    """The name of a partner's month in the vault."""
    return derive("arrivals", tenant, source, month)


class Sealer:
    """A key in use. No nonce comes twice: 8 bytes that are drawn when this process takes the key up, 4 that count."""

    __slots__ = ("_bound", "_cipher", "_count", "_prefix", "_random", "head")

    def __init__(self, cipher: AESGCM, head: bytes, place: bytes, random: Callable[[int], bytes]) -> None:
        self.head = head
        self._cipher = cipher
        self._bound = head + place
        self._random = random
        self._prefix = random(PREFIX_BYTES)
        self._count = 0

    def seal(self, arrival_id: UUID, field: bytes, plain: bytes) -> Box:
        """`plain` for this field of this arrival."""
        nonce = self._nonce()
        sealed = self._cipher.encrypt(nonce, plain, self._bound + arrival_id.bytes + field)
        return Box(self.head + nonce + sealed)

    def _nonce(self) -> bytes:
        if self._count == COUNTS_MAX:
            self._prefix, self._count = self._random(PREFIX_BYTES), 0
        self._count += 1
        return self._prefix + (self._count - 1).to_bytes(NONCE_BYTES - PREFIX_BYTES, "big")


class ArrivalKeys:
    """The keys of this month, one for each partner and one for strangers. `keep` runs for as long as the process."""

    def __init__(
        self,
        store: KeyStore,
        wrapping: Wrapping,
        tenant: str,
        partners: Iterable[str],
        *,
        now: Callable[[], datetime],
        random: Callable[[int], bytes] = os.urandom,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`partners`: all that there are, so that the keys in memory have a bound. `now`: UTC."""
        self._store = store
        self._wrapping = wrapping
        self._tenant = tenant
        self._sources = sorted({*partners, STRANGERS})
        self._now = now
        self._random = random
        self._pause = pause
        self._sealers: Mapping[str, Sealer] = {}
        self._prepared = asyncio.Event()

    def seal(self, source: str, arrival_id: UUID, body: bytes, headers: bytes) -> tuple[Box, Box]:
        """Body and headers of an arrival. Raises Unavailable until its source has had a key; after it, nothing."""
        sealer = self._sealers.get(source)
        if sealer is None:
            raise Unavailable("the keys of arrivals are not there yet")
        return sealer.seal(arrival_id, BODY, body), sealer.seal(arrival_id, HEADERS, headers)

    async def renew(self) -> None:
        """Fetch this month's keys, make those that are missing. Where one cannot be used, its source's old one goes on.

        Raises what the vault raises when it is away; then all the old ones go on.
        """
        month = month_of(self._now())
        names = {subject_of(self._tenant, source, month): source for source in self._sources}
        held = await self._newest(names)
        wanted = {name: _version_wanted(held.get(name)) for name in names}
        missing = [name for name in sorted(names) if name not in held or held[name].version < wanted[name]]
        if missing:
            await self._store.create([self._wrapping.new(self._tenant, name, wanted[name]) for name in missing])
            held = await self._newest(names)
        sealers = {source: self._sealer(source, month, held.get(name)) for name, source in names.items()}
        self._sealers = {source: sealer for source, sealer in sealers.items() if sealer is not None}
        if len(self._sealers) == len(self._sources):
            self._prepared.set()

    async def _newest(self, names: Mapping[UUID, str]) -> dict[UUID, StoredKey]:
        return {key.subject: key for key in await self._store.newest(self._tenant, sorted(names))}

    def _sealer(self, source: str, month: int, key: StoredKey | None) -> Sealer | None:
        """With this key; where that fails the known one, None when there was none."""
        known = self._sealers.get(source)
        try:
            return self._sealer_of(source, month, key, known)
        except Exception as trouble:  # noqa: BLE001 - one key that cannot be unwrapped must not stop the other sources
            error = f"{type(trouble).__name__}: {trouble}"
            _LOG.warning("arrival_key_not_renewed", source=source, error=error)
            return known

    def _sealer_of(self, source: str, month: int, key: StoredKey | None, known: Sealer | None) -> Sealer:
        if key is None:
            raise CannotOpen("it was made and is not there")
        head = HEAD.pack(FORM, month, key.version)
        if known is not None and known.head == head:
            return known
        return Sealer(self._wrapping.cipher(key), head, _place(self._tenant, source), self._random)

    async def keep(self) -> None:
        """Renew for ever: each minute, and when the month turns. A vault that is away is asked again."""
        while True:
            seconds = min(RENEW_SECONDS, max(_left_of_month(self._now()), 0.001))
            try:
                await self.renew()
                if not self._prepared.is_set():
                    seconds = AWAY_SECONDS
            except Exception as away:  # noqa: BLE001 - whatever the vault's trouble is, the keys in hand go on
                _LOG.warning("arrival_keys_not_renewed", error=f"{type(away).__name__}: {away}")
                seconds = AWAY_SECONDS
            await self._pause(seconds)

    async def prepared(self) -> bool:
        """Whether arrivals can be sealed: a probe of readiness."""
        return self._prepared.is_set()

    def before(self, task: Task) -> Task:
        """`task`, begun once arrivals can be sealed: what reads records must never find itself without a key."""

        async def waiting() -> None:
            await self._prepared.wait()
            await task()

        return waiting


async def open_arrival(
    store: KeyStore, wrapping: Wrapping, *, tenant: str, arrival_id: UUID, source: str, body: bytes, headers: bytes
) -> tuple[bytes, bytes]:
    """(body, headers) of a row of raw_arrival, byte for byte as they came. For a person on call; remembers no key.

    Raises Erased when the key of that partner and month was destroyed, CannotOpen when the row is not what was sealed.
    """
    if len(body) < HEAD.size or body[0] != FORM:
        raise CannotOpen("not a sealed arrival")
    _, month, version = HEAD.unpack_from(body)
    cipher = await _cipher(store, wrapping, tenant, source, month, version)
    bound = body[: HEAD.size] + _place(tenant, source) + arrival_id.bytes
    try:
        return _opened(cipher, body, bound + BODY), _opened(cipher, headers, bound + HEADERS)
    except (InvalidTag, ValueError):
        raise CannotOpen(f"not sealed for this arrival of {source}") from None


async def destroy_arrivals(store: KeyStore, tenant: str, source: str, month: int) -> None:
    """Make a month (202611) of a partner unreadable, for ever. Sealing in that month goes on with a new key."""
    await store.destroy(tenant, subject_of(tenant, source, month))


async def _cipher(store: KeyStore, wrapping: Wrapping, tenant: str, source: str, month: int, version: int) -> AESGCM:
    found = await store.find(tenant, [(subject_of(tenant, source, month), version)])
    if not found:
        raise CannotOpen(f"there is no key of {source} for {month}")
    if found[0].wrapped is None:
        raise Erased(f"{source} {month}")
    return wrapping.cipher(found[0])


def _opened(cipher: AESGCM, box: bytes, bound: bytes) -> bytes:
    start = HEAD.size + NONCE_BYTES
    return cipher.decrypt(box[HEAD.size : start], box[start:], bound)


def _version_wanted(newest: StoredKey | None) -> int:
    """The version to seal with: a destroyed one has a successor, so that arrivals can always be kept."""
    if newest is None:
        return FIRST_VERSION
    return newest.version + 1 if newest.wrapped is None else newest.version


def _place(tenant: str, source: str) -> bytes:
    """Authenticated with the bytes, as are head, arrival and field: no box can be moved to another place."""
    return f"{tenant}\x1f{source}\x1f".encode()


def _left_of_month(now: datetime) -> float:
    """Seconds until the next month begins."""
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (first + timedelta(days=32)).replace(day=1)
    return (following - now).total_seconds()
