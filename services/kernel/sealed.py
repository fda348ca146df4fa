"""A value that only who holds the key can read. The domain carries it and never looks inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType
from uuid import UUID

Box = NewType("Box", bytes)  # bytes from outside, sealed with the key of their partner's month (vault_arrivals.py)


@dataclass(frozen=True, slots=True)
class Sealed:
    """AES-256-GCM ciphertext of personal data of `subject`; `box` is base64 of nonce and ciphertext with its tag.

    Authenticated data is the subject and the field's name, so that a box cannot be moved to another field or person.
    Destroying the subject's key in the vault makes every box of theirs unreadable and leaves every hash whole.
    """

    subject: UUID
    key_version: int
    box: str
