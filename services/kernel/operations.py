"""What `ops-cli` does past HTTP in PostgreSQL: one session of the role corridor_operations in a service's schema.

Reads what it may, and makes read tables anew by the functions of sql/operations.sql. Nothing here writes an event.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from services.kernel.event_store import translated
from services.kernel.store import Partition, Unavailable

REGISTRY_LANE = "projections"  # the session by which a process of a service follows the registry
STATEMENT_MS = 30 * 60 * 1000  # of a whole table, on a large one
LOCK = "SELECT pg_try_advisory_lock(hashtextextended('corridor projection ' || current_schema() || '.' || $1, 0))"
POSITIONS = "SELECT topic, partition, next_offset FROM consumer_offset WHERE consumer = $1 AND epoch = $2"
SESSIONS = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1"""
REGISTRY = """
    SELECT name, version, status, target, changed_at,
           to_regclass(quote_ident(name || '_v' || version)) IS NOT NULL AS kept
    FROM projection_registry
    ORDER BY name, version"""


Version = tuple[str, str, int]  # service, projection, number


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where a service has its tables and its topics, for whoever looks past HTTP."""

    dsn: str = field(repr=False)
    bootstrap: str
    service: str
    schema: str
    epoch: int = 1


class Busy(Exception):
    """Somebody else makes this projection anew at this moment."""


class NoProjection(LookupError):
    """The registry of this schema has no live version of it."""


def projection_lane(projection: str, version: int) -> str:
    """The name of the session by which a process writes to a version."""
    return f"{projection} v{version}"


class Operations:
    """A session in one schema. Words of PostgreSQL leave it as words of the port."""

    def __init__(self, connection: asyncpg.Connection[Any], schema: str) -> None:
        self.connection = connection
        self.schema = schema

    async def exclusively(self, projection: str) -> None:
        """Until this session ends nobody else rebuilds it. Raises Busy."""
        if not await self.connection.fetchval(LOCK, projection):
            raise Busy(projection)

    async def begin(self, service: str, projection: str) -> int:
        """An empty table for the next version; its number. Raises NoProjection."""
        return int(await self._registry("SELECT projection_begin($1, $2)", service, projection))

    async def mark(self, projection: str, version: int, status: str, progress: Mapping[str, Any]) -> None:
        """Note in the registry what becomes of a version that is not live."""
        await self._registry(
            "SELECT projection_mark($1, $2, $3, $4::text::jsonb)", projection, version, status, json.dumps(progress)
        )

    async def swap(self, service: str, projection: str, version: int) -> bool:
        """Show this version. False when it is behind the one that is shown, or somebody reads for long: try again."""
        try:
            return bool(await self._registry("SELECT projection_swap($1, $2, $3)", service, projection, version))
        except asyncpg.LockNotAvailableError:
            return False

    async def save_cursors(self, version: Version, topic: str, columns: Sequence[Sequence[Any]]) -> None:
        """Cursors of a version that is being built: stream ids, versions, hashes, whether parked."""
        await self._registry("SELECT projection_cursors($1, $2, $3, $4, $5, $6, $7, $8)", *version, topic, *columns)

    async def save_positions(self, version: Version, topic: str, epoch: int, ends: Mapping[int, int]) -> None:
        """Where it stands, by partition."""
        values = (topic, epoch, list(ends), list(ends.values()))
        await self._registry("SELECT projection_positions($1, $2, $3, $4, $5, $6, $7)", *version, *values)

    async def save_parked(self, version: Version, records: Sequence[Mapping[str, Any]]) -> None:
        """What it could not apply; bytes as base64."""
        await self._registry("SELECT projection_parked($1, $2, $3, $4::text::jsonb)", *version, json.dumps(records))

    async def _registry(self, sql: str, *values: Any) -> Any:
        try:
            return await self.connection.fetchval(sql, *values)
        except asyncpg.PostgresError as error:
            if getattr(error, "sqlstate", "") == "CR006":
                raise NoProjection(str(error)) from error
            raise

    async def versions(self) -> Sequence[Any]:
        """The registry: name, version, status, target (JSON text), changed_at, whether its table is kept."""
        return await self.connection.fetch(REGISTRY)

    async def live(self, projection: str) -> int:
        """The version that is shown. Raises NoProjection."""
        for row in await self.versions():
            if row["name"] == projection and row["status"] == "live":
                return int(row["version"])
        raise NoProjection(f"no projection {projection} in the schema {self.schema}")

    async def positions(self, consumer: str, epoch: int) -> dict[Partition, int]:
        """Where a consumer stands, which is what has effect and not what Kafka was told."""
        rows = await self.connection.fetch(POSITIONS, consumer, epoch)
        return {(row[0], row[1]): row[2] for row in rows}

    async def is_followed(self, service: str) -> bool:
        """Whether a process of the service runs that follows the registry."""
        return await self._is_connected(service, REGISTRY_LANE)

    async def is_kept(self, service: str, projection: str, version: int) -> bool:
        """Whether a process of the service keeps this version up to date."""
        return await self._is_connected(service, projection_lane(projection, version))

    async def _is_connected(self, service: str, lane: str) -> bool:
        return bool(await self.connection.fetchval(SESSIONS, f"corridor {service} {lane}"))

    async def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Rows that are not there yet."""
        await self.connection.copy_records_to_table(table, columns=columns, records=rows)


@asynccontextmanager
async def operating(dsn: str, schema: str) -> AsyncIterator[Operations]:
    """A session for long work. Raises Unavailable when it cannot be had, or is lost."""
    settings = {
        "search_path": schema,
        "application_name": "corridor operations",
        "statement_timeout": str(STATEMENT_MS),
        "lock_timeout": "10000",
        "work_mem": "64MB",
        "temp_buffers": "64MB",
        "jit": "off",
        "timezone": "UTC",
    }
    try:
        connection = await asyncpg.connect(dsn, server_settings=settings, timeout=10)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise Unavailable(f"{type(error).__name__}: {error}") from error
    try:
        yield Operations(connection, schema)
    except asyncpg.PostgresError as error:
        raise translated(error) or error from error
    except TimeoutError:  # an OSError too, but that of our own deadlines
        raise
    except (asyncpg.InterfaceError, OSError) as error:
        raise Unavailable(f"{type(error).__name__}: {error}") from error
    finally:
        await _end(connection)


async def _end(connection: asyncpg.Connection[Any]) -> None:
    """Politely, so that its lock is free when this returns; or else without a word."""
    try:
        await connection.close(timeout=5)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
        connection.terminate()
