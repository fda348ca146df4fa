"""argon2id in threads of its own: a login takes some 20 ms of a core, and the loop goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from services.kernel.problem import unavailable

# OWASP Password Storage Cheat Sheet, argon2id: 19 MiB, 2 passes, 1 lane. Two at once keep within our 120 MB.
MEMORY_KIB = 19 * 1024
PASSES = 2
LANES = 1
THREADS = 2
WAITING_MAX = 100  # about a second of work; beyond it the door says 503, so that a flood of logins stops nothing else

Result = TypeVar("Result")


class Argon2:
    """See ports.Passwords."""

    def __init__(self) -> None:
        """Makes the hash against which the passwords of unknown users are checked."""
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
        self._threads = ThreadPoolExecutor(THREADS, "argon2")
        self._nobody = self._hasher.hash("nobody's password")
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """As the port says. Raises Problem 503."""
        return await self._run(self._hasher.hash, password)

    async def verify(self, hashed: str | None, password: str) -> bool:
        """As the port says. Raises Problem 503."""
        same = await self._run(self._same, hashed or self._nobody, password)
        return same and hashed is not None

    def _same(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[..., Result], *arguments: str) -> Result:
        if self._waiting >= WAITING_MAX:
            raise unavailable("too many logins are waiting", retry_after_seconds=2)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        finally:
            self._waiting -= 1
