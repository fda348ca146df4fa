"""Which versions of its read tables a process keeps up to date: the live one, and one that is made beside it.

The registry says which; it is looked at about every second, so a swap needs no restart. A version that is not live yet
ends nothing but itself when it fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from services.kernel.bus import KafkaSubscription
from services.kernel.event_store import PostgresStore
from services.kernel.projector import Projection
from services.kernel.store import Unavailable
from services.kernel.telemetry import logger

LOOK_SECONDS = 1.0
STOP_SECONDS = 10.0  # for a lane that waits for its store; then it is cut off
FOLLOWED = "SELECT name, version, status FROM projection_registry WHERE status IN ('catching_up', 'ready', 'live')"
_LOG = logger("following")

Version = tuple[str, int]  # of a projection, by its name
Fatal = Callable[[BaseException], None]


class Lane(Protocol):
    """A consumer of one version, running."""

    async def run(self) -> None:
        """Until it is cancelled."""

    async def stop(self) -> None:
        """Leave its group, with its position stored."""


class ProjectionLane:
    """The consumer of one version, with the session that it writes by."""

    def __init__(
        self, subscription: KafkaSubscription, store: PostgresStore, ended: Callable[[KafkaSubscription], None]
    ) -> None:
        self._subscription = subscription
        self._store = store
        self._ended = ended

    async def run(self) -> None:
        """See Lane."""
        await self._subscription.run()

    async def stop(self) -> None:
        """See Lane."""
        try:
            await self._subscription.stop()
        finally:
            self._ended(self._subscription)
            await self._store.drop()


@dataclass(frozen=True, slots=True)
class _Running:
    lane: Lane
    task: asyncio.Task[None]


class Following:
    """The lanes of one process for all projections of its service."""

    def __init__(
        self,
        store: PostgresStore,
        projections: Sequence[Projection],
        begin: Callable[[Projection, int, Fatal], Lane],
        fatal: Fatal,
    ) -> None:
        """`begin` makes the lane of a version; `fatal` ends the process when a live one cannot go on."""
        self._store = store
        self._projections = {each.name: each for each in projections}
        self._begin = begin
        self._fatal = fatal
        self._lanes: dict[Version, _Running] = {}
        self._given_up: set[Version] = set()
        self._live: set[Version] = set()

    async def run(self) -> None:
        """Look, start and end lanes. Raises what ended a live one, and LookupError when a projection has none."""
        try:
            while True:
                with suppress(Unavailable):
                    await self.look()
                await self._notice()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for running in self._lanes.values():
                running.task.cancel()
            await self._store.drop()  # by this session others see that somebody follows

    async def look(self) -> None:
        """One look at the registry. Raises Unavailable."""
        rows = [row for row in await self._store.fetch(FOLLOWED) if row[0] in self._projections]
        self._live = {(name, version) for name, version, status in rows if status == "live"}
        if unmade := self._projections.keys() - {name for name, _ in self._live}:
            raise LookupError(f"no live version of {', '.join(sorted(unmade))}")
        wanted = {(name, version) for name, version, _ in rows}
        self._given_up &= wanted - self._live
        for at in sorted(wanted - self._lanes.keys() - self._given_up):
            self._start(at)
        for at in sorted(self._lanes.keys() - wanted):
            await self._end(at)

    def _start(self, at: Version) -> None:
        name, version = at
        lane = self._begin(self._projections[name], version, lambda error: self._failed(at, error))
        self._lanes[at] = _Running(lane, asyncio.create_task(lane.run(), name=f"projector-{name}-v{version}"))
        _LOG.info("projection_followed", projection=name, version=version)

    async def _end(self, at: Version) -> None:
        running = self._lanes.pop(at)
        running.task.cancel()  # before it is stopped: it watches its client
        await asyncio.wait([running.task], timeout=STOP_SECONDS)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await running.lane.stop()
        except Exception as error:  # noqa: BLE001 - nobody needs it any more
            _LOG.warning("projection_not_stopped", projection=at[0], version=at[1], error=str(error))
        _LOG.info("projection_left", projection=at[0], version=at[1])

    def _failed(self, at: Version, error: BaseException) -> None:
        if at in self._live:
            self._fatal(error)
        if at not in self._given_up:
            self._given_up.add(at)
            _LOG.error("projection_given_up", projection=at[0], version=at[1], error=str(error))

    async def _notice(self) -> None:
        """A lane that ended by itself, or that gave up."""
        for at, running in self._lanes.items():
            if running.task.done():
                self._failed(at, running.task.exception() or RuntimeError("a projector ended"))
                if at in self._live:
                    running.task.result()
        for at in sorted(self._given_up & self._lanes.keys()):
            await self._end(at)
