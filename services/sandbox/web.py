"""A very small HTTP layer on raw ASGI: exact routes, whole bodies, and lines that can be cut."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_BYTES_MAX = 2 * 1024 * 1024  # 500 payments with every field at its longest
log = logging.getLogger("sandbox.web")


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    query: Mapping[str, str]
    bearer: str | None
    body: bytes

    def json(self) -> Any:
        """Raises ValueError, also for what is too deep and for a body that is no UTF-8."""
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("nested too deeply") from None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. `cut`: book it all the same, but close the line without a byte, after `delay_seconds`."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    delay_seconds: float = 0.0
    cut: bool = False


Handler = Callable[[Request], Awaitable[Reply]]


@dataclass
class App:
    """Routes by (method, path); a path that ends in `*` takes the rest as an id."""

    routes: Mapping[tuple[str, str], Handler]
    answers: dict[int, int] = field(default_factory=dict)  # status -> how many, for /metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        reply = await self._reply(scope, receive)
        self.answers[reply.status] = self.answers.get(reply.status, 0) + 1
        if reply.delay_seconds:
            await asyncio.sleep(reply.delay_seconds)
        if reply.cut:
            await _cut(scope, receive)
        else:
            await _send(reply, send)

    async def _reply(self, scope: Scope, receive: Receive) -> Reply:
        handler = self._handler(scope["method"], scope["path"])
        if handler is None:
            return problem(404, "no such route")
        body = await _body(receive)
        if body is None:
            return problem(413, f"more than {BODY_BYTES_MAX} bytes")
        try:
            return await handler(_request(scope, body))
        except ValueError as error:
            return problem(400, str(error))
        except Exception:
            log.exception("%s %s", scope["method"], scope["path"])
            return problem(500, "the sandbox itself failed; see its log")

    def _handler(self, method: str, path: str) -> Handler | None:
        exact = self.routes.get((method, path))
        return exact or self.routes.get((method, path[: path.rfind("/") + 1] + "*"))


class CuttableProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which also hands over the line itself, so that a fault can cut it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {"sandbox.line": self.transport}  # type: ignore[dict-item]


def encode(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def answer(value: Any, status: int = 200) -> Reply:
    return Reply(status, encode(value))


def problem(status: int, detail: str) -> Reply:
    body = encode({"type": "about:blank", "status": status, "detail": detail})
    return Reply(status, body, b"application/problem+json")


def _request(scope: Scope, body: bytes) -> Request:
    query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    header = next((value for name, value in scope["headers"] if name == b"authorization"), b"").decode("latin-1")
    scheme, _, token = header.partition(" ")
    return Request(scope["method"], scope["path"], query, token if scheme.lower() == "bearer" else None, body)


async def _body(receive: Receive) -> bytes | None:
    """The whole body, or None when it is too big (it is read to its end, so that the answer arrives)."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size <= BODY_BYTES_MAX:
            parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts) if size <= BODY_BYTES_MAX else None


async def _send(reply: Reply, send: Send) -> None:
    headers = [(b"content-type", reply.content_type), (b"content-length", b"%d" % len(reply.body))]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def _cut(scope: Scope, receive: Receive) -> None:
    scope["extensions"]["sandbox.line"].abort()
    while (await receive())["type"] != "http.disconnect":
        pass
