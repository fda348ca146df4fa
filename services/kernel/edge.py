"""The outermost layer of a service's HTTP: limits of the head, trace, metrics, and an answer for every exception."""

from __future__ import annotations

import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import asyncpg
from fastapi.exceptions import RequestValidationError
from prometheus_client import Counter, Histogram
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.kernel import metrics, semconv, tracing
from services.kernel.problem import (
    CONTENT_TYPE,
    Headers,
    Problem,
    closing,
    internal_error,
    pool_exhausted,
    rejection,
    situated,
    unavailable,
)
from services.kernel.rejected import Rejected
from services.kernel.routing import ROUTE
from services.kernel.store import Exhausted, Unavailable
from services.kernel.telemetry import logger

URI_BYTES_MAX = 4 * 1024
HEADERS_BYTES_MAX = 16 * 1024
HEADERS_MAX = 100
UNMATCHED = "unmatched"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# the database or a partner is away; asyncpg.DataError is an InterfaceError too, but it is our bug
TRANSIENT = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.TooManyConnectionsError,
    asyncpg.QueryCanceledError,
    asyncpg.CannotConnectNowError,
    ConnectionError,
    TimeoutError,
    Unavailable,
)
_NOSNIFF = (b"x-content-type-options", b"nosniff")
_LOG = logger("http")

Series = tuple[Counter, Histogram]


class Edge:
    """Raw ASGI around an application. One object for the life of a service."""

    def __init__(self, app: ASGIApp, headers: Headers = ()) -> None:
        """`app` may raise anything. `headers` are added to every answer as they are."""
        self._app = app
        self._constants = (_NOSNIFF, *headers)
        self._series: dict[tuple[str, str, int], Series] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; nothing gets past it."""
        started, started_ns = time.perf_counter(), time.time_ns() if tracing.exporter else 0
        parent = _header(scope["headers"], b"traceparent")
        trace = tracing.follow(parent)
        token = tracing.enter(trace)
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    *self._constants,
                    (b"traceresponse", trace.header.encode()),
                    (b"x-request-id", trace.trace_id.encode()),
                ]
            await send(message)

        try:
            _judge_head(scope)
            await self._app(scope, receive, answer)
        except Exception as error:  # noqa: BLE001 - the last door: an answer for everything, and our bugs in the log
            trouble = _classify(error, scope)
            if status == 0:
                await _send(trouble, trace, answer)
        finally:
            tracing.leave(token)
            self._observe(scope, status, time.perf_counter() - started)
            if tracing.exporter:
                name = f"{scope['method']} {template(scope)}"
                said: dict[str, str | int] = {semconv.HTTP_STATUS: status, semconv.HTTP_ROUTE: template(scope)}
                tracing.exporter.record(name, trace, tracing.parse(parent), started_ns, said, "server")

    def _observe(self, scope: Scope, status: int, seconds: float) -> None:
        key = (scope["method"], template(scope), status)
        series = self._series.get(key)
        if series is None:
            method = key[0] if key[0] in METHODS else "OTHER"
            series = self._series[method, *key[1:]] = (
                metrics.HTTP_REQUESTS.labels(method, key[1], status),
                metrics.HTTP_SECONDS.labels(method, key[1], status),
            )
        series[0].inc()
        series[1].observe(seconds)


def template(scope: Scope) -> str:
    """The template of the route, never its ids; one value for all that matched none."""
    return str(scope.get(ROUTE) or getattr(scope.get("route"), "path", UNMATCHED))


def _header(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> str | None:
    return next((value.decode("latin-1") for name, value in headers if name == wanted), None)


def _judge_head(scope: Scope) -> None:
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > URI_BYTES_MAX:
        raise closing(414, "uri-too-long")
    headers = scope["headers"]
    if len(headers) > HEADERS_MAX or sum([len(name) + len(value) for name, value in headers]) > HEADERS_BYTES_MAX:
        raise closing(431, "headers-too-large")


def _classify(error: Exception, scope: Scope) -> Problem:
    """What the caller is told. Only our own bugs and outages are logged."""
    match error:
        case Problem():
            return error
        case Rejected():
            return _Refusal(error)
        case HTTPException():
            return _http(error)
        case RequestValidationError():
            return Problem(422, "invalid-request")
        case Exhausted():  # counted and said by its lane
            return pool_exhausted()
        case ValueError():  # before the transient ones: asyncpg.DataError is both
            pass
        case error if isinstance(error, TRANSIENT):
            _LOG.warning("request_unavailable", method=scope["method"], route=template(scope), exc_info=error)
            return unavailable()
        case _:
            pass
    _LOG.error("request_failed", method=scope["method"], route=template(scope), exc_info=error)
    return internal_error()


class _Refusal(Problem):
    """A command's refusal that reached the edge."""

    def __init__(self, refusal: Rejected) -> None:
        super().__init__(refusal.status, refusal.slug)
        self.answer = rejection(refusal)


def _http(error: HTTPException) -> Problem:
    """The framework's own: 404, 405."""
    slug = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-").replace("'", "")
    headers = [(name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items()]
    return Problem(error.status_code, slug, headers=headers)


async def _send(trouble: Problem, trace: tracing.Trace, send: Any) -> None:
    status, body = trouble.answer
    body = situated(body, trace.trace_id)
    headers = [
        (b"content-type", CONTENT_TYPE),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        *trouble.headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
