"""A process of a service, to be killed: python member.py relay|consume BOOTSTRAP DSN SCHEMA [WHEN].

A relay may kill itself `before` the send or `after` the acknowledgement; a consumer dies of the poison in its records.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

from services.kernel.bus import KafkaPublisher, KafkaSubscription
from services.kernel.consumer import Consumer
from services.kernel.envelope import StoredEvent
from services.kernel.relay import Relay
from tests.integration.kernel.backends import Postgres
from tests.support.builders import inbox
from tests.support.fakes import until

PARTITIONS = 4


class Deadly:
    """Publishes, and ends the process before or after it."""

    def __init__(self, publisher: KafkaPublisher, when: str) -> None:
        self._publisher = publisher
        self._when = when

    async def publish(self, events: Sequence[StoredEvent]) -> list[int]:
        if self._when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        never = await self._publisher.publish(events)
        if self._when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return never


async def relay(bootstrap: str, postgres: Postgres, when: str) -> None:
    outbox = postgres.outbox()
    await until(outbox.lead)
    publisher = KafkaPublisher(bootstrap, "/corridor/jar", PARTITIONS, 1)
    running = Relay(outbox, Deadly(publisher, when))
    while await running.step():
        pass
    await publisher.stop()


async def consume(bootstrap: str, postgres: Postgres) -> None:
    engine = postgres.engine()
    consumer = Consumer(inbox(), engine, postgres.lane(), "mirror")
    await KafkaSubscription(bootstrap, consumer, lambda error: os._exit(3)).run()


if __name__ == "__main__":
    what, address, dsn, schema, *more = sys.argv[1:]
    service = Postgres(dsn, schema)
    asyncio.run(relay(address, service, more[0]) if what == "relay" else consume(address, service))
