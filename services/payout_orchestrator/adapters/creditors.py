"""Creditors' names and accounts, opened with the keys of the vault just before they leave for the partner."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from services.kernel.sealed import Sealed
from services.kernel.store import Unavailable
from services.kernel.vault import CannotOpen as Unreadable
from services.kernel.vault import Erased, Vault
from services.payout_orchestrator.ports import CannotOpen


class VaultOpener:
    """See ports.Opener. `fields` of the boxes are those that core_api sealed them for."""

    def __init__(self, vault: Vault, tenant: str) -> None:
        self._vault = vault
        self._tenant = tenant

    async def open_many(self, sealed: list[tuple[Sealed, str]]) -> Sequence[str | None]:
        """All at once; one by one only when somebody among them was erased."""
        try:
            return await self._all(sealed)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, Unavailable) as error:
            raise CannotOpen(type(error).__name__) from error

    async def _all(self, sealed: list[tuple[Sealed, str]]) -> Sequence[str | None]:
        try:
            return await self._vault.open_many(self._tenant, sealed)
        except (Erased, Unreadable):
            return [await self._one(each, field) for each, field in sealed]

    async def _one(self, sealed: Sealed, field: str) -> str | None:
        try:
            return await self._vault.open(self._tenant, sealed, field)
        except (Erased, Unreadable):
            return None
