"""Whether PostgreSQL has room for all sessions that our processes may open: asked at a deploy, and by the doctor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg
from prometheus_client.parser import text_string_to_metric_families

SIZES = "corridor_db_pool_size"
ROOM = """
    SELECT current_setting('max_connections')::int,
           current_setting('superuser_reserved_connections')::int
               + coalesce(current_setting('reserved_connections', true), '0')::int,
           (SELECT count(*) FROM pg_stat_activity
            WHERE backend_type = 'client backend' AND application_name NOT LIKE 'corridor %'
              AND pid <> pg_backend_pid())::int"""


@dataclass(frozen=True, slots=True)
class Room:
    """What a server has: sessions at most, those kept back for its superusers, and those of others than us now."""

    most: int
    reserved: int
    others: int

    @property
    def ours(self) -> int:
        """What is left for us."""
        return self.most - self.reserved - self.others

    def fault(self, needed: Mapping[str, int]) -> str | None:
        """What is wrong with so many sessions by process, in a sentence; None: there is room for all of them."""
        total = sum(needed.values())
        if total <= self.ours:
            return None
        each = ", ".join(f"{name} {count}" for name, count in sorted(needed.items()))
        return (
            f"PostgreSQL has room for {self.ours} sessions of ours (max_connections {self.most}, reserved "
            f"{self.reserved}, others {self.others}), and our processes may open {total}: {each}. "
            f"Lower DB_POOL_SIZE or DB_POOL_OVERFLOW, or raise max_connections."
        )


def sessions_of(exposition: str) -> int:
    """How many sessions a process may open, from its /metrics: the sum over its lanes."""
    families = text_string_to_metric_families(exposition)
    return sum(int(sample.value) for family in families if family.name == SIZES for sample in family.samples)


async def room(dsn: str) -> Room:
    """Ask the server. Raises OSError, asyncpg.PostgresError."""
    connection = await asyncpg.connect(dsn, timeout=5, command_timeout=5)
    try:
        row = await connection.fetchrow(ROOM)
        assert row is not None, "one row"
        return Room(*row)
    finally:
        await connection.close()
