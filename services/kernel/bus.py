"""Kafka: FastStream wires the consumer, the relay uses aiokafka's producer. No default that loses messages is left."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import (
    ConsumerStoppedError,
    IllegalStateError,
    KafkaError,
    MessageSizeTooLargeError,
    NoOffsetForPartitionError,
)
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage

from services.kernel.consumer import Consumer
from services.kernel.envelope import StoredEvent, headers_of
from services.kernel.lag import Behind, Lag
from services.kernel.partition import partition_of
from services.kernel.poll import Record
from services.kernel.store import Partition

BATCH_BYTES = 128 * 1024  # of a partition in one request, either way: it bounds what a process holds
RECORD_BYTES_MAX = 1000 * 1024  # the topics take 1 MiB; aiokafka takes a first record of any size into a batch
POLL_RECORDS_MAX = 500
SILENCE_SECONDS_MAX = 30.0  # without a poll the process ends: aiokafka may never recover (its issues 376, 847)
PACE_SECONDS = 0.08  # between the beginnings of two fetches: what arrives meanwhile is one batch and not ten
AWAY_SECONDS = 0.5  # between two tries for a broker that is away
HOLD_SECONDS = 5.0  # between two fetches of who gives way while the machine is full
WAIT_MS = 500  # of a poll for a first record; one that stays empty is followed by a sleep of FastStream's
SINGLE_MS = 2_000  # for one record that is known to be there
HINT_SECONDS = 1.0  # positions are stored, and Kafka hears of them, this often; its own are only for lag displays
# Members that died unseen are waited for this long when others join. It must stay below the client's request time-out:
# a JoinGroup that is given up leaves one more member behind that will never answer, and the group never settles.
REBALANCE_MS, REQUEST_MS = 8_000, 30_000
GetMany = Callable[..., Awaitable[Any]]

_log = logging.getLogger("corridor.bus")


class KafkaPublisher:
    """Publishes stored events in order, each to its explicit partition, in batches that we fill ourselves."""

    def __init__(self, bootstrap: str, source: str, partitions: int, epoch: int) -> None:
        self._bootstrap = bootstrap
        self._source = source
        self._partitions = partitions
        self._epoch = epoch
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect; raises KafkaConnectionError."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            acks="all",
            enable_idempotence=True,
            max_batch_size=BATCH_BYTES,
            linger_ms=0,
            request_timeout_ms=20_000,
            metadata_max_age_ms=60_000,
        )
        await self._producer.start()

    async def connected(self) -> None:
        """Wait for the broker, for as long as it takes: until then what is committed waits in the outbox."""
        while True:
            try:
                await self.start()
            except (KafkaError, OSError) as error:
                _log.warning("kafka is away: %s", error)
                await self.stop()
                await asyncio.sleep(AWAY_SECONDS)
            else:
                return

    async def publish(self, events: Sequence[StoredEvent]) -> list[int]:
        """Fill a batch per partition, in order; wait for all acknowledgements."""
        if self._producer is None:
            await self.start()
        producer = self._producer
        assert producer is not None
        never: list[int] = []
        waits = [
            await producer.send_batch(batch, topic, partition=at) for topic, at, batch in self._batches(events, never)
        ]
        await asyncio.gather(*waits)
        return never

    def _batches(self, events: Sequence[StoredEvent], never: list[int]) -> list[tuple[str, int, Any]]:
        assert self._producer is not None
        full: list[tuple[str, int, Any]] = []
        filling: dict[Partition, Any] = {}
        stuck: set[UUID] = set()
        for event in events:
            if event.stream_id in stuck or len(event.data) + 2 * len(event.meta) > RECORD_BYTES_MAX:
                stuck.add(event.stream_id)  # with what follows: a gap on the topic would park it at every reader
                never.append(event.global_seq)
                continue
            key = str(event.record_key).encode()
            at = (event.topic, partition_of(key, self._partitions))
            batch = filling.get(at) or filling.setdefault(at, self._producer.create_batch())
            if self._append(batch, event, key):
                continue
            full.append((*at, filling.pop(at)))
            batch = filling[at] = self._producer.create_batch()
            if not self._append(batch, event, key):
                never.append(event.global_seq)
        full.extend((topic, partition, batch) for (topic, partition), batch in filling.items() if batch.record_count())
        for _, _, batch in full:
            batch.close()
        return full

    def _append(self, batch: Any, event: StoredEvent, key: bytes) -> bool:
        when = int(event.occurred_at.timestamp() * 1000)
        try:
            appended = batch.append(
                timestamp=when, key=key, value=event.data, headers=headers_of(event, self._source, self._epoch)
            )
        except MessageSizeTooLargeError:
            return False
        return appended is not None

    async def stop(self) -> None:
        """Leave quietly; a producer that does not answer is left behind."""
        if self._producer is not None:
            async with asyncio.timeout(5):
                await self._producer.stop()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Revoked forgets our positions once the batch in hand is done; assigned reads them from the store and seeks."""

    def __init__(self, subscription: KafkaSubscription) -> None:
        self._subscription = subscription

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        async with self._subscription.lock:
            await self._subscription.revoked()

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        await self._subscription.assigned([(each.topic, each.partition) for each in assigned])


class KafkaSubscription:
    """One consumer group of a service, fed to a Consumer. Anything unexpected ends the process through `fatal`."""

    def __init__(
        self,
        bootstrap: str,
        consumer: Consumer,
        fatal: Callable[[BaseException], None],
        instance: str | None = None,
        *,
        pace_seconds: float = PACE_SECONDS,
        holds: Callable[[], bool] = lambda: False,
    ) -> None:
        """`instance`, unique among the processes of the service: a process started again under the same one takes over
        its predecessor's partitions at once, where the group would wait for the session of the dead to end (and the
        embedded broker for ever). aiokafka does not understand being fenced, so two must never share one.

        `pace_seconds`: between the beginnings of two fetches. `holds` says whether to hold back now, though there is
        more than one poll takes: then they are HOLD_SECONDS apart."""
        self._consumer = consumer
        self._fatal = fatal
        self._pace_seconds = pace_seconds
        self._holds = holds
        self.lock = consumer.lock
        self.polled_at = time.monotonic()
        self._failed_at: dict[Partition, int] | None = None
        self._hinted_at = 0.0
        self.name = consumer.inbox.name
        self.ready = asyncio.Event()  # set with the first assignment
        self._lag = Lag()
        self._broker = KafkaBroker(
            bootstrap, allow_auto_create_topics=False, graceful_timeout=25, logger=None, apply_types=False,
            ack_policy=AckPolicy.MANUAL, request_timeout_ms=REQUEST_MS,
        )  # fmt: skip
        self._subscriber = self._broker.subscriber(
            *consumer.inbox.topics,
            batch=True,
            group_id=f"corridor.{consumer.inbox.name}",
            group_instance_id=instance,
            ack_policy=AckPolicy.MANUAL,
            listener=_Listener(self),
            parser=_raw_message,
            decoder=_raw_records,
            auto_offset_reset="none",
            max_records=POLL_RECORDS_MAX,
            batch_timeout_ms=50,
            fetch_max_wait_ms=500,
            max_partition_fetch_bytes=BATCH_BYTES,
            fetch_max_bytes=16 * 1024 * 1024,
            check_crcs=True,
            session_timeout_ms=6_000,
            heartbeat_interval_ms=1_500,
            rebalance_timeout_ms=REBALANCE_MS,
            max_poll_interval_ms=300_000,
            partition_assignment_strategy=(RangePartitionAssignor,),
        )
        self._subscriber(self._handle)

    async def run(self) -> None:
        """Start, with patience for a broker that is away, then watch that polls go on."""
        while True:
            try:
                await self._broker.start()
                break
            except Exception as error:  # noqa: BLE001 - the broker is away: HTTP goes on, readiness says so
                _log.warning("kafka is away: %s", error)
                await self._broker.stop()
                await asyncio.sleep(AWAY_SECONDS)
        self._wrap()
        await self._watch()

    def _wrap(self) -> None:
        """getmany is where silence and errors can be seen; FastStream swallows both."""
        client = self._client()
        getmany = client.getmany

        async def watched(*partitions: Any, **options: Any) -> Any:
            self.polled_at = time.monotonic()
            try:
                return await getmany(*partitions, **options | {"timeout_ms": WAIT_MS})
            except NoOffsetForPartitionError:
                await self._placed()
                return {}
            except (KafkaError, ConsumerStoppedError) as error:
                self._failed(error)
                raise
            except Exception as error:  # noqa: BLE001 - what a stranger wrote: aiokafka raises whatever it stumbles over
                await self._singly(getmany, error)
                return {}

        client.getmany = watched
        _pace(client, self._pace_seconds, self._holds)

    async def _placed(self) -> None:
        """The client asked Kafka for a position before ours was read: wait for that. FastStream would sleep for 5 s."""
        async with self.lock:
            _log.debug("%s: no positions at Kafka", self.name)

    def _failed(self, error: Exception) -> None:
        """Twice without any progress between is a fault of the client: empty polls in between are no progress."""
        positions = self._consumer.positions
        if positions == self._failed_at:
            self._fatal(error)
        self._failed_at = positions

    async def _singly(self, getmany: GetMany, error: Exception) -> None:
        """Something that was fetched cannot be read, and the client does not say where: go record by record."""
        before = self._consumer.positions
        for at, offset in before.items():
            self.seek(at, offset)  # what was drained before the error is lost otherwise
        for at in before:
            await self._through(getmany, at)
        if self._consumer.positions == before:
            self._failed(error)

    async def _through(self, getmany: GetMany, at: Partition) -> None:
        """Take what is there of one partition; a record that raises is parked and passed."""
        for _ in range(POLL_RECORDS_MAX):
            offset = self._consumer.positions.get(at)
            if offset is None or offset >= self._newest(at):
                return
            self.polled_at = time.monotonic()
            try:
                polled = await getmany(TopicPartition(*at), timeout_ms=SINGLE_MS, max_records=1)
            except (KafkaError, ConsumerStoppedError) as error:
                self._failed(error)
                raise
            except Exception as error:  # noqa: BLE001 - as above
                _log.warning("unreadable record in %s-%d at %d: %s", *at, offset, error)
                await self._ends_with(self._consumer.unreadable(at, offset, error))
                self.seek(at, self._consumer.positions.get(at, offset))
            else:
                if not polled:
                    return
                await self._handle([raw for records in polled.values() for raw in records])

    def _newest(self, at: Partition) -> int:
        """The end of a partition as the last fetch said; 0 when it is not ours or was never fetched."""
        client, partition = self._client(), TopicPartition(*at)
        return (client.highwater(partition) or 0) if partition in client.assignment() else 0

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(HINT_SECONDS)
            if time.monotonic() - self.polled_at > SILENCE_SECONDS_MAX and not self.lock.locked():
                self._fatal(TimeoutError(f"no poll for {SILENCE_SECONDS_MAX:.0f} s"))
            await self._ends_with(self._consumer.settle())
            await self._hint()

    async def _hint(self) -> None:
        hints, self._consumer.hints = self._consumer.hints, {}
        if not hints:
            return
        try:
            await self._client().commit({TopicPartition(*at): offset for at, offset in hints.items()})
        except Exception as error:  # noqa: BLE001 - only a hint; a rebalance may refuse it
            _log.debug("hint refused: %s", error)

    def _client(self) -> AIOKafkaConsumer:
        client = self._subscriber.consumer
        assert client is not None, "started"
        return client

    async def revoked(self) -> None:
        """See _Listener."""
        await self._consumer.save()
        self._consumer.revoked()

    async def assigned(self, partitions: Sequence[Partition]) -> None:
        """See _Listener. A failure here must not leave the consumer without positions."""
        try:
            self._consumer.seeker = self
            await self._consumer.assigned(partitions)
            self.ready.set()
        except BaseException as error:
            self._fatal(error)
            raise

    def seek(self, at: Partition, offset: int) -> None:
        """The next poll begins there; a partition that was taken from us meanwhile is left alone."""
        client = self._client()
        if TopicPartition(*at) in client.assignment():
            client.seek(TopicPartition(*at), offset)

    async def _handle(self, records: Any) -> None:
        outside = self._consumer.inbox.outside
        await self._ends_with(self._consumer.handle([_filled(raw) if raw.topic in outside else raw for raw in records]))
        self._lag.took(records, time.time())

    async def _ends_with(self, step: Awaitable[None]) -> None:
        """What the consumer lets out ends the process."""
        try:
            await step
        except BaseException as error:
            self._fatal(error)
            raise

    def behind(self) -> dict[str, Behind]:
        """Records and seconds behind the newest that a fetch has seen, by topic."""
        client, positions = self._subscriber.consumer, self._consumer.positions
        if client is None:
            return {}
        newest = {}
        for at in positions:
            with suppress(IllegalStateError, AssertionError):  # a rebalance took it
                newest[at] = client.highwater(TopicPartition(*at)) or 0
        return self._lag.look(positions, newest, time.time())

    async def stop(self) -> None:
        """Leave the group, with nothing left for the next member to learn."""
        async with self.lock:
            await self._consumer.save()
        await self._broker.stop()


def _pace(client: AIOKafkaConsumer, seconds: float, holds: Callable[[], bool]) -> None:
    """Fetches begin at a pace. One that waits at the broker is answered with the first record that arrives, so a lone
    record is not late; behind it, what arrives meanwhile is one batch. A full poll that is known to be there is fetched
    at once, unless we hold back. The embedded broker answers an empty fetch at once instead of waiting: without a pace
    the client would spin on it."""
    fetcher = client._fetcher  # noqa: SLF001 - there is no public place to hold a fetch back
    actions = fetcher._get_actions_per_node  # noqa: SLF001
    begun = -HOLD_SECONDS  # the begin of the last fetch

    def paced(assignment: Any) -> Any:
        nonlocal begun
        left = begun + _apart(assignment, seconds, holds) - time.monotonic()
        if left > 0:
            return [], {}, left, False, []  # nothing to send to any node; look again then
        found = actions(assignment)
        if found[0]:
            begun = time.monotonic()
        return found

    fetcher._get_actions_per_node = paced  # noqa: SLF001


def _apart(assignment: Any, seconds: float, holds: Callable[[], bool]) -> float:
    """Seconds between the beginnings of two fetches."""
    if _behind(assignment) < POLL_RECORDS_MAX:
        return seconds
    return max(seconds, HOLD_SECONDS) if holds() else 0.0


def _behind(assignment: Any) -> int:
    """The records that the last fetches saw at the broker and that were not polled."""
    states = [assignment.state_value(each) for each in assignment.tps]
    return sum(max(0, each.highwater - each.position) for each in states if each.highwater and each.has_valid_position)


def _filled(raw: Any) -> Record:
    """A stranger's record for its reader: Kafka knows a header without a value, who reads them need not."""
    headers = tuple((name, value or b"") for name, value in raw.headers)
    return Record(raw.topic, raw.partition, raw.offset, raw.key, raw.value, headers, raw.timestamp)


async def _raw_message(batch: Any) -> KafkaMessage:
    """FastStream's own parser decodes headers as UTF-8 and loses the whole batch over one that is not."""
    return KafkaMessage(body=b"", raw_message=batch, consumer=None)  # type: ignore[arg-type]


async def _raw_records(message: KafkaMessage) -> Any:
    return message.raw_message
