"""A bounded pool of database sessions for what answers reads. Whoever waits too long for one is told so at once.

Writes have no pool: each lane of them has a session of its own (decisions 0013 and 0020).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NoReturn
from uuid import UUID

import asyncpg

from services.kernel.event_store import PostgresStore, connector, translated
from services.kernel.loader import Loader
from services.kernel.metrics import measure_lane
from services.kernel.settings import Kernel
from services.kernel.store import Exhausted, StoredHead
from services.kernel.telemetry import logger

SPARE_SECONDS = 30.0  # an idle session beyond the pool's size is ended after this
SAY_SECONDS = 5.0  # between two lines that say that a pool is exhausted
CLOSE_SECONDS = 1.0
_LOG = logger("pool")

Idle = tuple[Any, float]  # a session, and the monotonic second since when


class Pool:
    """At most `size` + `overflow` sessions, opened when they are needed; who asks is served in order."""

    def __init__(
        self, lane: str, connect: Callable[[], Any], *, size: int, overflow: int = 0, wait_seconds: float
    ) -> None:
        """`wait_seconds`: how long a caller waits for a session before it gets Exhausted."""
        self.lane = lane
        self.wait_seconds = wait_seconds
        self._connect = connect
        self._size = size
        self._free: list[Idle] = []  # the last used first, so that the others may end
        self._slots = asyncio.Semaphore(size + overflow)
        self._said = 0.0
        self.in_use = 0
        self.waiting = 0
        self._timeouts = measure_lane(lane, size + overflow, lambda: self.in_use, lambda: self.waiting)

    @classmethod
    def of(cls, settings: Kernel, schema: str, lane: str, *, overflow: int = 0) -> Pool:
        """As the settings say, on the schema of the service, or on `vault`."""
        connect = connector(
            settings.database_url.reveal(), schema, f"corridor {settings.service} {lane}", **session_limits(settings)
        )
        return cls(
            lane, connect, size=settings.db_pool_size, overflow=overflow, wait_seconds=settings.db_pool_timeout_seconds
        )

    async def fetch(self, sql: str, *values: Any) -> list[Any]:
        """One read. Raises Exhausted, and what PostgreSQL's client raises."""
        async with self._session() as session:
            return list(await session.fetch(sql, *values))

    async def execute(self, sql: str, *values: Any) -> str:
        """One small statement that is its own transaction; raises as `fetch`."""
        async with self._session() as session:
            return str(await session.execute(sql, *values))

    def refuse(self) -> NoReturn:
        """Count it, and say so now and then. Raises Exhausted."""
        self._timeouts.inc()
        now = time.monotonic()
        if now - self._said > SAY_SECONDS:
            self._said = now
            _LOG.warning("db_pool_exhausted", lane=self.lane, in_use=self.in_use, waiting=self.waiting)
        raise Exhausted(f"no session of {self.lane} within {self.wait_seconds} s")

    async def trim(self) -> None:
        """End the sessions beyond the size that nobody has used for a while. To be called every few seconds."""
        oldest = time.monotonic() - SPARE_SECONDS
        while len(self._free) > self._size and self._free[0][1] < oldest:
            await self._end(self._free.pop(0)[0])

    async def close(self) -> None:
        """End the sessions that nobody uses."""
        while self._free:
            await self._end(self._free.pop()[0])

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Any]:
        """A session that is ours alone; one that has seen an error is not given to anybody else."""
        if self._slots.locked():
            await self._wait()
        else:
            await self._slots.acquire()
        self.in_use += 1
        connection: Any = None
        try:
            connection = self._kept() or await self._connect()
            yield connection
        except BaseException:
            if connection is not None:
                connection.terminate()
            raise
        else:
            self._free.append((connection, time.monotonic()))
        finally:
            self.in_use -= 1
            self._slots.release()

    async def _wait(self) -> None:
        self.waiting += 1
        try:
            async with asyncio.timeout(self.wait_seconds):
                await self._slots.acquire()
        except TimeoutError:
            self.refuse()
        finally:
            self.waiting -= 1

    def _kept(self) -> Any:
        while self._free:
            connection, _ = self._free.pop()
            if not connection.is_closed():
                return connection
        return None

    async def _end(self, connection: Any) -> None:
        try:
            await connection.close(timeout=CLOSE_SECONDS)
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection.terminate()


class PooledStore(PostgresStore):
    """What answers reads of a service's schema: heads, histories, read tables."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(self._only_reads)
        self.pool = pool
        self._heads: Loader[UUID, StoredHead] = Loader(self._query_heads, pool.wait_seconds)

    async def fetch(self, sql: str, *values: Any) -> list[Any]:
        """One read. Raises Exhausted when all sessions are busy for too long, Unavailable when the database is."""
        try:
            return await self.pool.fetch(sql, *values)
        except Exhausted:
            raise
        except Exception as error:
            known = translated(error)
            if known is None:
                raise
            raise known from error

    async def heads(self, streams: Sequence[UUID]) -> dict[UUID, StoredHead]:
        """Committed heads of the streams that exist. Raises as `fetch`."""
        try:
            return await super().heads(streams)
        except TimeoutError:
            self.pool.refuse()

    async def drop(self) -> None:
        """Forget the sessions that nobody uses."""
        await self.pool.close()

    async def _only_reads(self) -> None:
        raise AssertionError("a lane that writes has a session of its own")


def session_limits(settings: Kernel) -> dict[str, str]:
    """The time-outs of every session of a service, in milliseconds."""
    statement = settings.db_statement_seconds * 1_000
    return {
        "statement_timeout": str(statement),
        "lock_timeout": str(min(10_000, statement * 2 // 3)),  # below it, so that a wait for a lock is told apart
        "idle_in_transaction_session_timeout": str(settings.db_idle_in_transaction_seconds * 1_000),
    }
