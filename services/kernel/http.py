"""A service's HTTP from its parts: routes, health, version, metrics, documentation, and the layers in front of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import wraps
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.kernel import metrics, tracing
from services.kernel.decider import Answer, Meta, Outcome
from services.kernel.edge import Edge
from services.kernel.health import PATHS as HEALTH_PATHS
from services.kernel.health import Health
from services.kernel.ids import uuid_of
from services.kernel.problem import CONTENT_TYPE, Headers, Problem, internal_error, rejection
from services.kernel.routing import Endpoint, Request, Route, Router, Table
from services.kernel.settings import Kernel
from services.kernel.tokens import Principal

_JSON = (b"content-type", b"application/json")
_PROBLEM = (b"content-type", CONTENT_TYPE)
_NO_STORE = (b"cache-control", b"no-store")
_REPLAYED = (b"idempotency-replayed", b"true")
_PARAMETER = re.compile(r"{(\w+)(?::path)?}")


class Reply(Response):
    """A JSON answer from bytes that stand already; a problem when its status says so."""

    def __init__(self, answer: Answer, headers: Headers = (), *, plain: bool = False) -> None:
        """`headers` in lower case, beside content-type, content-length and cache-control. `plain`: never a problem."""
        self.status_code, self.body = answer
        self.background = None
        kind = _JSON if plain or self.status_code < 400 else _PROBLEM
        self.raw_headers = [kind, (b"content-length", b"%d" % len(self.body)), _NO_STORE, *headers]


def reply(outcome: Outcome) -> Reply:
    """The answer to a unit: the one that was made for it, or its refusal. Raises Problem 500 for a bug of ours."""
    replayed = (_REPLAYED,) if outcome.replayed else ()
    if outcome.answer is not None:
        return Reply(outcome.answer, replayed)
    if outcome.refusal is not None:
        return Reply(rejection(outcome.refusal), replayed)
    raise outcome.error or internal_error()


def json_reply(value: Any, status: int = 200, headers: Headers = ()) -> Reply:
    """`value` (dicts, lists, dataclasses, UUID, datetime, int, str) as JSON, whatever the status."""
    return Reply((status, msgspec.json.encode(value)), headers, plain=True)


def meta(principal: Principal, reason: str | None = None) -> Meta:
    """Who asks, for the events that follow. They belong together by the trace, unless the decider correlates better."""
    trace = tracing.current() or tracing.begin()
    correlation = uuid_of(trace.trace_id)
    return Meta(principal.tenant, str(principal.subject), correlation, None, reason, trace.header)


class HealthReply(BaseModel):
    """How this process is. The words that the runbooks read; `/v1/health` may say more."""

    ok: bool
    db_ok: bool
    ready: bool
    migrations_ok: bool
    status: str
    dependencies: dict[str, str]


class VersionReply(BaseModel):
    """What runs here."""

    service: str
    release_id: str
    git_sha: str
    colour: str
    environment: str


class App(FastAPI):
    """FastAPI for documentation and rare routes; the service's own routes are answered by the table in front of it."""

    def __init__(self, service: str, routes: Sequence[Route], cors_allow_origins: Sequence[str]) -> None:
        """Routes are also made known to FastAPI, for `/openapi.json` alone."""
        super().__init__(title=service, docs_url=None, redoc_url=None, redirect_slashes=False)
        for route in routes:
            _document(self, route)
        self.edge: ASGIApp = Edge(Table(routes, otherwise=AsyncExitStackMiddleware(self.router)))
        if cors_allow_origins:
            self.edge = CORSMiddleware(
                self.edge, allow_origins=list(cors_allow_origins), allow_methods=["*"], allow_headers=["*"]
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """HTTP goes past FastAPI's own layers."""
        scope["app"] = self
        await (self.edge if scope["type"] == "http" else self.router)(scope, receive, send)


def create_app(
    settings: Kernel, routers: Iterable[Router], health: Health | None = None, *, public: bool = False
) -> App:
    """The ASGI application of a service, with its probes; without /metrics on a port that is open to the public."""
    routes = [route for router in [*routers, probes(settings, health or Health())] for route in router.routes]
    if not public:
        routes += _metrics().routes
    metrics.prepare_routes((route.method, route.path, route.status) for route in routes)
    return App(settings.service, routes, settings.cors_allow_origins)


def probe_app(settings: Kernel, health: Health) -> App:
    """Only the probes, for a process that serves nobody else."""
    return create_app(settings, (), health)


def probes(settings: Kernel, health: Health) -> Router:
    """The routes that say how the process is and what runs in it."""
    router = Router()
    version = {
        "service": settings.service,
        "release_id": settings.release_id,
        "git_sha": settings.release_sha,
        "colour": settings.colour,
        "environment": settings.env,
    }

    async def get_version(_request: Request) -> Response:
        """What runs here; a smoke test compares it with what it deployed."""
        return json_reply(version)

    router.get("/version", reply=VersionReply)(get_version)
    for path in HEALTH_PATHS:
        also = {} if path == "/healthz" else {503: HealthReply}
        said = "Whether the process lives" if path == "/healthz" else "Whether it may be sent traffic"
        router.get(path, reply=HealthReply, also=also, summary=said)(_health(path, health))
    return router


def _metrics() -> Router:
    router = Router()

    @router.get("/metrics")
    async def get_metrics(_request: Request) -> Response:
        """Prometheus's text format."""
        return Response(await metrics.scraped(), media_type=CONTENT_TYPE_LATEST)

    return router


def _health(path: str, health: Health) -> Endpoint:
    async def get_health(_request: Request) -> Response:
        """Liveness on /healthz (200 while the process lives), readiness on the others (503 when not ready)."""
        report = await health.report()
        if path == "/healthz":
            return json_reply(report | {"ok": True})
        if path == "/v1/health":
            report |= dict(health.extra())
        return json_reply(report, 200 if report["ready"] else 503)

    return get_health


def _unserved(endpoint: Endpoint) -> Endpoint:
    """The same for the documentation. FastAPI finds routes that our table does not, such as a path with a line break at
    its end, and would read any body for them."""

    @wraps(endpoint)
    async def unserved(request: Request) -> Response:
        raise Problem(404, "not-found")

    return unserved


def _document(app: FastAPI, route: Route) -> None:
    """Tell FastAPI's OpenAPI of a route that it does not serve."""
    extra: dict[str, Any] = {
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in _PARAMETER.findall(route.path)
        ]
    }
    if route.body is not None:
        schema = route.body.model_json_schema(ref_template="#/components/schemas/{model}")
        extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    responses: Mapping[int | str, dict[str, Any]] = {route.status: {"model": route.reply}} if route.reply else {}
    name = getattr(route.endpoint, "__name__", "endpoint")
    app.router.add_api_route(
        route.path, _unserved(route.endpoint), methods=[route.method], name=name, status_code=route.status,
        response_model=None, responses=dict(responses), openapi_extra=extra,
        operation_id=re.sub(r"\W+", "_", f"{route.method}{route.path}").strip("_").lower(),
    )  # fmt: skip
