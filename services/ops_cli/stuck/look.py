"""The whole look: one session that can only read, a short transaction for each check, a limit of time for each.

A check that fails is told as such, and the others go on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
from aiokafka.errors import KafkaError

from services.kernel.group_lag import Stand
from services.kernel.store import Unavailable
from services.ops_cli.catalog import SCHEMA_OF
from services.ops_cli.stuck import lag, queues, streams
from services.ops_cli.stuck.findings import Findings, Report
from services.ops_cli.stuck.machines import Machine, machines

CONNECT_SECONDS = 5.0
WHOLE_SECONDS = 300.0  # all checks together; the next one is due in half an hour
TROUBLE = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, Unavailable, KafkaError)
WHAT = "everything in PostgreSQL"
LAG = "lag of consumers"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Where to look, and for what. `dsn`: of a role that reads only. `seconds`: of each check."""

    dsn: str = field(repr=False)
    bootstrap: str | None
    epoch: int = 1
    older_than: timedelta | None = None  # None: for each type its own deadline
    most: int = 100
    seconds: float = 30.0
    machines: Sequence[Machine] | None = None  # None: those of this release
    at: datetime | None = None  # None: the database's time


async def look(wanted: Wanted) -> Report:
    """What is stuck. Raises nothing for what is away: the report says what could not be checked."""
    report = Report(findings=Findings(wanted.most), older_than=wanted.older_than)
    try:
        connection = await _connected(wanted)
    except TROUBLE as error:
        report.missed(WHAT, _words(error))
        report.missed(LAG, "their positions are in PostgreSQL")
        return report
    try:
        await _Looking(wanted, connection, report).all()
    finally:
        connection.terminate()
    return report


async def _connected(wanted: Wanted) -> asyncpg.Connection[Any]:
    settings = {
        "application_name": "corridor stuck detection",
        "default_transaction_read_only": "on",
        "statement_timeout": str(int(wanted.seconds * 1_000)),
        "lock_timeout": "2000",
        "jit": "off",
        "timezone": "UTC",
    }
    return await asyncpg.connect(wanted.dsn, server_settings=settings, timeout=CONNECT_SECONDS)


class _Looking:
    def __init__(self, wanted: Wanted, connection: asyncpg.Connection[Any], report: Report) -> None:
        self._wanted = wanted
        self._connection = connection
        self._report = report
        self._ends = time.monotonic() + WHOLE_SECONDS
        self._stands: dict[str, Sequence[Stand]] = {}

    async def all(self) -> None:
        """Every check; the order is that in which they explain each other."""
        if not await self._checked(WHAT, self._ask_time):
            self._report.missed(LAG, "their positions are in PostgreSQL")
            return
        by_service = self._machines()
        for service, schema in SCHEMA_OF.items():
            await self._of_schema(service, schema, by_service.get(service, ()))
        await self._checked("reviews", partial(self._within, SCHEMA_OF[queues.REVIEW_SERVICE], self._reviews))
        if self._wanted.bootstrap is None:
            self._report.missed(LAG, "the context does not say where the broker is")
        elif self._stands:
            await self._checked(LAG, self._lag)

    def _machines(self) -> Mapping[str, tuple[Machine, ...]]:
        found = self._wanted.machines if self._wanted.machines is not None else machines()
        return {service: tuple(each for each in found if each.service == service) for service in SCHEMA_OF}

    async def _of_schema(self, service: str, schema: str, found: tuple[Machine, ...]) -> None:
        known = streams.Known.of(found)
        for queue in queues.QUEUES:
            work = partial(self._queue, queue, service)
            await self._checked(f"{queue.type} of {service}", partial(self._within, schema, work))
        await self._checked(
            f"states of {service}", partial(self._within, schema, partial(self._states, service, known))
        )
        await self._checked(
            f"positions of {service}", partial(self._within, schema, partial(self._standing, service, schema))
        )

    async def _checked(self, check: str, work: Callable[[], Awaitable[None]]) -> bool:
        """Whether it could be done."""
        left = self._ends - time.monotonic()
        if left <= 0:
            self._report.missed(check, f"no time was left of {WHOLE_SECONDS:.0f} s")
            return False
        try:
            async with asyncio.timeout(min(self._wanted.seconds, left)):
                await work()
        except TROUBLE as error:
            self._report.missed(check, _words(error))
            return False
        return True

    @asynccontextmanager
    async def _reading(self, schema: str) -> AsyncIterator[None]:
        async with self._connection.transaction(readonly=True):
            await self._connection.execute("SELECT set_config('search_path', $1, true)", schema)
            yield

    async def _within(self, schema: str, work: Callable[[datetime], Awaitable[None]]) -> None:
        assert self._report.at is not None
        async with self._reading(schema):
            await work(self._report.at)

    async def _ask_time(self) -> None:
        told: datetime = await self._connection.fetchval("SELECT now()")
        self._report.at = self._wanted.at or told

    async def _queue(self, queue: queues.Queue, service: str, at: datetime) -> None:
        await queues.look(self._connection, queue, service, self._report, at, self._wanted.most)

    async def _states(self, service: str, known: streams.Known, at: datetime) -> None:
        await streams.look(self._connection, service, known, self._report, at)

    async def _reviews(self, at: datetime) -> None:
        await queues.reviews(self._connection, self._report, at, self._wanted.most)

    async def _standing(self, service: str, schema: str, _at: datetime) -> None:
        if found := await lag.standing(self._connection, service, schema, self._wanted.epoch):
            self._stands[service] = found

    async def _lag(self) -> None:
        assert self._report.at is not None
        assert self._wanted.bootstrap is not None
        await lag.look(self._wanted.bootstrap, self._stands, self._report, self._report.at)


def _words(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".rstrip(": ").split())[:200]
