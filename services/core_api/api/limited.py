"""Routes of ours that count who asks them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps

from starlette.responses import Response
from starlette.types import Scope

from services.kernel.problem import Headers, Problem
from services.kernel.routing import Endpoint, Request, Router

Take = Callable[[Scope], Headers]  # counts a request; raises Problem 429


def limited(router: Router, takes: Mapping[str, Take], otherwise: Take | None) -> Router:
    """The same routes; those at a path of `takes` are counted by it, the others by `otherwise`, if there is one."""
    counted = Router()
    for route in router.routes:
        take = takes.get(route.path, otherwise)
        counted.routes.append(replace(route, endpoint=_counting(route.endpoint, take)) if take else route)
    return counted


def _counting(endpoint: Endpoint, take: Take) -> Endpoint:
    @wraps(endpoint)
    async def counting(request: Request) -> Response:
        quota = take(request.scope)
        try:
            answer = await endpoint(request)
        except Problem as trouble:
            trouble.headers = (*trouble.headers, *quota)
            raise
        answer.raw_headers.extend(quota)
        return answer

    return counting
