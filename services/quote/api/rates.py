"""The published rates, for our other services: what a quote would be made of at this moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from starlette.responses import Response

from services.kernel.http import json_reply
from services.kernel.routing import Request, Router
from services.kernel.strict_json import Body
from services.kernel.tokens import ServiceTokens, require
from services.quote.domain import Corridor, Corridors
from services.quote.ports import RateSource, RateUnavailable


class RateReply(Body):
    """What one unit of `source` buys of `target`, in plain digits."""

    source: str
    target: str
    value: str
    publisher: str
    published_at: datetime
    max_age_seconds: int  # beyond it no quote is made on it; the strictest of the pair's corridors


class RatesReply(Body):
    """The newest rate of each pair that a corridor uses; `unpublished`: the corridors whose pair has none."""

    at: datetime
    rates: list[RateReply]
    unpublished: list[str]


async def published(corridors: Iterable[Corridor], rates: RateSource) -> dict[str, Any]:
    """The rates by pair, without those that there are not."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    missing: list[str] = []
    for corridor in sorted(corridors, key=lambda each: (each.rate_max_age_seconds, each.name)):
        try:
            rate = await rates.rate(corridor.source, corridor.target)
        except RateUnavailable:
            missing.append(corridor.name)
            continue
        found.setdefault(
            (rate.source, rate.target),
            {
                "source": rate.source, "target": rate.target, "value": rate.value, "publisher": rate.publisher,
                "published_at": rate.published_at, "max_age_seconds": corridor.rate_max_age_seconds,
            },
        )  # fmt: skip
    return {"rates": [found[pair] for pair in sorted(found)], "unpublished": sorted(missing)}


def rate_routes(corridors: Corridors, rates: RateSource, tokens: ServiceTokens, now: Callable[[], datetime]) -> Router:
    """/internal/rates, for our other services."""
    router = Router("/internal")

    @router.get("/rates", reply=RatesReply, roles=("service",))
    async def get_rates(request: Request) -> Response:
        """For services only: the newest published rate of each pair, also one that is too old for a quote."""
        require(tokens.authenticate(request.headers), "service")
        return json_reply({"at": now()} | await published(corridors.by_name.values(), rates))

    return router
