"""Routes of a service and the table that finds them: a look-up and no layers, since each request pays for all of it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict, Unpack

from pydantic import BaseModel
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.kernel.deadline import Deadline
from services.kernel.problem import Problem, closing
from services.kernel.rejected import Rejected

SINGLE_BYTES_MAX = 64 * 1024
WEBHOOK_BYTES_MAX = 256 * 1024
BULK_BYTES_MAX = 1024 * 1024
FILE_BYTES_MAX = 16 * 1024 * 1024
BODY_SECONDS_MAX = 10
ROUTE = "corridor.route"  # the scope's member with the template of the route that was found

_BODY_DEADLINE = Deadline(BODY_SECONDS_MAX)
_PARAMETER = re.compile(r"{(\w+)(:path)?}")
_JSON = re.compile(rb"application/(?:[a-z0-9.-]+\+)?json(?:\s*;\s*charset=\"?utf-8\"?)?", re.IGNORECASE)
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Request(StarletteRequest):
    """Starlette's request with its body already read, within the route's limit."""

    def __init__(self, scope: Scope, receive: Receive, body: bytes) -> None:
        """`body` answers `await request.body()` at once."""
        super().__init__(scope, receive)
        self._body = body


Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter, in the words of JSON Schema."""

    name: str
    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    required: bool = False


class Documented(TypedDict, total=False):
    """What the documentation says of a route and its code does not, or not in a form that can be read there."""

    query: type[BaseModel] | tuple[Parameter, ...]
    roles: tuple[str, ...]  # who may call; () is everybody. Otherwise what `require` in the endpoint says
    keyed: bool  # whether it needs an Idempotency-Key. Otherwise whether the endpoint reads one
    summary: str  # otherwise the first sentence of the endpoint's docstring
    problems: tuple[type[Rejected] | str, ...]  # refusals of this route alone: their classes, or their slugs
    also: Mapping[int, type[BaseModel]]  # answers of another status that are no problems
    example: Any  # of the body, as JSON. Otherwise made from its schema
    files: Mapping[str, str]  # media types of files that it takes as they are, each with an example


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method and path. `body`, `reply` and `documented` are for the documentation; the endpoint does it all."""

    method: str
    path: str  # "/v1/quotes/{quote_id}"; "{rest:path}" takes slashes too
    endpoint: Endpoint
    status: int = 200
    body: type[BaseModel] | None = None
    reply: type[BaseModel] | None = None
    limit: int = SINGLE_BYTES_MAX  # bytes of a body
    documented: Documented = field(default_factory=Documented)


class Router:
    """The routes of one api.py, under a common prefix."""

    def __init__(self, prefix: str = "") -> None:
        """`prefix` without a slash at its end."""
        self.prefix = prefix
        self.routes: list[Route] = []

    def route(
        self,
        method: str,
        path: str = "",
        *,
        status: int = 200,
        body: type[BaseModel] | None = None,
        reply: type[BaseModel] | None = None,
        limit: int = SINGLE_BYTES_MAX,
        **documented: Unpack[Documented],
    ) -> Callable[[Endpoint], Endpoint]:
        """Decorate `async def endpoint(request: Request) -> Response`."""

        def add(endpoint: Endpoint) -> Endpoint:
            self.routes.append(
                Route(
                    method=method, path=self.prefix + path, endpoint=endpoint,
                    status=status, body=body, reply=reply, limit=limit, documented=documented,
                )
            )  # fmt: skip
            return endpoint

        return add

    def get(
        self, path: str = "", *, reply: type[BaseModel] | None = None, **documented: Unpack[Documented]
    ) -> Callable[[Endpoint], Endpoint]:
        """A reading route; HEAD comes with it."""
        return self.route("GET", path, reply=reply, **documented)

    def post(
        self,
        path: str = "",
        *,
        status: int = 201,
        body: type[BaseModel] | None = None,
        reply: type[BaseModel] | None = None,
        limit: int = SINGLE_BYTES_MAX,
        **documented: Unpack[Documented],
    ) -> Callable[[Endpoint], Endpoint]:
        """A command's route."""
        return self.route("POST", path, status=status, body=body, reply=reply, limit=limit, **documented)


class Table:
    """The ASGI application of all routes. What it does not know goes to `otherwise`."""

    def __init__(self, routes: Iterable[Route], otherwise: ASGIApp) -> None:
        """Routes with parameters are tried in the order given, after those without."""
        self._exact: dict[str, dict[str, Route]] = {}
        self._open: list[tuple[re.Pattern[str], dict[str, Route]]] = []
        self._otherwise = otherwise
        by_path: dict[str, dict[str, Route]] = {}
        for route in routes:
            methods = by_path.setdefault(route.path, {})
            assert route.method not in methods, f"two routes for {route.method} {route.path}"
            methods[route.method] = route
            if route.method == "GET":
                methods["HEAD"] = route
        for path, methods in by_path.items():
            if "{" in path:
                self._open.append((_pattern(path), methods))
            else:
                self._exact[path] = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find, read the body, call, answer. Raises Problem for what the caller did wrong on the way."""
        methods = self._find(scope)
        if methods is None:
            await self._otherwise(scope, receive, send)
            return
        route = methods.get(scope["method"])
        if route is None:
            scope[ROUTE] = next(iter(methods.values())).path
            raise Problem(405, "method-not-allowed", headers=((b"allow", ", ".join(sorted(methods)).encode()),))
        scope[ROUTE] = route.path
        files = route.documented.get("files", {})
        body = await _read(scope, receive, route.limit, files) if scope["method"] in _BODY_METHODS else b""
        response = await route.endpoint(Request(scope, receive, body))
        await response(scope, receive, send)

    def _find(self, scope: Scope) -> dict[str, Route] | None:
        path = scope["path"]
        methods = self._exact.get(path)
        if methods is not None:
            scope["path_params"] = {}
            return methods
        for pattern, candidates in self._open:
            found = pattern.fullmatch(path)
            if found:
                scope["path_params"] = found.groupdict()
                return candidates
        return None


def _pattern(path: str) -> re.Pattern[str]:
    parts, last = [], 0
    for found in _PARAMETER.finditer(path):
        parts.append(re.escape(path[last : found.start()]))
        parts.append(f"(?P<{found[1]}>{'.+' if found[2] else '[^/]+'})")
        last = found.end()
    return re.compile("".join(parts) + re.escape(path[last:]))


async def _read(scope: Scope, receive: Receive, limit: int, files: Iterable[str] = ()) -> bytes:
    """The whole body, counted as it comes. Raises Problem 400, 408, 413, 415."""
    length = _judge_headers(scope["headers"], limit, files)
    if length == 0:
        return b""
    try:
        async with _BODY_DEADLINE:
            message = await receive()
            if not message.get("more_body") and message["type"] == "http.request":
                return _within(message.get("body", b""), limit)
            return await _gather(message, receive, limit)
    except TimeoutError:
        raise closing(408, "request-timeout", "The body did not arrive in time.") from None


async def _gather(message: Message, receive: Receive, limit: int) -> bytes:
    body = bytearray()
    while True:
        if message["type"] == "http.disconnect":
            raise closing(400, "body-incomplete")
        body += message.get("body", b"")
        _within(body, limit)
        if not message.get("more_body"):
            return bytes(body)
        message = await receive()


def _within(body: bytes | bytearray, limit: int) -> bytes:
    if len(body) > limit:
        raise closing(413, "body-too-large", f"At most {limit} bytes are read here.")
    return body  # type: ignore[return-value]


def media_type(value: bytes) -> str:
    """Without its parameters."""
    return value.partition(b";")[0].strip().lower().decode("latin-1")


def _judge_headers(headers: list[tuple[bytes, bytes]], limit: int, files: Iterable[str] = ()) -> int:
    """What the headers say of a body: its length, -1 when it comes in chunks. Raises Problem before a byte is read."""
    length, media, chunked = 0, b"", False
    for name, value in headers:
        if name == b"content-length":
            length = int(value) if value.isdigit() and len(value) < 16 else limit + 1
        elif name == b"content-type":
            media = value
        elif name == b"transfer-encoding":
            chunked = True
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise closing(415, "unsupported-content-coding", "Send the body as it is, not compressed.")
    if length > limit:
        raise closing(413, "body-too-large", f"At most {limit} bytes are read here.")
    if (length or chunked) and not _JSON.fullmatch(media.strip()) and media_type(media) not in files:
        raise closing(415, "unsupported-media-type", f"Send {' or '.join(('application/json', *files))}.")
    return -1 if chunked else length
