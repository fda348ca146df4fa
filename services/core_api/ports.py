"""What core_api needs from outside."""

from __future__ import annotations

from typing import Protocol


class Passwords(Protocol):
    """Slow hashes of passwords, off the event loop."""

    async def hash(self, password: str) -> str:
        """A salted hash with its own parameters in it."""

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Whether `password` made `hashed`. None takes as long as any, and is False."""
