"""The door: passes `/v1/...` on to the service that owns it. Every request pays for this, so it is raw ASGI."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.core_api.ports import Gate
from services.kernel import tracing
from services.kernel.deadline import Deadline
from services.kernel.problem import Problem, closing, unavailable
from services.kernel.routing import (
    BODY_SECONDS_MAX,
    BULK_BYTES_MAX,
    FILE_BYTES_MAX,
    ROUTE,
    SINGLE_BYTES_MAX,
    WEBHOOK_BYTES_MAX,
)
from services.kernel.telemetry import logger
from services.kernel.upstream import Link, Upstream, UpstreamBusy, UpstreamLost

ANSWER_SECONDS_MAX = 30
HELD_BYTES_MAX = (
    64 * 1024 * 1024
)  # of bodies that are still on their way here, all together; no token stands before them
TARGET = "corridor.target"  # the scope's member with the Target that was found
FILES = "reconciliation"  # the one prefix below which files are taken
_BULK = ("batch", "bulk")  # how the path of a bulk request ends
# hop by hop (RFC 9110, 7.6.1), ours to say (CORS is answered here), or what only a proxy that we trust may say
_DROPPED = frozenset({
    b"host", b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te",
    b"trailer", b"transfer-encoding", b"upgrade", b"expect", b"content-length", b"traceparent", b"forwarded",
    b"x-real-ip", b"origin",
})  # fmt: skip
_FORGED = (b"x-forwarded-", b"x-user-", b"x-tenant-")
_TOKEN_IN_QUERY = (b"token=", b"authorization=", b"jwt=")
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_LOG = logger("proxy")


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests below a prefix go."""

    upstream: Upstream
    service: str
    route: str  # for metrics
    limit: int  # bytes of a body; a bulk request may have more
    partners: bool = False  # signed by who sends it: no user, no maintenance


class Door:
    """The application: what belongs to a service behind is passed on, everything else is our own."""

    def __init__(self, own: ASGIApp, passed: ASGIApp, targets: Mapping[str, Target]) -> None:
        """`passed` is Proxy with whatever stands around it; `targets` by "quotes" or "webhooks/deposit"."""
        self._own = own
        self._passed = passed
        self._targets = dict(targets)
        self._hooks = [(prefix, target) for prefix, target in targets.items() if "/" in prefix]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One look-up decides."""
        if scope["type"] == "http" and (target := self._find(scope["path"])):
            scope[TARGET], scope[ROUTE] = target, target.route
            await self._passed(scope, receive, send)
        else:
            await self._own(scope, receive, send)

    def _find(self, path: str) -> Target | None:
        steps = path.split("/", 4)
        if len(steps) < 3 or steps[1] != "v1":
            return None
        if steps[2] != "webhooks" or len(steps) < 4:
            return self._targets.get(steps[2])
        hook = f"webhooks/{steps[3]}"
        return next((target for prefix, target in self._hooks if hook.startswith(prefix)), None)


class Proxy:
    """Passes a request on and its answer back: the body byte for byte, the bearer as it is, hop-by-hop headers not."""

    def __init__(self, gate: Gate) -> None:
        """One object for the life of the process."""
        self._gate = gate
        self._held = 0  # bytes of bodies that are not whole yet
        self._body_deadline = Deadline(BODY_SECONDS_MAX)
        self._deadline = Deadline(ANSWER_SECONDS_MAX)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Problem: 400, 408, 413, 503, 504."""
        target: Target = scope[TARGET]
        if self._gate.closed and scope["method"] not in _READS and not target.partners:
            self._gate.judge(scope["headers"])
        limit = BULK_BYTES_MAX if scope["path"].endswith(_BULK) else target.limit
        length, keyed, lines = _head(scope)
        body = await self._read(receive, length, limit) if length else b""
        request = _request(scope, target.upstream, lines, body, framed=length is not None)
        try:
            async with self._deadline:
                await self._pass(target.upstream, request, send, repeatable=keyed or scope["method"] in _READS)
        except UpstreamBusy:
            raise unavailable("too many requests are under way", retry_after_seconds=2) from None
        except UpstreamLost as lost:
            _LOG.warning("upstream_lost", service=target.service, reason=str(lost))
            raise unavailable("The service does not answer at the moment.") from None
        except TimeoutError:
            _LOG.warning("upstream_slow", service=target.service)
            raise Problem(504, "gateway-timeout", "Not answered in time; it may still be done. Ask again.") from None

    async def _pass(self, upstream: Upstream, request: bytes, send: Send, *, repeatable: bool) -> None:
        link = await upstream.exchange(request, repeatable=repeatable)
        try:
            await send({"type": "http.response.start", "status": link.status, "headers": _headers(link, upstream)})
            while True:
                part, last = await link.part()
                await send({"type": "http.response.body", "body": part, "more_body": not last})
                if last:
                    return
        finally:
            upstream.release(link)

    async def _read(self, receive: Receive, length: int, limit: int) -> bytes:
        """The whole body; `length` is -1 when it comes in chunks."""
        if length > limit:
            raise _too_large(limit)
        try:
            async with self._body_deadline:
                message = await receive()
                body: bytes = message.get("body", b"")
                if not message.get("more_body", False) and message["type"] == "http.request" and len(body) <= limit:
                    return body
                return await self._gather(message, receive, limit)
        except TimeoutError:
            raise closing(408, "request-timeout", "The body did not arrive in time.") from None

    async def _gather(self, message: Message, receive: Receive, limit: int) -> bytes:
        """What comes in parts, within what all such bodies may hold."""
        parts, size = [message.get("body", b"")], 0
        try:
            while True:
                size += len(parts[-1])
                self._held += len(parts[-1])
                if size > limit:
                    raise _too_large(limit)
                if message["type"] == "http.disconnect":
                    raise closing(400, "body-incomplete")
                if not message.get("more_body", False):
                    return b"".join(parts)
                if self._held > HELD_BYTES_MAX:
                    raise _overloaded()
                message = await receive()
                parts.append(message.get("body", b""))
        finally:
            self._held -= size


def _overloaded() -> Problem:
    detail = "Too many large bodies are on their way here. Nothing was done; send the same request again."
    return Problem(503, "overloaded", detail, headers=((b"retry-after", b"1"), (b"connection", b"close")))


def _too_large(limit: int) -> Problem:
    return closing(413, "body-too-large", f"At most {limit} bytes are read here.")


def _head(scope: Scope) -> tuple[int | None, bool, list[bytes]]:
    """The length of the body (-1 in chunks, None without one), whether it has a key, and the header lines that stay."""
    length, keyed, named, lines = None, False, b"", []
    for name, value in scope["headers"]:
        if name in _DROPPED:
            if name == b"content-length":
                length = int(value) if value.isdigit() and len(value) < 16 else FILE_BYTES_MAX + 1
            elif name == b"transfer-encoding":
                length = -1
            elif name == b"connection" and value not in {b"keep-alive", b"close"}:
                named = value
        elif not (name[:2] == b"x-" and name.startswith(_FORGED)):
            lines.append(b"%b: %b\r\n" % (name, value))
            keyed = keyed or name == b"idempotency-key"
    if named:
        lines = _without(lines, named)
    return length, keyed, lines


def _without(lines: list[bytes], named: bytes) -> list[bytes]:
    """Without the headers that `Connection` names: they are for the next hop only."""
    names = {name.strip().lower() for name in named.split(b",")}
    return [line for line in lines if line.partition(b":")[0] not in names]


def _request(scope: Scope, upstream: Upstream, lines: list[bytes], body: bytes, *, framed: bool) -> bytes:
    """The request as it goes out. HEAD is asked as GET: its answer has no body, and our server sends none either."""
    path, query = scope.get("raw_path") or scope["path"].encode(), scope["query_string"]
    if query:
        if any(word in query.lower() for word in _TOKEN_IN_QUERY):
            raise Problem(400, "token-in-query", "A token belongs into the Authorization header.")
        path = b"%b?%b" % (path, query)
    trace = tracing.current()
    method = b"GET" if scope["method"] == "HEAD" else scope["method"].encode()
    head = b"".join([
        b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (method, path, upstream.authority),
        b"traceparent: %b\r\n" % trace.header.encode() if trace else b"",
        b"content-length: %d\r\n" % len(body) if framed else b"",
        *lines,
        b"\r\n",
    ])  # fmt: skip
    if head.count(b"\n") != len(lines) + 3 + framed + (trace is not None):
        raise Problem(400, "header-malformed", "A header holds a line break.")
    return head + body


def _headers(link: Link, upstream: Upstream) -> Iterable[tuple[bytes, bytes]]:
    """The answer's, without the name of our own machine."""
    for at, (name, value) in enumerate(link.headers):
        if name == b"location" and value.startswith(upstream.origin):
            link.headers[at] = (name, value[len(upstream.origin) :] or b"/")
    return link.headers


class Absent(Upstream):
    """A service that this installation does not have."""

    def __init__(self, service: str) -> None:
        super().__init__("http://absent")
        self._service = service

    async def exchange(self, request: bytes, *, repeatable: bool) -> Link:
        """Raises Problem 503: the path is right, and asking again does not help."""
        raise Problem(503, "not-configured", f"This installation runs no {self._service} service.")


def targets(urls: Mapping[str, str | None]) -> dict[str, Target]:
    """Every prefix with its owner, from the addresses of the services behind; None is a service that is not there."""
    upstreams = {service: Upstream(url) if url else Absent(service) for service, url in urls.items()}

    def target(prefix: str, service: str) -> tuple[str, Target]:
        partners = prefix.startswith("webhooks/")
        limit = WEBHOOK_BYTES_MAX if partners else FILE_BYTES_MAX if prefix == FILES else SINGLE_BYTES_MAX
        return prefix, Target(upstreams[service], service, f"/v1/{prefix}", limit, partners)

    return dict([
        target("quotes", "quote"),
        target("corridors", "quote"),
        target("transfers", "transfer"),
        target("deposits", "deposit"),
        target("routes", "deposit"),
        target("webhooks/deposit", "deposit"),
        target("payouts", "payout"),
        target("webhooks/payout", "payout"),
        target("ledger", "ledger"),
        target("reviews", "review"),
        target("recon", "recon"),
        target(FILES, "recon"),
    ])  # fmt: skip
