"""Stand-ins with a will: a clock, planned faults, ids in order, a proxy that cuts at the COMMIT, patience."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

from services.kernel.decider import Again, Ask, Call, Due, Head, Outcome
from services.kernel.envelope import StoredEvent
from services.kernel.group_commit import GroupCommit
from services.kernel.memory import Fault
from services.kernel.relay import Publisher
from services.kernel.settings import Secret
from services.kernel.vault import Wrapping
from services.kernel.vault_arrivals import ArrivalKeys, open_arrival
from services.kernel.vault_keys import MemoryKeys
from tests.support.builders import BeginCall, EndCall

DEADLINE_SECONDS = 30.0
KEK = Secret(base64.b64encode(bytes(range(32))).decode())
T = TypeVar("T")


def at_once(task: Coroutine[Any, Any, T]) -> T:
    """What comes of a coroutine that waits for nothing, with or without a loop."""
    try:
        task.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise AssertionError("it waits")


class Sealing:
    """The keys of what these partners sent, in memory, and what a person on call reads with them."""

    def __init__(self, *partners: str, tenant: str = "main") -> None:
        self.tenant = tenant
        self.store = MemoryKeys()
        self.wrapping = Wrapping(KEK, None)
        self.keys = ArrivalKeys(self.store, self.wrapping, tenant, partners, now=Clock())
        at_once(self.keys.renew())

    def opened(self, arrival_id: UUID, source: str, body: bytes, headers: bytes) -> tuple[bytes, bytes]:
        """(body, headers), as they came."""
        row = {"arrival_id": arrival_id, "source": source, "body": body, "headers": headers}
        return at_once(open_arrival(self.store, self.wrapping, tenant=self.tenant, **row))  # type: ignore[arg-type]


class Clock:
    """Goes on by a millisecond each time that somebody looks."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Ids:
    """1, 2, 3 ... as UUIDs."""

    def __init__(self, start: int = 1_000_000) -> None:
        self._next = start

    def __call__(self) -> UUID:
        self._next += 1
        return UUID(int=self._next)


class Planned:
    """A `step` that answers with a fault, once, the next time that a point is reached."""

    def __init__(self) -> None:
        self.faults: list[tuple[str, Fault]] = []
        self.reached: list[str] = []

    def plan(self, point: str, fault: Fault, times: int = 1) -> None:
        self.faults.extend([(point, fault)] * times)

    async def __call__(self, point: str) -> Fault | None:
        await asyncio.sleep(0)
        self.reached.append(point)
        for number, (at, fault) in enumerate(self.faults):
            if at == point:
                del self.faults[number]
                return fault
        return None


async def no_pause(seconds: float) -> None:
    """Time is not waited for."""
    await asyncio.sleep(0)


async def until(holds: Callable[[], Awaitable[object]], seconds: float = DEADLINE_SECONDS) -> None:
    """Poll until it holds; AssertionError when it never does."""
    end = time.monotonic() + seconds
    while not await holds():
        assert time.monotonic() < end, f"did not come to hold within {seconds:.0f} s"
        await asyncio.sleep(0.02)


class Cut(Enum):
    """Where the proxy cuts."""

    BEFORE = auto()  # the commit never reaches the server
    AFTER = auto()  # the server has committed; its answer is dropped
    LATE = auto()  # the client is cut at once, the server gets the commit when `release` is set


class Commits:
    """Which of a client's messages commit: each is one chunk, as asyncpg sends them."""

    _PREPARED = re.compile(rb"(__asyncpg_stmt_[0-9a-f]+__)\x00WITH [a-z_]+ AS \((?:INSERT|UPDATE|DELETE) ")
    _BOUND = re.compile(rb"B.{4}\x00(__asyncpg_stmt_[0-9a-f]+__)\x00", re.DOTALL)

    def __init__(self) -> None:
        self._writes: set[bytes] = set()
        self._inside = False  # a transaction that will have its COMMIT

    def seen_in(self, chunk: bytes) -> bool:
        """Whether this one does."""
        self._writes.update(self._PREPARED.findall(chunk))
        bound = self._BOUND.match(chunk)
        found = b"COMMIT;" in chunk or (bound is not None and bound[1] in self._writes and not self._inside)
        if b"BEGIN;" in chunk:
            self._inside = True
        elif b"COMMIT;" in chunk or b"ROLLBACK;" in chunk:
            self._inside = False
        return found


class Between(ABC):
    """Between asyncpg and PostgreSQL: whoever serves a connection says what happens on it."""

    def __init__(self, dsn: str) -> None:
        self._to = urlsplit(dsn)
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """The DSN through it."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        userinfo = self._to.netloc.rpartition("@")[0]
        try:
            yield urlunsplit(self._to._replace(netloc=f"{userinfo}@127.0.0.1:{port}"))
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()

    @abstractmethod
    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first byte to its end."""


class CommitProxy(Between):
    """`plan` names what happens to the next commits: the COMMIT of a transaction, or the write that is its own."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn)
        self.plan: list[Cut] = []
        self.cuts = 0
        self.release = asyncio.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        up_reader, up_writer = await asyncio.open_connection(self._to.hostname, self._to.port)
        down = asyncio.create_task(_pump(up_reader, writer))
        self._tasks.add(down)
        commits = Commits()
        try:
            while chunk := await reader.read(65536):
                if commits.seen_in(chunk) and self.plan:
                    down.cancel()
                    await self._cut(self.plan.pop(0), chunk, writer, up_reader, up_writer)
                    return
                up_writer.write(chunk)
                await up_writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            down.cancel()
            writer.close()
            up_writer.close()

    async def _cut(
        self,
        cut: Cut,
        chunk: bytes,
        writer: asyncio.StreamWriter,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
    ) -> None:
        self.cuts += 1
        if cut is Cut.LATE:
            writer.close()
            await self.release.wait()
        if cut is not Cut.BEFORE:
            up_writer.write(chunk)
            await up_reader.read(1)  # the server has answered: it is committed


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()


class BrokenAcknowledgement:
    """A publisher whose next `times` calls fail, before or after the records were sent."""

    def __init__(self, publisher: Publisher, *, after: bool, times: int = 1) -> None:
        self._publisher = publisher
        self._after = after
        self._times = times

    async def publish(self, events: Sequence[StoredEvent]) -> list[int]:
        fails, self._times = self._times > 0, self._times - 1
        never = await self._publisher.publish(events) if self._after or not fails else []
        if fails:
            raise ConnectionError("planted")
        return never


class Bell:
    """A call that counts who was rung, and answers what it was told to."""

    name = "ring"

    def __init__(self, answer: Again | str = "rang", during: Callable[[], Awaitable[None]] | None = None) -> None:
        self.rung: list[UUID] = []
        self.answer = answer
        self._during = during

    def intent(self, due: Due) -> Ask:
        return Ask(due.stream_id, BeginCall(due.attempts))

    def proceeds(self, outcome: Outcome) -> bool:
        return bool(outcome.events)

    def waits(self, _due: Due, _outcome: Outcome) -> Again | None:
        return None

    async def call(self, items: Sequence[tuple[Due, Head]]) -> Sequence[Ask | Again]:
        self.rung.extend(due.stream_id for due, _ in items)
        if self._during:
            await self._during()
        return [self._told(due) for due, _ in items]

    def _told(self, due: Due) -> Ask | Again:
        return self.answer if isinstance(self.answer, Again) else Ask(due.stream_id, EndCall(self.answer))


_: type[Call] = Bell


@asynccontextmanager
async def committing(commands: GroupCommit) -> AsyncIterator[None]:
    """With its loop running."""
    running = asyncio.create_task(commands.run())
    try:
        yield
    finally:
        running.cancel()
