"""Engine, relay and rebuild each alone, and the baseline: python -m scripts.bench.kernel, its plan on stdin.

In a database and topics of their own on the servers of the running system, which is idle meanwhile.
"""

import asyncio
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import msgspec
import uvloop

from scripts import migrate
from scripts.bench import baseline, scratch
from scripts.bench.numbers import Figures
from scripts.bench.plan import AlonePlan
from scripts.system.home import ROOT
from services.kernel import heap
from services.kernel.bus import KafkaPublisher
from services.kernel.decider import Ask, Meta, Unit
from services.kernel.engine import Engine, Units
from services.kernel.event_store import PostgresStore, connector
from services.kernel.folding import Target
from services.kernel.ids import new_id
from services.kernel.money import Money, Rate, RateText, iso4217
from services.kernel.outbox import PostgresOutbox
from services.kernel.rebuild import rebuild
from services.kernel.relay import Relay
from services.quote.adapters import corridors
from services.quote.domain import CreateQuote, Offer, price
from services.quote.handlers import decider
from services.transfer.projections import quote_terms

DATABASE = "bench_scratch"
FILLED, BARE = "bench.filled", "bench.bare"
BATCH = 500
REBUILD_SECONDS_MAX = 300.0
ROWS_MIN = 5_000  # of the running system's own events; with fewer the baseline takes those of the scratch


def main() -> None:
    """The figures as JSON on stdout."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=AlonePlan)
    figures = uvloop.run(_measure(plan))
    sys.stdout.buffer.write(msgspec.json.encode(figures) + b"\n")


async def _measure(plan: AlonePlan) -> Figures:
    topics = scratch.topics(plan.bootstrap, [FILLED, BARE], plan.partitions)
    async with scratch.database(plan.administrator, DATABASE) as dsn, topics:
        await asyncio.to_thread(migrate.upgrade, dsn)
        figures = await _fill(dsn, plan.events)
        if "relay" in plan.parts or "rebuild" in plan.parts:
            figures |= await _relay(dsn, plan)
        if "rebuild" in plan.parts:
            figures |= await _rebuild(dsn, plan)
        if "baseline" in plan.parts:
            rows = await baseline.rows_of(plan.system_database, plan.schemas, plan.events)
            if len(rows) < ROWS_MIN:
                rows = await baseline.rows_of(dsn, ["quote"], plan.events)
            figures |= await baseline.measure(dsn, plan.bootstrap, BARE, plan.partitions, rows)
    return figures


async def _fill(dsn: str, events: int) -> Figures:
    """An outbox full of quotes, written by the engine in batches of 500: which is its own rate, with no HTTP."""
    store = PostgresStore(connector(dsn, "quote", "bench fill"))
    engine = Engine(store, [decider()], FILLED, new_id)
    offer = _offer()
    began = time.perf_counter()
    for _ in range(0, events, BATCH):
        outcomes = await engine.run(Units([_unit(offer) for _ in range(BATCH)]))
        assert all(outcome.events for outcome in outcomes), outcomes[0]
    seconds = time.perf_counter() - began
    await store.drop()
    await _analyze(dsn)
    return {"engine_alone_events_per_second": events / seconds}


async def _analyze(dsn: str) -> None:
    """As autovacuum would have by the time that so much had come in."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("ANALYZE")
    await connection.close()


def _offer() -> Offer:
    corridor = corridors.load(ROOT / "deploy" / "corridors.json").named("GB-ET")
    now = datetime.now(UTC)
    rate = Rate(corridor.source, corridor.target, RateText("205.1"), "bench", now)
    return price(corridor, Money(10_000, iso4217("GBP")), rate, now)


def _unit(offer: Offer) -> Unit:
    quote_id = uuid4()
    command = CreateQuote(quote_id=quote_id, customer_id=UUID(int=1), offer=offer)
    return Unit((Ask(quote_id, command),), Meta("corridor", "bench", quote_id))


async def _relay(dsn: str, plan: AlonePlan) -> Figures:
    """The relay's own loop, nothing else running in its process."""
    outbox = PostgresOutbox(connector(dsn, "quote", "bench relay"))
    publisher = KafkaPublisher(plan.bootstrap, "/corridor/bench", plan.partitions, 1)
    relay = Relay(outbox, publisher)
    await publisher.start()
    assert await outbox.lead()
    began, sent = time.perf_counter(), 0
    while count := await relay.step():
        sent += count
    seconds = time.perf_counter() - began
    await publisher.stop()
    assert sent == plan.events, f"{sent} events relayed of {plan.events}"
    return {"relay_events_per_second": sent / seconds}


async def _rebuild(dsn: str, plan: AlonePlan) -> Figures:
    """quote_terms made anew from the topic's beginning and shown, as `ops-cli projection rebuild` does it: the second
    time, so that there is a live version to be compared with."""
    target = Target(
        dsn=dsn, bootstrap=plan.bootstrap, service="transfer", schema="transfer", writer_schema="quote",
        projection=replace(quote_terms.PROJECTION, topic=FILLED),
    )  # fmt: skip
    heap.keep()  # as ops-cli does
    async with asyncio.timeout(REBUILD_SECONDS_MAX):
        await rebuild(target, lambda progress: None)
        cpu = time.process_time()
        made = await rebuild(target, lambda progress: None)
    cpu = time.process_time() - cpu
    assert made.results["applied"] == plan.events, f"{made.results} of {plan.events}"
    assert made.difference is not None
    assert made.difference.is_none, made.difference
    sys.stderr.write(f"rebuild: {1e6 * cpu / plan.events:.0f} us of CPU for an event, beside PostgreSQL's\n")
    return {"rebuild_events_per_second": plan.events / made.seconds}


if __name__ == "__main__":
    main()
