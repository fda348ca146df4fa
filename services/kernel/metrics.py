"""Every metric of the kernel, in one place. Names that a runbook fixes stand bare; ours begin with `corridor_`.

Label values that are known are made at import, so that a rule sees 0 and not "no data" before the first event.
"""

from __future__ import annotations

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
PARKED_STREAMS = _gauge("corridor_parked_streams", "Streams that wait for a person")
SIDE_EFFECTS = _counter("corridor_side_effects_total", "Side effects worked on", "name", "result")

IDEMPOTENCY_EVENTS = _counter("idempotency_events_total", "What became of request keys", "outcome")
IDEMPOTENCY_REPLAYS = _counter("idempotency_replays_total", "Answers given again from their key")
WEBHOOK_EVENTS = _counter("webhook_events_total", "Webhooks received", "provider", "signature_valid", "applied")
PAYOUT_ATTEMPTS = _counter("payout_attempts_total", "Payouts handed to a rail", "provider", "result")
WORKER_RUNS = _counter("worker_runs_total", "Runs of background workers", "worker", "result")

for _outcome in IDEMPOTENCY_OUTCOMES:
    IDEMPOTENCY_EVENTS.labels(_outcome)


def prepare_service(service: str) -> None:
    """The series of a service, at 0."""
    EVENTS_WRITTEN.labels(service)


def prepare_consumer(consumer: str) -> None:
    """The series of a consumer, at 0."""
    for result in CONSUMER_RESULTS:
        CONSUMER_RECORDS.labels(consumer, result)


def prepare_webhook(provider: str) -> None:
    """The series of a partner that calls us, at 0."""
    for valid, applied in (("true", "true"), ("true", "false"), ("false", "false")):
        WEBHOOK_EVENTS.labels(provider, valid, applied)


def prepare_worker(worker: str) -> None:
    """The series of a background worker, at 0."""
    for result in ("ok", "failed"):
        WORKER_RUNS.labels(worker, result)


def exposition() -> bytes:
    """Everything in Prometheus's text format."""
    return generate_latest(REGISTRY)
