"""Routes for staff and for services that look into them: the list, and the history of one with its raw arrivals."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import Field
from starlette.responses import Response

from contracts.deposit.routes import route_id, route_reference
from contracts.deposit.v1 import EVENTS
from contracts.upcasts import UPCASTS
from services.deposit_watcher.api.replies import ArrivalReply, RouteNotFound, RouteReply
from services.deposit_watcher.domain.states import STAGES
from services.deposit_watcher.projections.arrivals import ArrivalView, arrivals_of
from services.deposit_watcher.projections.unmatched import UNMATCHED
from services.kernel import pages
from services.kernel.codec import EventCodec, encode
from services.kernel.http import Reply
from services.kernel.internal import OVERSEERS, Callers
from services.kernel.pages import (
    LIST_PROBLEMS,
    Found,
    Lists,
    PageQuery,
    PageReply,
    Query,
    QueryId,
    Row,
    Wish,
    read_query,
)
from services.kernel.routing import Request, Router
from services.kernel.strict_json import Body, read_uuid
from services.kernel.timeline import EVENTS_MAX, TimelineEntry, entry
from services.kernel.tokens import Principal

RARE = frozenset({"UNEXPECTED", "MISMATCHED"})  # few are ever there: found by what led there
KNOWN = ("s.stage <> {}::text", "")  # a reference that was used elsewhere leaves a stream without money or transfer
_CODEC = EventCodec(EVENTS, UPCASTS)
View = Callable[[UUID, Any], dict[str, Any]]


class DepositQuery(PageQuery):
    """Which routes."""

    state: tuple[str, ...] = Field((), max_length=len(STAGES), description="may be repeated: any of them")
    transfer_id: QueryId | None = Field(None, description="of which transfer")
    route: str | None = Field(None, max_length=64, description="the reference on the deposit")


class OfTransfer(Query):
    """Whose route."""

    transfer_id: QueryId


class DepositItem(RouteReply):
    """A route of a list."""

    version: int = Field(ge=1)
    created_at: datetime = Field(description="of the first that was heard of it: its transfer, or money")
    changed_at: datetime


class DepositsReply(PageReply):
    """A page of routes, the newest first."""

    items: list[DepositItem]


class RouteTimeline(RouteReply):
    """A route with all that happened on it, and what came from outside."""

    version: int = Field(ge=1)
    events: list[TimelineEntry] = Field(max_length=EVENTS_MAX)
    arrivals: list[ArrivalReply]


class TransferDeposits(Body):
    """What happened on the route of a transfer, oldest first."""

    transfer_id: UUID
    events: list[TimelineEntry]
    arrivals: list[ArrivalReply]


def wish_of(query: DepositQuery, principal: Principal) -> Wish:
    """What the page reads. Raises Problem 400 for a state that there is not."""
    stages = pages.stages_of(STAGES, query.state)
    kept = [(pages.IN_STAGES, stages)] if stages else []
    return Wish(
        tenant=principal.tenant, limit=query.limit, placed=pages.between(query), kept=[KNOWN, *kept],
        found=_found(query, stages, principal.tenant),
    )  # fmt: skip


def _found(query: DepositQuery, stages: list[str], tenant: str) -> Found | None:
    named = [route_id(tenant, query.route)] if query.route is not None else []
    if query.transfer_id is not None:
        own = route_of(tenant, query.transfer_id)
        named = [own] if named in ([], [own]) else []
    if query.route is not None or query.transfer_id is not None:
        return Found(pages.NAMED, (named,))
    return pages.standing(stages, UNMATCHED) if stages and RARE.issuperset(query.state) else None


def route_of(tenant: str, transfer_id: UUID) -> UUID:
    """The route of a transfer."""
    return route_id(tenant, route_reference(transfer_id))


class History(NamedTuple):
    """Of one route."""

    state: Any
    version: int
    events: list[dict[str, Any]]
    arrivals: list[ArrivalView]


class Histories:
    """Reads them."""

    def __init__(self, lists: Lists) -> None:
        self._reads = lists.reads

    async def of(self, stream_id: UUID, tenant: str) -> History | None:
        """None: nothing is known of this route. The state is of today, also when the events are only the first ones."""
        found = (await self._reads.heads([stream_id])).get(stream_id)
        if found is None or found[0].tenant != tenant:
            return None
        head, state = found
        rows = [each async for each in self._reads.history(stream_id, EVENTS_MAX)]
        events = [_CODEC.decode(row.event_type, row.data) for row, _, _ in rows]
        arrivals = await arrivals_of(self._reads.store, tenant, events)
        return History(state, head.version, [entry(stream_id, *each) for each in rows], arrivals)


def list_routes(lists: Lists, callers: Callers, view: View) -> Router:
    """GET /v1/deposits and timelines."""
    router = Router("/v1/deposits")
    histories = Histories(lists)

    def item(row: Row) -> dict[str, Any]:
        times = {"version": row.head.version, "created_at": row.place.at, "changed_at": row.changed_at}
        return view(row.head.stream_id, row.state) | times

    @router.get(reply=DepositsReply, query=DepositQuery, roles=OVERSEERS, problems=LIST_PROBLEMS)
    async def get_deposits(request: Request) -> Response:
        """Routes with the money on them, the newest first."""
        principal = callers.overseer(request.headers)
        query = read_query(request, DepositQuery)
        return await lists.page("deposits", principal, query, wish_of(query, principal), item)

    @router.get("/timeline", reply=TransferDeposits, query=OfTransfer, roles=OVERSEERS, problems=("invalid-query",))
    async def get_transfer_timeline(request: Request) -> Response:
        """What happened on the route of a transfer; nothing is empty lists."""
        principal = callers.overseer(request.headers)
        transfer_id = read_query(request, OfTransfer).transfer_id
        found = await histories.of(route_of(principal.tenant, transfer_id), principal.tenant)
        events, arrivals = (found.events, found.arrivals) if found else ([], [])
        return Reply((200, encode({"transfer_id": transfer_id, "events": events, "arrivals": arrivals})))

    @router.get("/routes/{route_id}/timeline", reply=RouteTimeline, roles=OVERSEERS, problems=(RouteNotFound,))
    async def get_route_timeline(request: Request) -> Response:
        """What happened on a route, and the reports that touched it."""
        principal = callers.overseer(request.headers)
        named = read_uuid(request.path_params["route_id"])
        found = await histories.of(named, principal.tenant)
        if found is None or found.state is None:
            raise RouteNotFound(named)
        told = {"version": found.version, "events": found.events, "arrivals": found.arrivals}
        return Reply((200, encode(view(named, found.state) | told)))

    return router
