"""Tells Corridor what happened, over HTTP and over Kafka, again and again until it has heard."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable
from functools import partial
from random import Random
from typing import NamedTuple, Protocol

import aiohttp
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from services.sandbox import deliveries
from services.sandbox.book import rfc3339
from services.sandbox.control import Control
from services.sandbox.deliveries import Delivery, Look, Pending, Verdict
from services.sandbox.signing import HEADER, sign, sign_wrongly

BACKOFF_FIRST_MS, BACKOFF_MAX_MS = 100, 5_000
PAUSE_SECONDS = 0.2  # of a lane whose only try has failed: five tries a second while Corridor is down
HTTP_SLOTS, KAFKA_SLOTS = 64, 4  # calls, and batches of records, at the same time
HTTP_SECONDS, KAFKA_SECONDS = 10, 15
CE_TYPE = "partner.deposit.reported.v1"
CE_NAMESPACE = uuid.UUID("5d1cd5a0-6e6b-4c0e-9a44-2b1d2a7f3c11")  # ours alone; makes a resent record the same event

log = logging.getLogger("sandbox.courier")


class Result(NamedTuple):
    """What the other side said. `done`: true heard, false refused for good, None not now."""

    done: bool | None
    words: str


class Way(Protocol):
    """How one lane speaks."""

    def open(self) -> bool:
        """Whether it is configured at all; if not, deliveries wait and no attempt is counted."""

    async def send(self, delivery: Delivery) -> Result: ...


class Lane:
    """One way out. Starts slowly after trouble: each failure halves the calls at once, each success adds one."""

    def __init__(self, name: str, way: Way, slots: int, control: Control, rng: Random) -> None:
        self.wake = asyncio.Event()
        self._name, self._way, self._slots_max, self._control, self._rng = name, way, slots, control, rng
        self._slots = slots
        self._full = False  # the lane waits for a free slot
        self._flying: dict[int, asyncio.Task[None]] = {}

    async def run(self) -> None:
        while True:
            self.wake.clear()
            free = self._slots - len(self._flying) if self._way.open() else 0
            self._full = free <= 0
            if self._full:
                await self.wake.wait()
                continue
            seen = await self._look(free)
            for pending in seen.due:
                self._flying[pending.id] = asyncio.create_task(self._deliver(pending))
            if len(seen.due) < free:
                await self._control.wait(self.wake, seen.next_due_ms)

    async def _look(self, limit: int) -> Look:
        flying, now_ms = list(self._flying), self._control.now_ms()
        look = partial(deliveries.look, lane=self._name, now_ms=now_ms, in_flight=flying, limit=limit)
        return await self._control.store.read(look)

    async def _deliver(self, pending: Pending) -> None:
        """Wakes the lane only if it has something to learn: a free slot, or a new appointment."""
        again = True
        try:
            result = await self._way.send(pending.delivery)
            verdict = self._verdict(pending, result)
            await self._control.store.write(partial(deliveries.record, verdict=verdict))
            again = verdict.state is None
            if result.done is None and self._slots == 1:
                await asyncio.sleep(PAUSE_SECONDS)
        except Exception:
            log.exception("delivery %d", pending.id)
            await asyncio.sleep(PAUSE_SECONDS)
        finally:
            del self._flying[pending.id]
            if again or self._full:
                self.wake.set()

    def _verdict(self, pending: Pending, result: Result) -> Verdict:
        if result.done is None:
            self._slots = max(1, self._slots // 2)
            return self._later(pending, result.words)
        self._slots = min(self._slots_max, self._slots + 1)
        if not result.done and pending.delivery.about == "callback" and not pending.delivery.flaw:
            return self._later(pending, result.words)  # a callback is told until it is taken
        return Verdict(pending, "ACKNOWLEDGED" if result.done else "REFUSED", 0, result.words)

    def _later(self, pending: Pending, words: str) -> Verdict:
        """Exponential, between half and all of the step, so that failures do not come back together."""
        if pending.attempts + 1 >= self._control.config.attempts_max:
            return Verdict(pending, "ABANDONED", 0, words)
        step_ms = min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS << min(pending.attempts, 10))
        return Verdict(pending, None, self._control.now_ms() + int(step_ms * self._rng.uniform(0.5, 1)), words)


class Webhooks:
    """The http lane's way out: signed POSTs."""

    def __init__(self, control: Control, session: aiohttp.ClientSession) -> None:
        self._control, self._session = control, session

    def open(self) -> bool:
        return self._control.config.corridor_url is not None and bool(self._control.config.signing_keys)

    async def send(self, delivery: Delivery) -> Result:
        signature = signature_of(self._control, delivery, delivery.body)
        if signature is None:
            return Result(None, "no signing key")
        headers = {"Content-Type": "application/json", HEADER: signature}
        url = f"{self._control.config.corridor_url}{delivery.target}"
        try:
            async with self._session.post(url, data=delivery.body, headers=headers, allow_redirects=False) as reply:
                await reply.read()
                return heard(reply.status)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return Result(None, type(error).__name__)


class Records:
    """The kafka lane's way out: CloudEvents in binary mode, signed over the value."""

    def __init__(self, control: Control, bootstrap: str | None) -> None:
        self._control, self._bootstrap = control, bootstrap
        self._producer: AIOKafkaProducer | None = None
        self._opening = asyncio.Lock()

    def open(self) -> bool:
        return self._bootstrap is not None and bool(self._control.config.signing_keys)

    async def send(self, delivery: Delivery) -> Result:
        """All records of the batch are acknowledged, or all are sent again: a repeat is possible, a gap is not."""
        if self._control.config.key(delivery.partner) is None:
            return Result(None, "no signing key")
        try:
            async with asyncio.timeout(KAFKA_SECONDS):
                producer = await self._open()
                records = [await self._hand_over(producer, delivery, line) for line in delivery.body.split(b"\n")]
                await asyncio.gather(*records)
            return Result(done=True, words="acknowledged")
        except (KafkaError, TimeoutError, OSError) as error:
            self._forget()
            return Result(None, type(error).__name__)

    async def _hand_over(self, producer: AIOKafkaProducer, delivery: Delivery, line: bytes) -> Awaitable[object]:
        key, _, value = line.partition(b"\t")
        signature = signature_of(self._control, delivery, value) or ""
        sent: Awaitable[object] = await producer.send(
            delivery.target, value, key, headers=cloud_event(delivery, value, signature)
        )
        return sent

    async def _open(self) -> AIOKafkaProducer:
        async with self._opening:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._bootstrap, client_id="sandbox", acks="all", enable_idempotence=True,
                    linger_ms=2, max_batch_size=512 * 1024, request_timeout_ms=10_000,
                )  # fmt: skip
                try:
                    await producer.start()
                except BaseException:
                    _stop_later(producer)
                    raise
                self._producer = producer
            return self._producer

    def _forget(self) -> None:
        """An idempotent producer that has failed once may never recover, and its stop may hang."""
        if self._producer is not None:
            _stop_later(self._producer)
            self._producer = None


def cloud_event(delivery: Delivery, value: bytes, signature: str) -> list[tuple[str, bytes]]:
    """A resent record keeps its id, a duplicate has another: only the reference is the money's identity."""
    event_id = uuid.uuid5(CE_NAMESPACE, f"{delivery.partner}/{delivery.copy}/{value.decode()}")
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(event_id).encode()),
        ("ce_type", CE_TYPE.encode()),
        ("ce_source", f"/partners/{delivery.partner}".encode()),
        ("ce_time", rfc3339(delivery.created_ms).encode()),
        ("content-type", b"application/json"),
        (HEADER.lower(), signature.encode()),
    ]


def signature_of(control: Control, delivery: Delivery, body: bytes) -> str | None:
    """Signed anew at each attempt, as the receiver wants a recent time. None: the partner has no key yet."""
    key = control.config.key(delivery.partner)
    if key is None:
        return None
    at_seconds = control.now_ms() // 1000
    if delivery.flaw == "bad_signature":
        return sign_wrongly(key.key_id, at_seconds)
    return sign(key.secret, key.key_id, body, at_seconds)


def heard(status: int) -> Result:
    """2xx taken; 4xx refused, but 408 and 429 ask for patience; everything else is an outage."""
    if 200 <= status < 300:
        return Result(done=True, words=str(status))
    return Result(False if 400 <= status < 500 and status not in {408, 429} else None, str(status))


_stopping: set[asyncio.Task[None]] = set()  # asyncio itself keeps no hard reference to a task


def _stop_later(producer: AIOKafkaProducer) -> None:
    async def stop() -> None:
        try:
            await asyncio.wait_for(producer.stop(), KAFKA_SECONDS)
        except (KafkaError, TimeoutError, OSError):
            log.warning("a broken producer did not stop")

    task = asyncio.create_task(stop())
    _stopping.add(task)
    task.add_done_callback(_stopping.discard)
