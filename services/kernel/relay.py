"""The relay: outbox -> Kafka. One leader per service, no cursor: what is still in the outbox has not been acknowledged.

All acknowledged: the next take deletes all, in the same round trip. Anything else: the process exits and is started
again. A repeat is possible, a gap is not.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from services.kernel import semconv, tracing
from services.kernel.codec import decode_meta
from services.kernel.envelope import StoredEvent
from services.kernel.pace import Pace
from services.kernel.store import Unavailable

BATCH_EVENTS_MAX = 500
SEND_SECONDS_MAX = 30.0  # an idempotent send never expires by itself: past this the process exits
PACE_SECONDS = 0.04  # what is committed meanwhile goes in one request; a twentieth of the p99 that a transfer may take
POLL_SECONDS = 1.0  # the backstop: another process of the service may have written
LEAD_SECONDS = 0.5  # between two tries for the lock

_NO_STEP = nullcontext()
_log = logging.getLogger("corridor.relay")


def _step(events: Sequence[StoredEvent]) -> AbstractContextManager[object]:
    """The span of a batch, linked to each of its events. Nothing is looked at unless spans are exported."""
    if tracing.exporter is None:
        return _NO_STEP
    said: dict[str, str | int] = {
        semconv.MESSAGING_SYSTEM: semconv.KAFKA, semconv.MESSAGING_OPERATION: "send",
        semconv.MESSAGING_COUNT: len(events),
    }  # fmt: skip
    return tracing.joined("send", (decode_meta(event.meta).traceparent for event in events), "producer", said)


class Outbox(Protocol):
    """What the relay needs of the store; lock, read and delete share one connection."""

    async def lead(self) -> bool:
        """Whether this connection holds the service's relay lock now. Raises Unavailable."""

    async def take(self, limit: int) -> list[StoredEvent]:
        """Delete what was acknowledged; the first events of the rest, in store order, no stream that is stuck."""

    def acknowledged(self, sequences: Sequence[int]) -> None:
        """Of the last take; the next one deletes them."""

    async def stuck(self, sequences: Sequence[int]) -> None:
        """They can never be sent: their streams wait for a person, the others go on."""


class Publisher(Protocol):
    """What the relay needs of the bus."""

    async def publish(self, events: Sequence[StoredEvent]) -> list[int]:
        """Send all in order per partition and wait for every acknowledgement. Returns those that can never be sent."""


class Relay:
    """Publishes every event as it is stored."""

    def __init__(
        self,
        outbox: Outbox,
        publisher: Publisher,
        published: Callable[[int], None] = lambda count: None,
        pace: Pace | None = None,
    ) -> None:
        self._outbox = outbox
        self._publisher = publisher
        self._published = published
        self._pace = pace or Pace(PACE_SECONDS)
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Something was committed."""
        self._wake.set()

    async def run(self) -> None:
        """Lead when nobody else does, then relay until something fails; failing ends the process."""
        while not await self._leads():  # noqa: ASYNC110 - another process ends; nothing tells us
            await asyncio.sleep(LEAD_SECONDS)
        while True:
            await self._pace.turn()
            self._wake.clear()
            taken = await self.step()
            if taken >= BATCH_EVENTS_MAX:
                self._pace.hurry()
            if not taken:
                await self._idle()

    async def _leads(self) -> bool:
        try:
            return await self._outbox.lead()
        except Unavailable as away:  # nothing was lost yet: what is committed waits in the outbox
            _log.warning("the database is away: %s", away)
            return False

    async def step(self) -> int:
        """Relay one batch; how many events it was. TimeoutError when the broker does not acknowledge in time."""
        events = await self._outbox.take(BATCH_EVENTS_MAX)
        if not events:
            return 0
        with _step(events):
            async with asyncio.timeout(SEND_SECONDS_MAX):  # wait_for loses a cancel that meets the answer (3.11)
                never = set(await self._publisher.publish(events))
        if never:
            await self._outbox.stuck(sorted(never))
        self._outbox.acknowledged([event.global_seq for event in events if event.global_seq not in never])
        self._published(len(events) - len(never))
        return len(events)

    async def _idle(self) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return
