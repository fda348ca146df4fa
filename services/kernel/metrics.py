"""Every metric of the kernel, in one place. Names that a runbook fixes stand bare; ours begin with `corridor_`.

Label values that are known are made at import, so that a rule sees 0 and not "no data" before the first event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500)

CONSUMER_RESULTS = ("applied", "skipped", "duplicate", "parked")
WORKER_RESULTS = ("success", "failed")
REVIEW_ACTIONS = ("queued", "confirm_sent", "refund_failed", "retry", "mark-reviewed", "confirmed")
ATTEMPT_RESULTS = ("SENT", "REFUSED", "FAILED", "UNKNOWN")
SCRAPE_SECONDS = 0.8  # for all that is counted at a scrape: below the time that a probe has
IDEMPOTENCY_OUTCOMES = ("reserved", "replay", "conflict", "reserve_error", "finalize_error")


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(name, text, labels, registry=REGISTRY)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(name, text, labels, registry=REGISTRY)


def _histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(name, text, labels, buckets=buckets, registry=REGISTRY)


BUILD_INFO = _gauge("corridor_build_info", "1; what runs here", "service", "release", "sha", "colour", "environment")

HTTP_REQUESTS = _counter("http_requests_total", "Requests answered", "method", "route", "status")
HTTP_SECONDS = _histogram("http_request_duration_seconds", "Time to answer", _SECONDS, "method", "path", "status")

EVENTS_WRITTEN = _counter("corridor_events_written_total", "Events committed", "service")
ENGINE_SECONDS = _histogram("corridor_engine_batch_seconds", "Time of a batch, lock to commit", _SECONDS)
ENGINE_SIZE = _histogram("corridor_engine_batch_size", "Units in a batch", _SIZES)
ENGINE_RETRIES = _counter("corridor_engine_retries_total", "Batches run again", "reason")

OUTBOX_BACKLOG = _gauge("corridor_outbox_backlog", "Events committed and not yet acknowledged by the broker")
OUTBOX_OLDEST_SECONDS = _gauge("corridor_outbox_oldest_seconds", "Age of the oldest of them")
RELAY_PUBLISHED = _counter("corridor_relay_published_total", "Events acknowledged by the broker")

CONSUMER_RECORDS = _counter("corridor_consumer_records_total", "Records taken from Kafka", "consumer", "result")
CONSUMER_LAG = _gauge("corridor_consumer_lag_records", "Records not yet taken", "consumer", "topic")
CONSUMER_LAG_SECONDS = _gauge(
    "corridor_consumer_lag_seconds", "Age of the oldest record not yet taken; 0: none", "consumer", "topic"
)
PARKED_STREAMS = _gauge("corridor_parked_streams", "Streams, and records that name no stream, that wait for a person")
OUTBOX_STUCK = _gauge("corridor_outbox_stuck", "Events that no broker takes, and those behind them in their streams")
for _waits in (OUTBOX_BACKLOG, OUTBOX_OLDEST_SECONDS, PARKED_STREAMS, OUTBOX_STUCK):
    _waits.set(float("nan"))  # not measured yet; 0 would say that nothing waits
SIDE_EFFECTS = _counter("corridor_side_effects_total", "Side effects worked on", "name", "result")

IDEMPOTENCY_EVENTS = _counter("idempotency_events_total", "What became of request keys", "outcome")
IDEMPOTENCY_REPLAYS = _counter("idempotency_replays_total", "Answers given again from their key")
WEBHOOK_EVENTS = _counter("webhook_events_total", "Webhooks received", "provider", "signature_valid", "applied")
PAYOUT_ATTEMPTS = _counter("payout_attempts_total", "Payouts handed to a rail", "provider", "result")
WORKER_RUNS = _counter("worker_runs_total", "Runs of background workers", "worker", "result")

PAYOUT_REVIEW_TRANSITIONS = _counter(
    "payout_manual_review_transitions_total", "Payouts that began or ended to wait for a person", "action"
)
LEDGER_IMBALANCE = _counter(
    "ledger_imbalance_total", "Differences that were found in the books for the first time", "currency"
)
LEDGER_HALTED = _gauge("corridor_ledger_halted", "1: no new money moves in this currency", "currency")
LEDGER_UNSETTLED = _gauge("corridor_ledger_unsettled_entries", "Entries behind the last block")

POOL_SIZE = _gauge("corridor_db_pool_size", "Database sessions that a lane may have", "lane")
POOL_IN_USE = _gauge("corridor_db_pool_in_use", "Database sessions of a lane that are at work", "lane")
POOL_WAITING = _gauge("corridor_db_pool_waiting", "Who waits: for a session, of lane commands units", "lane")
POOL_TIMEOUTS = _counter("corridor_db_pool_timeouts_total", "Requests refused because all were busy", "lane")
HTTP_REFUSED = _counter("corridor_http_overloaded_total", "Requests refused because too many were under way")

for _outcome in IDEMPOTENCY_OUTCOMES:
    IDEMPOTENCY_EVENTS.labels(_outcome)


def prepare_service(service: str) -> None:
    """The series of a service, at 0."""
    EVENTS_WRITTEN.labels(service)


def prepare_consumer(consumer: str, topics: Iterable[str] = ()) -> None:
    """The series of a consumer, at 0."""
    for result in CONSUMER_RESULTS:
        CONSUMER_RECORDS.labels(consumer, result)
    for topic in topics:
        CONSUMER_LAG.labels(consumer, topic)
        CONSUMER_LAG_SECONDS.labels(consumer, topic)


def prepare_webhook(provider: str) -> None:
    """The series of a partner that calls us, at 0."""
    for valid, applied in (("true", "true"), ("true", "false"), ("false", "false")):
        WEBHOOK_EVENTS.labels(provider, valid, applied)


def prepare_worker(worker: str) -> None:
    """The series of a background worker, at 0: `payout`, `reconciliation`, ..."""
    for result in WORKER_RESULTS:
        WORKER_RUNS.labels(worker, result)


def worker_ran(worker: str, *, failed: bool) -> None:
    """One run is over; it failed when any item of it failed unexpectedly."""
    WORKER_RUNS.labels(worker, WORKER_RESULTS[failed]).inc()


def prepare_routes(routes: Iterable[tuple[str, str, int]]) -> None:
    """(method, template, status of success) each, at 0."""
    for route in routes:
        HTTP_REQUESTS.labels(*route)


def prepare_payouts(providers: Iterable[str]) -> None:
    """The series of payouts, at 0."""
    for provider in providers:
        for result in ATTEMPT_RESULTS:
            PAYOUT_ATTEMPTS.labels(provider, result)
    for action in REVIEW_ACTIONS:
        PAYOUT_REVIEW_TRANSITIONS.labels(action)


def prepare_ledger(currencies: Iterable[str]) -> None:
    """The series of the books, at 0."""
    for currency in currencies:
        LEDGER_IMBALANCE.labels(currency)
        LEDGER_HALTED.labels(currency)


def measure_lane(lane: str, size: int, in_use: Callable[[], float], waiting: Callable[[], float]) -> Counter:
    """Show a lane of the database from now on, read when somebody looks. Gives what counts its refusals."""
    POOL_SIZE.labels(lane).set(size)
    POOL_IN_USE.labels(lane).set_function(in_use)
    POOL_WAITING.labels(lane).set_function(waiting)
    timeouts: Counter = POOL_TIMEOUTS.labels(lane)
    return timeouts


Count = Callable[[], Awaitable[float]]
_counted: dict[str, tuple[Gauge, Count]] = {}


def count_at_scrape(name: str, text: str, count: Count) -> None:
    """A gauge of this process alone that is counted anew for each scrape; NaN when it cannot be."""
    known = _counted.get(name)
    _counted[name] = (known[0] if known else Gauge(name, text, registry=REGISTRY), count)


async def scraped() -> bytes:
    """Everything in Prometheus's text format, with what is counted at a scrape."""
    await asyncio.gather(*(_count(gauge, count) for gauge, count in _counted.values()))
    return exposition()


async def _count(gauge: Gauge, count: Count) -> None:
    try:
        async with asyncio.timeout(SCRAPE_SECONDS):
            gauge.set(await count())
    except Exception:  # noqa: BLE001 - whatever a dependency raises, the others are shown, and no old value is
        gauge.set(float("nan"))


def exposition() -> bytes:
    """Everything in Prometheus's text format, as it stands."""
    return generate_latest(REGISTRY)
