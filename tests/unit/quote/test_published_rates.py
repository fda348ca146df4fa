"""The rates that our other services read: one of each pair, the newest, also an old one; for services alone."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from services.kernel.http import create_app
from services.kernel.money import Currency, Rate, iso4217
from services.kernel.settings import Kernel, load
from services.kernel.tokens import Principal, ServiceTokens, Tokens
from services.quote.api.rates import published, rate_routes
from services.quote.domain import Corridors
from services.quote.ports import RateUnavailable
from tests.unit.quote.samples import AT, CORRIDOR, GBP, RATE, aged
from tests.unit.quote.test_terms import SETTINGS, send

ROW = {
    "source": "GBP", "target": "ETB", "value": "205.128206", "publisher": "treasury", "published_at": AT,
    "max_age_seconds": 300,
}  # fmt: skip
TO_KENYA = replace(CORRIDOR, name="GB-KE", target=iso4217("KES"))


class Feed:
    """One pair is published."""

    def __init__(self, rate: Rate = RATE) -> None:
        self.given = rate

    async def rate(self, source: Currency, target: Currency) -> Rate:
        if (source, target) != (self.given.source, self.given.target):
            raise RateUnavailable(f"{source}/{target}")
        return self.given


async def test_a_pair_is_there_once_with_the_strictest_age_of_its_corridors() -> None:
    strict = replace(CORRIDOR, name="GB-ET-now", rate_max_age_seconds=60)
    assert await published([CORRIDOR, strict], Feed()) == {"rates": [ROW | {"max_age_seconds": 60}], "unpublished": []}


async def test_a_pair_that_nobody_publishes_is_named_by_its_corridor() -> None:
    assert await published([TO_KENYA, CORRIDOR], Feed()) == {"rates": [ROW], "unpublished": ["GB-KE"]}


async def test_an_old_rate_is_told_with_its_age_limit() -> None:
    old = aged(86_400)
    found = await published([CORRIDOR], Feed(old))
    assert found["rates"] == [ROW | {"published_at": old.published_at}]


@pytest.mark.parametrize(("issuer", "role", "status"), [(ServiceTokens, "service", 200), (Tokens, "operator", 401)])
async def test_only_services_may_ask(issuer: type[Tokens], role: str, status: int) -> None:
    settings = load(Kernel, "quote", SETTINGS)
    corridors, services = Corridors(1, {"GB-ET": CORRIDOR}), ServiceTokens.from_settings(settings)
    token = issuer.from_settings(settings).issue(Principal(uuid4(), "corridor", frozenset({role})), 600)
    app = create_app(settings, [rate_routes(corridors, Feed(), services, lambda: AT)])

    answered, body = await send(app, token, "GET", "/internal/rates", b"")

    assert answered == status
    if status == 200:
        assert (body["rates"][0]["value"], body["unpublished"]) == ("205.128206", [])
        assert body["rates"][0]["source"] == GBP
