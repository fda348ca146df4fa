"""Where the vault keeps its wrapped keys: the tables vault.data_key and vault.arrival_key, or memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol
from uuid import UUID

from services.kernel.vault import KeyName, StoredKey

PERSONS, ARRIVALS = "data_key", "arrival_key"  # tables of one shape: whoever has one need not have the other

_NEWEST = """
SELECT DISTINCT ON (subject) tenant, subject, version, kek_id, wrapped
FROM vault.<table> WHERE tenant = $1 AND subject = ANY($2::uuid[]) ORDER BY subject, version DESC"""

_CREATE = """
INSERT INTO vault.<table> (tenant, subject, version, kek_id, wrapped)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::int[], $4::text[], $5::bytea[])
ORDER BY 1, 2, 3  -- two processes that make the same keys wait in one order
ON CONFLICT (tenant, subject, version) DO NOTHING"""

_FIND = """
SELECT tenant, subject, version, kek_id, wrapped FROM vault.<table>
WHERE tenant = $1 AND (subject, version) IN (SELECT * FROM unnest($2::uuid[], $3::int[]))"""

_DESTROY = """
UPDATE vault.<table> SET wrapped = NULL, destroyed_at = now()
WHERE tenant = $1 AND subject = $2 AND destroyed_at IS NULL"""


class Sessions(Protocol):
    """A pool of sessions: pool.Pool, or asyncpg's own."""

    async def fetch(self, sql: str, /, *values: Any) -> Sequence[Any]:
        """The rows."""

    async def execute(self, sql: str, /, *values: Any) -> str:
        """The statement, done."""


class PostgresKeys:
    """Keys in PostgreSQL, each call a transaction of its own."""

    def __init__(self, pool: Sessions, table: str = PERSONS) -> None:
        """`pool`: a role that may read the table; who makes keys may insert, who destroys them update."""
        self._pool = pool
        statements = (_NEWEST, _CREATE, _FIND, _DESTROY)
        self._newest, self._create, self._find, self._destroy = (
            statement.replace("<table>", table) for statement in statements
        )

    async def newest(self, tenant: str, subjects: Sequence[UUID]) -> list[StoredKey]:
        """As the port says."""
        return [StoredKey(*row) for row in await self._pool.fetch(self._newest, tenant, list(subjects))]

    async def create(self, keys: Sequence[StoredKey]) -> None:
        """As the port says."""
        await self._pool.execute(
            self._create,
            [key.tenant for key in keys],
            [key.subject for key in keys],
            [key.version for key in keys],
            [key.kek_id for key in keys],
            [key.wrapped for key in keys],
        )

    async def find(self, tenant: str, names: Sequence[tuple[UUID, int]]) -> list[StoredKey]:
        """As the port says."""
        rows = await self._pool.fetch(self._find, tenant, [name[0] for name in names], [name[1] for name in names])
        return [StoredKey(*row) for row in rows]

    async def destroy(self, tenant: str, subject: UUID) -> None:
        """As the port says."""
        await self._pool.execute(self._destroy, tenant, subject)


class MemoryKeys:
    """A key store for tests and the simulation."""

    def __init__(self) -> None:
        """Empty."""
        self.keys: dict[KeyName, StoredKey] = {}

    async def newest(self, tenant: str, subjects: Sequence[UUID]) -> list[StoredKey]:
        """As the port says."""
        found: dict[UUID, StoredKey] = {}
        wanted = set(subjects)
        for key in sorted(self.keys.values(), key=lambda one: one.version):
            if key.tenant == tenant and key.subject in wanted:
                found[key.subject] = key
        return list(found.values())

    async def create(self, keys: Iterable[StoredKey]) -> None:
        """As the port says."""
        for key in keys:
            self.keys.setdefault((key.tenant, key.subject, key.version), key)

    async def find(self, tenant: str, names: Iterable[tuple[UUID, int]]) -> list[StoredKey]:
        """As the port says."""
        return [key for name in names if (key := self.keys.get((tenant, *name)))]

    async def destroy(self, tenant: str, subject: UUID) -> None:
        """As the port says."""
        for name, key in list(self.keys.items()):
            if name[:2] == (tenant, subject):
                self.keys[name] = StoredKey(key.tenant, key.subject, key.version, key.kek_id, None)
