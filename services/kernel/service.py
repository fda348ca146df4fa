"""A service as a value, and the lanes that one process of it runs: HTTP, consumers, projectors, workers, the relay.

Each lane has a connection of its own and one transaction at a time. After a commit the engine wakes the relay and the
worker in memory; their slow polls are the backstop for another process of the same service.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from services.kernel import expiry, metrics
from services.kernel.bus import PACE_SECONDS, KafkaPublisher, KafkaSubscription
from services.kernel.consumer import Consumer, Inbox
from services.kernel.decider import Call, Decider
from services.kernel.effects import Worker
from services.kernel.engine import Beside, Engine, Moved
from services.kernel.event_store import PostgresStore, connector
from services.kernel.following import Fatal, Following, Lane, ProjectionLane
from services.kernel.group_commit import GroupCommit
from services.kernel.health import Check, Health
from services.kernel.ids import new_id
from services.kernel.operations import REGISTRY_LANE, projection_lane
from services.kernel.outbox import PostgresOutbox
from services.kernel.parts import Part
from services.kernel.pool import Pool, PooledStore, session_limits
from services.kernel.pressure import Pressure
from services.kernel.projector import Projection, Projector, Standing
from services.kernel.relay import SEND_SECONDS_MAX, Relay
from services.kernel.settings import Kernel
from services.kernel.store import Write
from services.kernel.telemetry import logger

GAUGE_SECONDS = 5.0
LATE_SECONDS_MAX = 120.0  # so far behind nobody gives way any more
RELAY_SESSION = {"idle_session_timeout": str(int((SEND_SECONDS_MAX + 5) * 1_000))}  # ends a leader that hangs
EXIT_CRASH = 70  # EX_SOFTWARE: the supervisor starts the process again
_LOG = logger("service")
COMMANDS = "http"  # the lane of group commit
PROBE_SECONDS = 1  # a probe and a scrape have a session of their own, and give up sooner than who asks them
EFFECT_KIND, EFFECT_DUE = 2, 4  # columns of the part `effects`
SOON = timedelta(seconds=1)  # what is due later is found by the worker's poll: a wake is no reason to look now
Task = tuple[str, Callable[[], Coroutine[Any, Any, None]]]


@dataclass(frozen=True, kw_only=True)
class Service:
    """What a service is: its deciders, what it listens to, its read tables, its outside calls."""

    name: str
    schema: str
    topic: str
    deciders: tuple[Decider[Any, Any, Any], ...]
    inbox: Inbox | None = None
    projections: tuple[Projection, ...] = ()
    parts: tuple[Part, ...] = ()
    also_of: Mapping[type, Beside] = field(default_factory=dict)
    read_accounts: Callable[[Any, list[str]], Any] | None = None  # name -> row, also of what is not there yet
    moved: Moved = lambda event, look: {}
    worker: str | None = None  # of its calls, in worker_runs_total; None: the service's own name
    committed: Callable[[Write], None] | None = None  # counts what became true, once
    pace_seconds: float = PACE_SECONDS  # between two fetches of a consumer: longer for a service that may be behind


class Runtime:
    """One process of a service: its lanes, wired by hand."""

    def __init__(self, service: Service, settings: Kernel, calls: Sequence[Call] = ()) -> None:
        self.service = service
        self.settings = settings
        self.actor = f"service:{service.name}"
        self.publisher = KafkaPublisher(
            settings.kafka_bootstrap, f"/corridor/{service.name}", settings.partitions, settings.epoch
        )
        self.relay = Relay(PostgresOutbox(self._connector("relay", **RELAY_SESSION)), self.publisher, self._published)
        self.pool = Pool.of(settings, service.schema, "reads", overflow=settings.db_pool_overflow)
        self.reads = PooledStore(self.pool)
        self.reading = self._engine(self.reads)  # heads and histories, for answers
        self.probes = self.store("probes", statement_timeout=str(PROBE_SECONDS * 1_000))
        self.commands = self._commands()
        self.workers = {
            kind: self._worker(kind, calls if kind == "call" else ())
            for kind in ("wake", "call")
            if kind == "wake" or calls
        }
        self.subscriptions: list[KafkaSubscription] = []
        self._pressure = Pressure()
        self._late_seconds = 0.0  # of the consumer that is furthest behind
        metrics.prepare_service(service.name)

    def store(self, lane: str, **more: str) -> PostgresStore:
        """A lane's connection; `more` are settings of its session, which win."""
        return PostgresStore(self._connector(lane, **more), self.service.parts, self.service.read_accounts)

    def engine(self, lane: str) -> Engine:
        """An engine on a lane of its own."""
        return self._engine(self.store(lane))

    def _commands(self) -> GroupCommit:
        settings = self.settings
        engine = self.engine(COMMANDS)
        lane = metrics.measure_lane(COMMANDS, 1, lambda: self.commands.busy, lambda: self.commands.waiting)
        wait, units = settings.db_pool_timeout_seconds, settings.db_commands_waiting_max
        return GroupCommit(engine, wait_seconds=wait, units_max=units, refused=lane.inc)

    def _engine(self, store: PostgresStore) -> Engine:
        service = self.service
        return Engine(
            store,
            service.deciders,
            service.topic,
            new_id,
            also_of=service.also_of,
            moved=service.moved,
            committed=self._committed,
            measured=_measured,
            retried=_retried,
        )

    def session(self, lane: str) -> Callable[[], Any]:
        """Opens a connection for a caller who keeps it: what is locked in it is free when it ends."""
        return self._connector(lane)

    def _connector(self, lane: str, **more: str) -> Callable[[], Any]:
        """The one place where a lane gets its session: connections.py adds them all up."""
        metrics.POOL_SIZE.labels(lane).set(1)
        name = f"corridor {self.service.name} {lane}"
        limits = session_limits(self.settings) | more
        return connector(self.settings.database_url.reveal(), self.service.schema, name, **limits)

    def _committed(self, write: Write) -> None:
        events = write.rows.get("events")
        if events:
            metrics.EVENTS_WRITTEN.labels(self.service.name).inc(len(events))
            self.relay.wake()
        if self.service.committed is not None:
            self.service.committed(write)
        soon = datetime.now(UTC) + SOON
        for kind in {row[EFFECT_KIND] for row in write.rows.get("effects", ()) if row[EFFECT_DUE] <= soon}:
            self.workers[kind].wake()

    def _published(self, count: int) -> None:
        metrics.RELAY_PUBLISHED.inc(count)

    def _worker(self, kind: str, calls: Sequence[Call]) -> Worker:
        def counted(name: str, result: str, count: int) -> None:
            metrics.SIDE_EFFECTS.labels(name, result).inc(count)

        def ran(result: str) -> None:
            metrics.WORKER_RUNS.labels(worker, result).inc()

        engine, settings = self.engine(f"worker-{kind}"), self.settings
        worker = f"{self.service.name}-wakes" if kind == "wake" else self.service.worker or self.service.name
        metrics.prepare_worker(worker)
        return Worker(
            engine.store, engine, self.actor, calls,
            lease_seconds=settings.effect_lease_seconds, batch_max=settings.worker_concurrency, counted=counted,
            ran=ran,
        )  # fmt: skip

    def tasks(self) -> list[Task]:
        """Everything that runs beside HTTP; a task that ends takes the process down."""
        found: list[Task] = [("commands", self.commands.run), ("relay", self._relay), ("backlog", self._gauge)]
        found.append(("expiry", partial(expiry.run, self.store("expiry"))))
        for kind, worker in self.workers.items():
            found.append((f"worker-{kind}", partial(worker.run, kind)))
        if self.service.inbox is not None:
            found.append(("consumer", lambda: self._consume(self.service.inbox, self.engine("consumer"))))
        if self.service.projections:
            following = Following(self.store(REGISTRY_LANE), self.service.projections, self._project, fatal)
            found.append(("projections", following.run))
        return found

    async def _relay(self) -> None:
        await self.publisher.connected()
        await self.relay.run()

    async def _consume(self, inbox: Inbox | None, lane: Engine) -> None:
        assert inbox is not None
        positions = self.store("consumer positions")
        await self._subscribe(
            Consumer(inbox, lane, positions, self.actor, epoch=self.settings.epoch, counted=_counted(inbox.name))
        )

    def _project(self, projection: Projection, version: int, failed: Fatal) -> Lane:
        lane_name = projection_lane(projection.name, version)
        lane = PostgresStore(self._connector(lane_name), projection.parts(version))
        standing = Standing() if projection.opens else None
        inbox = projection.inbox(self.service.name, version, standing)
        projector = Projector(lane, projection, version, standing)
        counted = _counted(inbox.name)
        consumer = Consumer(
            inbox, projector, projector, self.actor, epoch=self.settings.epoch, counted=counted, all_later=True
        )
        return ProjectionLane(self._subscription(consumer, failed), lane, partial(self._forget, lane_name))

    async def _subscribe(self, consumer: Consumer) -> None:
        await self._subscription(consumer, fatal).run()

    def _subscription(self, consumer: Consumer, failed: Fatal) -> KafkaSubscription:
        metrics.prepare_consumer(consumer.inbox.name, consumer.inbox.topics)
        settings, pace = self.settings, self.service.pace_seconds
        where, instance = settings.kafka_bootstrap, settings.instance
        subscription = KafkaSubscription(where, consumer, failed, instance, pace_seconds=pace, holds=self._gives_way)
        self.subscriptions.append(subscription)
        return subscription

    def _gives_way(self) -> bool:
        """While the machine is full, who may wait does; but not until somebody misses it."""
        return self.settings.niceness > 0 and self._late_seconds < LATE_SECONDS_MAX and self._pressure.is_full()

    def _forget(self, lane: str, subscription: KafkaSubscription) -> None:
        """It has ended, and so have its lag and its session."""
        metrics.POOL_SIZE.remove(lane)
        self.subscriptions.remove(subscription)
        for gauge in (metrics.CONSUMER_LAG, metrics.CONSUMER_LAG_SECONDS):
            gauge.remove_by_labels({"consumer": subscription.name})

    async def close(self) -> None:
        """Leave the consumer groups, so that another member takes over at once; correctness does not need it."""
        await asyncio.gather(*(each.stop() for each in self.subscriptions), return_exceptions=True)

    async def _gauge(self) -> None:
        """What waits: the outbox and its age, parked streams, lag. Every few seconds, so that it costs nothing."""
        while True:
            try:
                await self._measure()
            except Exception as error:  # noqa: BLE001 - what only measures never ends the process
                _LOG.warning("not_measured", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(GAUGE_SECONDS)

    async def _measure(self) -> None:
        await self.pool.trim()
        count, age, parked, stuck = (await self.probes.fetch(BACKLOG))[0]
        metrics.OUTBOX_BACKLOG.set(count)
        metrics.OUTBOX_OLDEST_SECONDS.set(age)
        metrics.PARKED_STREAMS.set(parked)
        metrics.OUTBOX_STUCK.set(stuck)
        late = 0.0
        for subscription in tuple(self.subscriptions):
            for topic, (records, seconds) in subscription.behind().items():
                late = max(late, seconds)
                metrics.CONSUMER_LAG.labels(subscription.name, topic).set(records)
                metrics.CONSUMER_LAG_SECONDS.labels(subscription.name, topic).set(seconds)
        self._late_seconds = late

    def health(self) -> Health:
        """Readiness: the database at the code's revision; consumers are named apart, HTTP never waits for Kafka."""
        listens = self.service.inbox or self.service.projections
        consumers = {"kafka": Check(self._consuming, required=False)} if listens else {}
        return Health(database=self._database, migrations=self._migrated, others=consumers)

    async def _database(self) -> object:
        return await self.probes.fetch("SELECT 1")

    async def _migrated(self) -> bool:
        rows = await self.probes.fetch("SELECT version_num FROM public.alembic_version")
        return [row[0] for row in rows] == [SCHEMA_HEAD]

    async def _consuming(self) -> bool:
        return bool(self.subscriptions) and all(each.ready.is_set() for each in self.subscriptions)


SCHEMA_HEAD = "0009"  # the newest migration; a test compares it with alembic's head
BACKLOG = """
    SELECT (SELECT coalesce(sum(cardinality(seqs)), 0) FROM outbox),
           coalesce((SELECT extract(epoch FROM now() - e.recorded_at)::float8
                     FROM (SELECT first_seq AS global_seq FROM outbox ORDER BY first_seq LIMIT 1) o
                     JOIN event e USING (global_seq)), 0),
           (SELECT count(*) FROM stream_cursor WHERE parked)
               + (SELECT count(*) FROM parked_event WHERE resolved_at IS NULL AND stream_id IS NULL),
           (SELECT count(*) FROM outbox_stuck)"""


def _measured(asks: int, seconds: float) -> None:
    metrics.ENGINE_SIZE.observe(asks)
    metrics.ENGINE_SECONDS.observe(seconds)


def _retried(reason: str) -> None:
    metrics.ENGINE_RETRIES.labels(reason).inc()


def _counted(consumer: str) -> Callable[[str, int], None]:
    def counted(result: str, count: int) -> None:
        metrics.CONSUMER_RECORDS.labels(consumer, result).inc(count)

    return counted


def fatal(error: BaseException) -> None:
    """Nothing that correctness needs is cleaned up: the process ends at once and is started again."""
    _LOG.critical("fatal", exc_info=error)
    os._exit(EXIT_CRASH)
