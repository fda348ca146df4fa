"""HTTP in front of the quote domain. Parses, calls, answers; decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field
from starlette.responses import Response

from contracts.quote.v1 import QuoteCreated
from services.kernel.bulk import ITEMS_MAX, BulkReply, Item, Refused, answering, commit_item, commit_items
from services.kernel.codec import encode
from services.kernel.decider import Answer, Ask, Meta, Outcome, RequestKey, Unit
from services.kernel.engine import Engine
from services.kernel.group_commit import GroupCommit
from services.kernel.http import Reply, json_reply, meta, reply
from services.kernel.idempotency import item_key, request_key
from services.kernel.money import AmountOutOfRange, Currency, CurrencyUnsupported, Money, iso4217
from services.kernel.rejected import Rejected
from services.kernel.routing import BULK_BYTES_MAX, Request, Router
from services.kernel.strict_json import Body, Id, parse, read_uuid
from services.kernel.tokens import Principal, ServiceTokens, Tokens, require, require_tenant
from services.quote.domain import (
    AmountOutsideLimits,
    Corridor,
    Corridors,
    CorridorUnsupported,
    CreateQuote,
    Quote,
    QuoteIdReused,
    QuoteNotFound,
    RateStale,
    price,
)
from services.quote.ports import RateSource, RateUnavailable


class QuoteRequest(Body):
    """What a customer wants to send, through which corridor."""

    corridor: str = Field(description="collected in, paid out in (ISO 3166): GB-ET", max_length=16)
    send_minor: int = Field(description="what is paid in, in minor units (10000 is 100.00 GBP)", ge=1)
    send_currency: str = Field(description="ISO 4217", min_length=3, max_length=3)


class QuoteBatchRequest(Body):
    """Up to 500 quotes, each with a result of its own."""

    quotes: Annotated[list[QuoteRequest], Field(min_length=1, max_length=ITEMS_MAX)]


class QuoteReply(Body):
    """A price, promised until `expires_at`. Amounts in minor units of their currency."""

    quote_id: UUID
    state: str
    corridor: str
    send_minor: int
    send_currency: str
    fee_minor: int
    spread_minor: int
    tolerance_minor: int
    receive_minor: int
    receive_currency: str
    receive_decimal: str
    rate: str
    rate_publisher: str
    rate_published_at: datetime
    created_at: datetime
    expires_at: datetime


class CorridorReply(Body):
    """From where to where we send, within which limits and times."""

    corridor: str
    version: int
    send_currency: str
    receive_currency: str
    send_minor_min: int
    send_minor_max: int
    quote_seconds: int = Field(description="how long a quote is promised")
    funding_seconds: int = Field(description="how long a transfer waits for its deposit")
    rail: str


class CorridorsReply(Body):
    """All that we serve."""

    corridors: list[CorridorReply]


class RateAway(Rejected):
    """No published rate can be had at the moment."""

    code = "RATE_UNAVAILABLE"
    status = 503


QUOTING = (
    CorridorUnsupported, CurrencyUnsupported, AmountOutOfRange, AmountOutsideLimits, RateStale, RateAway, QuoteIdReused,
)  # fmt: skip


def view(terms: QuoteCreated, state: str) -> dict[str, Any]:
    """A quote as its customer sees it."""
    return {
        "quote_id": terms.quote_id,
        "state": state,
        "corridor": terms.corridor,
        "send_minor": terms.send.minor,
        "send_currency": terms.send.currency,
        "fee_minor": terms.fee.minor,
        "spread_minor": terms.spread.minor,
        "tolerance_minor": terms.tolerance.minor,
        "receive_minor": terms.receive.minor,
        "receive_currency": terms.receive.currency,
        "receive_decimal": str(terms.receive).partition(" ")[0],
        "rate": terms.rate.value,
        "rate_publisher": terms.rate.publisher,
        "rate_published_at": terms.rate.published_at,
        "created_at": terms.created_at,
        "expires_at": terms.expires_at,
    }


def quote_reply(outcome: Outcome) -> Answer:
    """201 with the quote as it stands."""
    state: Quote = outcome.heads[0].state
    assert state is not None
    return 201, encode(view(state.terms, state.state))


class Quotes:
    """What the routes need: one object, built in __main__."""

    def __init__(
        self, commands: GroupCommit, reads: Engine, corridors: Corridors, rates: RateSource, now: Callable[[], datetime]
    ) -> None:
        self._commands = commands
        self._reads = reads
        self._corridors = corridors
        self._rates = rates
        self._now = now

    async def create(self, body: QuoteRequest, key: RequestKey, asked: Meta, principal: Principal) -> Outcome:
        """Price, then promise."""
        item = self._item(body, await self._prices([body]), key, asked, principal)
        return await commit_item(self._commands, item)

    async def create_all(self, body: QuoteBatchRequest, key: RequestKey, asked: Meta, principal: Principal) -> Reply:
        """Each item under its own key."""
        rates = await self._prices(body.quotes)
        items = [
            self._item(each, rates, item_key(key, index), asked, principal) for index, each in enumerate(body.quotes)
        ]
        return await commit_items(self._commands, items)

    async def find(self, quote_id: UUID, principal: Principal) -> dict[str, Any]:
        """A quote of this customer. Raises QuoteNotFound."""
        found = (await self._reads.heads([quote_id])).get(quote_id)
        if found is None or found[0].tenant != principal.tenant or found[1].terms.customer_id != principal.subject:
            raise QuoteNotFound(quote_id)
        return view(found[1].terms, found[1].state)

    async def terms(self, quote_ids: list[UUID], tenant: str) -> dict[str, Any]:
        """The quotes' own events, for the transfer service when its table is behind."""
        found = await self._reads.heads(quote_ids)
        return {str(quote_id): state.terms for quote_id, (head, state) in found.items() if head.tenant == tenant}

    async def _prices(self, wishes: list[QuoteRequest]) -> Mapping[str, Any]:
        """The newest rate for each corridor asked for, once. No network call is made inside a transaction."""
        names = {wish.corridor for wish in wishes if wish.corridor in self._corridors.by_name}
        corridors = [self._corridors.by_name[name] for name in sorted(names)]
        return {each.name: await self._rate(each.source, each.target) for each in corridors}

    async def _rate(self, source: Currency, target: Currency) -> Any:
        try:
            return await self._rates.rate(source, target)
        except RateUnavailable:
            return RateAway(f"{source}/{target}")

    def _item(
        self, wish: QuoteRequest, rates: Mapping[str, Any], key: RequestKey, asked: Meta, principal: Principal
    ) -> Item:
        try:
            return self._unit(wish, rates, key, asked, principal)
        except Rejected as refusal:
            return Refused(asked, key, refusal)

    def _unit(
        self, wish: QuoteRequest, rates: Mapping[str, Any], key: RequestKey, asked: Meta, principal: Principal
    ) -> Unit:
        corridor: Corridor = self._corridors.named(wish.corridor)
        rate = rates[wish.corridor]
        if isinstance(rate, Rejected):
            raise rate
        offer = price(corridor, Money(wish.send_minor, iso4217(wish.send_currency)), rate, self._now())
        quote_id = key.derive("quote")
        command = CreateQuote(quote_id=quote_id, customer_id=principal.subject, offer=offer)
        belongs = Meta(asked.tenant, asked.actor, quote_id, None, asked.reason, asked.traceparent)
        return Unit((Ask(quote_id, command),), belongs, key, answer=answering(quote_reply))


def corridor_view(corridor: Corridor) -> dict[str, Any]:
    """A corridor as a customer sees it."""
    return {
        "corridor": corridor.name,
        "version": corridor.version,
        "send_currency": corridor.source,
        "receive_currency": corridor.target,
        "send_minor_min": corridor.send_min.minor,
        "send_minor_max": corridor.send_max.minor,
        "quote_seconds": corridor.quote_seconds,
        "funding_seconds": corridor.funding_seconds,
        "rail": corridor.rail,
    }


def routes(quotes: Quotes, corridors: Corridors, tokens: Tokens) -> Router:
    """/v1/quotes and /v1/corridors."""
    router = Router()

    @router.post("/v1/quotes", body=QuoteRequest, reply=QuoteReply, problems=QUOTING)
    async def post_quote(request: Request) -> Response:
        """A price, locked until it expires. Needs an Idempotency-Key; the same key keeps its first price."""
        principal = tokens.authenticate(request.headers)
        require(principal, "customer")
        raw = await request.body()
        key = request_key(request, principal, raw)
        return reply(await quotes.create(parse(raw, QuoteRequest), key, meta(principal), principal))

    @router.post("/v1/quotes/batch", status=200, body=QuoteBatchRequest, reply=BulkReply, limit=BULK_BYTES_MAX)
    async def post_quotes(request: Request) -> Response:
        """Up to 500 quotes with a result for each; an item's key is the batch's key and its index."""
        principal = tokens.authenticate(request.headers)
        require(principal, "customer")
        raw = await request.body()
        key = request_key(request, principal, raw)
        return await quotes.create_all(parse(raw, QuoteBatchRequest), key, meta(principal), principal)

    @router.get("/v1/quotes/{quote_id}", reply=QuoteReply, problems=(QuoteNotFound,))
    async def get_quote(request: Request) -> Response:
        """A quote of yours."""
        principal = tokens.authenticate(request.headers)
        return Reply((200, encode(await quotes.find(read_uuid(request.path_params["quote_id"]), principal))))

    @router.get("/v1/corridors", reply=CorridorsReply)
    async def get_corridors(request: Request) -> Response:
        """What we serve, with limits and times."""
        tokens.authenticate(request.headers)
        return json_reply({"corridors": [corridor_view(each) for each in corridors.by_name.values()]})

    return router


def internal_routes(quotes: Quotes, tokens: ServiceTokens) -> Router:
    """/internal/quotes/terms, for our other services."""
    router = Router()

    @router.post("/internal/quotes/terms", status=200)
    async def post_terms(request: Request) -> Response:
        """For services only: the events of up to 500 quotes."""
        principal = tokens.authenticate(request.headers)
        require(principal, "service")
        body = parse(await request.body(), TermsRequest)
        require_tenant(principal, body.tenant)
        return Reply((200, encode(await quotes.terms(body.quote_ids, body.tenant))))

    return router


class TermsRequest(Body):
    """Which quotes, of which tenant."""

    tenant: str
    quote_ids: Annotated[list[Id], Field(min_length=1, max_length=ITEMS_MAX)]
