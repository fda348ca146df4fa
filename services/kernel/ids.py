"""Ids: derived by uuid5 from one namespace, or UUIDv7 where nothing derives them.

They are made as asyncpg's UUID, a subclass of the standard one in C: the same value, a tenth of the time, and the
kernel makes several for each event.
"""

from __future__ import annotations

from uuid import UUID

import uuid_utils
from asyncpg.pgproto import pgproto

NAMESPACE = UUID("5f1f9c1e-6f3c-5b57-9d0f-0f2a3c1b7a10")  # uuid5 root of every derived id; changing it doubles money
_ROOT = uuid_utils.UUID(bytes=NAMESPACE.bytes)
_FastUUID = pgproto.UUID


def derive(*parts: object) -> UUID:
    """The id that follows from `parts`: the same parts, the same id, in any process, for ever (RFC 9562, version 5)."""
    return _FastUUID(uuid_utils.uuid5(_ROOT, "\x1f".join([str(part) for part in parts])).bytes)


def new_id() -> UUID:
    """A UUIDv7: ids of events ascend in time, which keeps their index warm."""
    return _FastUUID(uuid_utils.uuid7().bytes)


def uuid_of(text: str) -> UUID:
    """The UUID that `text` spells. Raises ValueError."""
    return _FastUUID(text)
