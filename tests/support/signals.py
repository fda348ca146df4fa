"""What a running system says of itself, seen from outside: spans, requests to the bank, metrics, logs."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

Series = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Span:
    """One step as it was exported; ids in hex."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    links: frozenset[str]  # trace ids


@dataclass
class Seen:
    """What one of our small servers was sent."""

    spans: list[Span] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)  # path, headers in lower case


@contextmanager
def collector(seen: Seen) -> Iterator[str]:
    """An OTLP collector over HTTP; its address."""

    def take(_path: str, _headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                seen.spans.extend(_span(names["service.name"], span) for span in scope.spans)
        return 200, b""

    with _server(take) as url:
        yield url


def _span(service: str, span: Any) -> Span:
    links = frozenset(each.trace_id.hex() for each in span.links)
    return Span(service, span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(), links)


@contextmanager
def between(seen: Seen, target: Callable[[], str], spoil: Callable[[str], bytes | None]) -> Iterator[str]:
    """In front of `target`: remembers each request, and hands it on unless `spoil` has an answer of its own (500)."""

    def take(path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        seen.requests.append((path, {name.lower(): value for name, value in headers.items()}))
        if (spoilt := spoil(path)) is not None:
            return 500, spoilt
        return ask("POST", target() + path, body, {name: headers[name] for name in ("Authorization", "Content-Type")})

    with _server(take) as url:
        yield url


@contextmanager
def _server(take: Callable[[str, Mapping[str, str], bytes], tuple[int, bytes]]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, answer = take(self.path, dict(self.headers.items()), body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_arguments: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ask(
    method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None, seconds: float = 30
) -> tuple[int, bytes]:
    """(status, body), whatever the status; (0, b"") when nobody answers."""
    request = urllib.request.Request(url, body or None, dict(headers or {}), method=method)  # noqa: S310 - our own
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def series_of(exposition: str) -> dict[str, dict[Series, float]]:
    """Each sample's name with its label sets and values."""
    found: dict[str, dict[Series, float]] = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return found


def betrayed(directory: Path, canaries: Mapping[str, str]) -> list[str]:
    """Where a canary sings: file, line number and the canary's name."""
    found = []
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
                found += [f"{path.name}:{number} {name}" for name, text in canaries.items() if text in line]
    return found
