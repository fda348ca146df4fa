"""W3C trace context: cheap ids that travel with every request and record; spans are exported only if somebody asks."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal, NamedTuple

from services.kernel import semconv

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
Kind = Literal["internal", "server", "client", "producer", "consumer"]
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16
SPAN_QUEUE_MAX = 2_048  # beyond it spans are dropped: tracing may never slow the work down


class Trace(NamedTuple):
    """Where we are: the whole story's id and the id of this step of it, in lower-case hex."""

    trace_id: str
    span_id: str
    flags: str = "01"

    @property
    def header(self) -> str:
        """The value of a `traceparent` header."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"

    def child(self) -> Trace:
        """The next step of the same story."""
        return Trace(self.trace_id, os.urandom(8).hex(), self.flags)


_current: ContextVar[Trace | None] = ContextVar("corridor_trace", default=None)
enter = _current.set
leave = _current.reset
current = _current.get


def begin() -> Trace:
    """A new story."""
    ids = os.urandom(24).hex()
    return Trace(ids[:32], ids[32:])


def parse(header: str | None) -> Trace | None:
    """The sender's place, or None when the header is absent or says nothing (it is never an error)."""
    found = _TRACEPARENT.fullmatch(header) if header else None
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest) or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return Trace(trace_id, span_id, flags)


def follow(header: str | None) -> Trace:
    """Our place: a step after the sender's, or a new story."""
    parent = parse(header)
    return parent.child() if parent else begin()


def traceparent() -> str | None:
    """What to hand on, into an event's meta or an outgoing request."""
    trace = _current.get()
    return trace.header if trace else None


@contextmanager
def span(name: str, header: str | None = None, attributes: Mapping[str, str | int] | None = None) -> Iterator[Trace]:
    """A step inside the current story, or after the one that `header` names. Exported when an exporter is on."""
    with _step(name, parse(header) or _current.get(), attributes or {}) as trace:
        yield trace


@contextmanager
def joined(
    name: str, headers: Iterable[str | None], kind: Kind = "internal", attributes: Mapping[str, str | int] | None = None
) -> Iterator[Trace]:
    """A step that many steps lead to, a `traceparent` each. It goes on with their story when they are all of one; else
    it is a story of its own. Either way it is linked to each of several."""
    found = [trace for trace in map(parse, headers) if trace is not None]
    one = found[0] if len({trace.trace_id for trace in found}) == 1 else None
    with _step(name, one, attributes or {}, kind, found if len(found) > 1 else ()) as trace:
        yield trace


@contextmanager
def _step(
    name: str,
    parent: Trace | None,
    attributes: Mapping[str, str | int],
    kind: Kind = "internal",
    links: Sequence[Trace] = (),
) -> Iterator[Trace]:
    trace = parent.child() if parent else begin()
    token = _current.set(trace)
    started = time.time_ns() if exporter else 0
    try:
        yield trace
    finally:
        _current.reset(token)
        if exporter:
            exporter.record(name, trace, parent, started, attributes, kind, links)


class Exporter:
    """Finished spans to an OTLP collector, from a thread of the SDK. No part of the SDK is loaded without it."""

    def __init__(self, processor: BatchSpanProcessor, resource: Resource) -> None:
        """`resource` names the service."""
        self._processor = processor
        self._resource = resource

    def record(
        self,
        name: str,
        trace: Trace,
        parent: Trace | None,
        started_ns: int,
        attributes: Mapping[str, str | int],
        kind: Kind = "internal",
        links: Sequence[Trace] = (),
    ) -> None:
        """One finished step; `started_ns` since 1970, it ends now."""
        from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415 - 40 MB that most processes never need
        from opentelemetry.trace import Link, SpanKind  # noqa: PLC0415

        self._processor.on_end(
            ReadableSpan(
                name,
                context=_context(trace),
                parent=_context(parent) if parent else None,
                resource=self._resource,
                attributes=dict(attributes),
                kind=SpanKind[kind.upper()],
                links=[Link(_context(each)) for each in links],
                start_time=started_ns,
                end_time=time.time_ns(),
            )
        )

    def close(self) -> None:
        """Send what is left, within the exporter's own limit."""
        self._processor.shutdown()  # type: ignore[no-untyped-call]


def _context(trace: Trace):  # type: ignore[no-untyped-def]  # the SDK's types are loaded late
    from opentelemetry.trace import SpanContext, TraceFlags  # noqa: PLC0415

    flags = TraceFlags(int(trace.flags, 16))
    return SpanContext(int(trace.trace_id, 16), int(trace.span_id, 16), is_remote=False, trace_flags=flags)


exporter: Exporter | None = None


def export_to(endpoint: str, service: str, release: str) -> Exporter:
    """Switch the export on for this process; `endpoint` as in OTEL_EXPORTER_OTLP_ENDPOINT."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    global exporter  # noqa: PLW0603 - one exporter for a process, set once before it serves
    otlp = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces", timeout=5)
    resource = Resource.create({"service.name": service, "service.version": release}, semconv.SCHEMA_URL)
    exporter = Exporter(BatchSpanProcessor(otlp, max_queue_size=SPAN_QUEUE_MAX), resource)
    return exporter
