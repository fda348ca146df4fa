"""What a browser must know of our answers, as constants, and which origins may read them."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers as ReadHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.kernel.problem import Headers

Header = tuple[bytes, bytes]
FRAMES: Header = (b"x-frame-options", b"DENY")
REFERRER: Header = (b"referrer-policy", b"no-referrer")
HSTS: Header = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
NOSNIFF: Header = (b"x-content-type-options", b"nosniff")
NO_STORE: Header = (b"cache-control", b"no-store")
# of pages: our own scripts and styles, nothing from elsewhere; the documentation draws with inline styles and a worker
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    b"connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE_POLICY: Header = (b"content-security-policy", _POLICY)
EXPOSED = (
    "Idempotency-Replayed",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "Traceresponse",
    "X-Request-Id",
)
_PAGE = b"text/html"


def public_headers(env: str) -> Headers:
    """On every answer of the public door, beside nosniff. HSTS only where TLS stands in front of us."""
    return (FRAMES, REFERRER) if env in {"dev", "test"} else (FRAMES, REFERRER, HSTS)


class Dressed:
    """Our own routes with the public headers; a page that brings no policy of its own gets ours."""

    def __init__(self, app: ASGIApp, headers: Headers) -> None:
        """`app` answers nosniff itself, its edge does."""
        self._app = app
        self._headers = tuple(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Not on the way to other services: that one has an edge of its own."""

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                found = dict(message["headers"])
                policy = (PAGE_POLICY,) if _is_page(found) and PAGE_POLICY[0] not in found else ()
                message["headers"] = [*message["headers"], *self._headers, *policy]
            await send(message)

        await self._app(scope, receive, dressed)


def _is_page(headers: dict[bytes, bytes]) -> bool:
    return headers.get(b"content-type", b"").startswith(_PAGE)


class Cors(CORSMiddleware):
    """Who is not on the list gets no allow header at all, neither before nor with an answer."""

    def __init__(self, app: ASGIApp, origins: Sequence[str], headers: Headers) -> None:
        """`headers` are added to the answers that are given here."""
        super().__init__(
            app,
            allow_origins=list(origins),
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )
        self._headers = [NOSNIFF, NO_STORE, *headers]

    def preflight_response(self, request_headers: ReadHeaders) -> Response:
        """200 with what is allowed, 400 for a method or header that is not, 403 for an origin that is not."""
        allowed = self.is_allowed_origin(request_headers["origin"])
        answer = super().preflight_response(request_headers) if allowed else PlainTextResponse("", 403)
        answer.raw_headers.extend(self._headers)
        return answer
