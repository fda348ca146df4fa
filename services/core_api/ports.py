"""What core_api needs from outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Passwords(Protocol):
    """Slow hashes of passwords, off the event loop."""

    async def hash(self, password: str) -> str:
        """A salted hash with its own parameters in it."""

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Whether `password` made `hashed`. None takes as long as any, and is False."""


class Gate(Protocol):
    """Whether customers may change anything now."""

    closed: bool  # read for each request; only then is the caller looked at

    def judge(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Raises Problem 503 when the caller is a customer."""

    def judge_anybody(self) -> None:
        """Raises Problem 503 for a change that only customers make."""


class KeyBooks(Protocol):
    """The request keys of all services."""

    async def find(self, query: str) -> tuple[list[Any], list[str]]:
        """What is stored under the key that `query` (of a URL) names, and the services that did not answer in time."""
