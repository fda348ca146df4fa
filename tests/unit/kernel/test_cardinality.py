"""Whatever strangers write, the number of series stays what it was: ten thousand ids make not one more."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from services.deposit_watcher.api.reports import Reports, Source
from services.kernel import metrics
from services.kernel.codec import GENESIS, encode
from services.kernel.consumer import Consumer
from services.kernel.engine import Engine
from services.kernel.envelope import StoredEvent, headers_of
from services.kernel.memory import MemoryStore
from services.kernel.poll import Record
from services.kernel.service import _counted
from services.kernel.settings import Secret, SharedKey
from services.kernel.webhook import Verifier
from tests.support.builders import JAR, META, TOPIC, inbox
from tests.support.fakes import Clock, Ids, Sealing, no_pause
from tests.unit.kernel.door import JSON, send, service

MANY = 10_000
AT = datetime(2026, 1, 1, tzinfo=UTC)


def series() -> int:
    return sum(len(family.samples) for family in metrics.REGISTRY.collect())


async def test_ids_in_paths_queries_methods_and_headers_make_no_series() -> None:
    app = service()

    async def some(count: int) -> None:
        for number in range(count):
            one = str(uuid4())
            headers = [*JSON, ("idempotency-key", one), ("traceparent", one), ("user-agent", one), (f"x-{one}", one)]
            method = one.upper() if number % 4 == 3 else "GET"
            path = (f"/v1/asks/{one}", f"/{one}/{number}", "/v1/fail/refused", f"/v1/asks/{one}")[number % 4]
            await send(app, method, path, b"", headers, query=f"q={one}")

    await some(8)  # each kind of answer has its series then
    before = series()
    await some(MANY)
    assert series() == before


def test_partners_that_nobody_knows_are_one_provider() -> None:
    key = SharedKey("bank", "k1", Secret("a-secret-of-24-characters"))
    reports = Reports(Verifier([key]), "main", lambda: 1_700_000_000.0, Sealing("bank").keys.seal)

    def some(count: int) -> None:
        for _ in range(count):
            one = uuid4()
            signature = f"t=1700000000,kid={one},v1={one.hex}{one.hex}"
            assert not reports.single(Source("webhook", signature, one.bytes, one)).signed.valid

    some(1)
    before = series()
    some(MANY)
    assert series() == before


async def test_event_types_and_streams_that_nobody_knows_make_no_series() -> None:
    store = MemoryStore(Clock())
    mirror = inbox()
    metrics.prepare_consumer(mirror.name, mirror.topics)
    engine = Engine(store, (JAR,), "", Ids(), pause=no_pause)
    consumer = Consumer(mirror, engine, store, "mirror", counted=_counted(mirror.name))
    await consumer.assigned([(TOPIC, 0)])
    before = series()
    for start in range(0, MANY, 500):
        await consumer.handle([foreign(offset) for offset in range(start, start + 500)])
    assert consumer.positions == {(TOPIC, 0): MANY}
    assert series() == before


def foreign(offset: int) -> Record:
    """A record of a type, a stream and a header that were never seen."""
    one = uuid4()
    kind = f"corridor.{one.hex}.happened.v1"
    event = StoredEvent(
        offset, TOPIC, one, 1, uuid4(), kind, 1, one, b"{}", encode(META), AT, AT, GENESIS, bytes(32)
    )  # fmt: skip
    headers = (*headers_of(event, "/corridor/jar", 1), (f"x-{one}", one.bytes))
    return Record(TOPIC, 0, offset, one.bytes, event.data, headers)
