"""Personal data under a key for each person: AES-256-GCM, the keys wrapped by one that lives outside the database."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.kernel.sealed import Sealed
from services.kernel.settings import Secret

KEY_BYTES = 32
NONCE_BYTES = 12
KEYS_REMEMBERED_MAX = 10_000
KEYS_REMEMBERED_SECONDS = 60  # how long another process may still open what this one's neighbour has erased
FIRST_VERSION = 1

KeyName = tuple[str, UUID, int]  # tenant, subject, version


class Erased(Exception):
    """The key of this person, or of this partner's month, was destroyed: what it sealed can never be read again."""


class CannotOpen(Exception):
    """The box was not sealed for this person or arrival, tenant and field, or its key is not ours."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A data key as it is kept. `wrapped` is None once it was destroyed."""

    tenant: str
    subject: UUID
    version: int
    kek_id: str
    wrapped: bytes | None


class KeyStore(Protocol):
    """Where wrapped keys are kept."""

    async def newest(self, tenant: str, subjects: Sequence[UUID]) -> Sequence[StoredKey]:
        """The newest key of each subject that has one."""

    async def create(self, keys: Sequence[StoredKey]) -> None:
        """Keep those that are not there yet; a neighbour may have been faster. Commits by itself."""

    async def find(self, tenant: str, names: Sequence[tuple[UUID, int]]) -> Sequence[StoredKey]:
        """The keys of these subjects and versions."""

    async def destroy(self, tenant: str, subject: UUID) -> None:
        """Erase all keys of the subject, for ever. May be repeated."""


@dataclass(frozen=True, slots=True)
class KeyEncryptionKey:
    """The key that wraps all others; its id is the first 8 hex of its SHA-256."""

    key_id: str
    cipher: AESGCM

    @classmethod
    def of(cls, secret: Secret) -> KeyEncryptionKey:
        """From base64 of 32 bytes."""
        key = base64.b64decode(secret.reveal(), validate=True)
        assert len(key) == KEY_BYTES, "settings check the length"
        return cls(hashlib.sha256(key).hexdigest()[:8], AESGCM(key))


class Wrapping:
    """Makes data keys, and unwraps them, with the key-encryption keys."""

    def __init__(self, kek: Secret, kek_previous: Secret | None, random: Callable[[int], bytes] = os.urandom) -> None:
        """`kek_previous` still opens what it wrapped; new keys are wrapped by `kek`."""
        self._kek = KeyEncryptionKey.of(kek)
        previous = [KeyEncryptionKey.of(kek_previous)] if kek_previous else []
        self._keks = {one.key_id: one.cipher for one in (self._kek, *previous)}
        self._random = random

    def new(self, tenant: str, subject: UUID, version: int) -> StoredKey:
        """A data key that nobody has yet."""
        nonce = self._random(NONCE_BYTES)
        wrapped = nonce + self._kek.cipher.encrypt(
            nonce, self._random(KEY_BYTES), _wrapped_for(tenant, subject, version)
        )
        return StoredKey(tenant, subject, version, self._kek.key_id, wrapped)

    def cipher(self, key: StoredKey) -> AESGCM:
        """What seals and opens with this key. Raises Erased, CannotOpen."""
        if key.wrapped is None:
            raise Erased(key.subject)
        kek = self._keks.get(key.kek_id)
        if kek is None:
            raise CannotOpen(f"wrapped by a key that is not configured: {key.kek_id}")
        place = _wrapped_for(key.tenant, key.subject, key.version)
        try:
            return AESGCM(kek.decrypt(key.wrapped[:NONCE_BYTES], key.wrapped[NONCE_BYTES:], place))
        except InvalidTag:
            raise CannotOpen("the stored key was changed") from None


class Vault:
    """Seals and opens. Ciphers of persons are remembered, at most KEYS_REMEMBERED_MAX and KEYS_REMEMBERED_SECONDS."""

    def __init__(
        self,
        store: KeyStore,
        *,
        kek: Secret,
        digest_key: Secret,
        kek_previous: Secret | None = None,
        random: Callable[[int], bytes] = os.urandom,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`kek_previous` still opens what it wrapped; new keys are wrapped by `kek`. `now` in seconds."""
        self._store = store
        self._wrapping = Wrapping(kek, kek_previous, random)
        self._digest_key = digest_key.reveal().encode()
        self._random = random
        self._now = now
        self._ciphers: OrderedDict[KeyName, tuple[AESGCM, float]] = OrderedDict()
        self._versions: OrderedDict[tuple[str, UUID], tuple[int, float]] = OrderedDict()

    def digest(self, tenant: str, text: str) -> str:
        """A keyed fingerprint (HMAC-SHA256, hex) to look sealed text up by; the caller normalises the text first."""
        return hmac.digest(self._digest_key, f"{tenant}\x1f{text}".encode(), "sha256").hex()

    async def seal(self, tenant: str, subject: UUID, field: str, text: str) -> Sealed:
        """`text` for `field` of `subject`. Raises Erased."""
        (sealed,) = await self.seal_many(tenant, ((subject, field, text),))
        return sealed

    async def seal_many(self, tenant: str, items: Sequence[tuple[UUID, str, str]]) -> list[Sealed]:
        """(subject, field, text) each, in order; missing keys are made in one statement. Raises Erased."""
        versions = await self._current(tenant, {subject for subject, _, _ in items})
        sealed = []
        for subject, field, text in items:
            cipher = self._ciphers[tenant, subject, versions[subject]][0]
            nonce = self._random(NONCE_BYTES)
            box = nonce + cipher.encrypt(nonce, text.encode(), _bound_to(tenant, subject, field))
            sealed.append(Sealed(subject, versions[subject], base64.b64encode(box).decode()))
        self._trim()
        return sealed

    async def open_many(self, tenant: str, items: Sequence[tuple[Sealed, str]]) -> list[str]:
        """The texts of (sealed, field), in order; one query for all keys that are not remembered.

        Raises Erased if one was destroyed, CannotOpen if one is not what it is said to be.
        """
        await self._learn(tenant, {(sealed.subject, sealed.key_version) for sealed, _ in items})
        texts = [self._open(tenant, sealed, field) for sealed, field in items]
        self._trim()
        return texts

    async def open(self, tenant: str, sealed: Sealed, field: str) -> str:
        """One of them."""
        (text,) = await self.open_many(tenant, ((sealed, field),))
        return text

    async def destroy(self, tenant: str, subject: UUID) -> None:
        """Erase the person: no box of theirs can be opened again, here at once, elsewhere within a minute."""
        await self._store.destroy(tenant, subject)
        for name in [name for name in self._ciphers if name[:2] == (tenant, subject)]:
            del self._ciphers[name]

    async def _current(self, tenant: str, subjects: set[UUID]) -> dict[UUID, int]:
        """The version to seal with for each subject; its cipher is remembered when this returns."""
        known = {subject: version for subject in subjects if (version := self._version(tenant, subject)) is not None}
        for make in (True, False):
            missing = sorted(subjects - known.keys())
            if missing:
                known |= {key.subject: self._remember(key) for key in await self._store.newest(tenant, missing)}
            absent = sorted(subjects - known.keys())
            if absent and make:
                await self._store.create([self._wrapping.new(tenant, one, FIRST_VERSION) for one in absent])
        assert known.keys() == subjects, "a key that was just made is not there"
        return known

    async def _learn(self, tenant: str, wanted: set[tuple[UUID, int]]) -> None:
        missing = sorted(name for name in wanted if not self._fresh(self._ciphers.get((tenant, *name))))
        if not missing:
            return
        found = await self._store.find(tenant, missing)
        for key in found:
            self._remember(key, current=False)
        if len(found) < len(missing):
            raise CannotOpen("there is no such key")

    def _open(self, tenant: str, sealed: Sealed, field: str) -> str:
        cipher = self._ciphers[tenant, sealed.subject, sealed.key_version][0]
        try:
            box = base64.b64decode(sealed.box, validate=True)
            plain = cipher.decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], _bound_to(tenant, sealed.subject, field))
        except (InvalidTag, ValueError):
            raise CannotOpen("not sealed for this person and field") from None
        return plain.decode()

    def _remember(self, key: StoredKey, *, current: bool = True) -> int:
        """The version. Raises Erased, CannotOpen."""
        cipher = self._wrapping.cipher(key)
        until = self._now() + KEYS_REMEMBERED_SECONDS
        self._ciphers[key.tenant, key.subject, key.version] = (cipher, until)
        if current:
            self._versions[key.tenant, key.subject] = (key.version, until)
        return key.version

    def _version(self, tenant: str, subject: UUID) -> int | None:
        found = self._versions.get((tenant, subject))
        if found is None or not self._fresh(found) or not self._fresh(self._ciphers.get((tenant, subject, found[0]))):
            return None
        return found[0]

    def _fresh(self, found: tuple[object, float] | None) -> bool:
        return found is not None and self._now() < found[1]

    def _trim(self) -> None:
        """Oldest first, and only between uses: a bulk request may need more at once than we keep."""
        while len(self._ciphers) > KEYS_REMEMBERED_MAX:
            self._ciphers.popitem(last=False)
        while len(self._versions) > KEYS_REMEMBERED_MAX:
            self._versions.popitem(last=False)


def _bound_to(tenant: str, subject: UUID, field: str) -> bytes:
    """Authenticated with the text, so that a box cannot be moved to another field, person or tenant."""
    return f"{tenant}\x1f{subject}\x1f{field}".encode()


def _wrapped_for(tenant: str, subject: UUID, version: int) -> bytes:
    return f"{tenant}\x1f{subject}\x1f{version}".encode()
