"""How many requests a process works on at once. Beyond it they are refused at once; probes and metrics never are."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from services.kernel import metrics
from services.kernel.edge import Edge
from services.kernel.health import PROBES
from services.kernel.problem import Problem


class Admission:
    """In front of the application of one port."""

    def __init__(self, app: ASGIApp, requests_max: int) -> None:
        """`requests_max`: HTTP_CONCURRENCY."""
        self._app = app
        self._requests_max = requests_max
        self._under_way = 0
        self._refused = Edge(_refuse)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it, or say 503 with Retry-After."""
        if self._under_way >= self._requests_max and scope["path"] not in PROBES:
            await self._refused(scope, receive, send)
            return
        self._under_way += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1


async def _refuse(_scope: Scope, _receive: Receive, _send: Send) -> None:
    metrics.HTTP_REFUSED.inc()
    detail = "Too many requests are under way here. Nothing was done; send the same request again."
    raise Problem(503, "overloaded", detail, headers=((b"retry-after", b"1"), (b"connection", b"close")))
