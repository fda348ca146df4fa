"""Payouts for staff and for services that look into them: the list, and the history of one with its requests."""

from __future__ import annotations

from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import Field
from starlette.responses import Response

from contracts.payout.v1 import EVENTS, PayoutRefused, PayoutReviewRequired, PayoutUnknown
from contracts.upcasts import UPCASTS
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
from services.kernel.store import StoredHead
from services.kernel.strict_json import Body, read_uuid
from services.kernel.timeline import EVENTS_MAX, TimelineEntry, entry
from services.kernel.tokens import Principal
from services.payout_orchestrator.api.replies import AttemptReply, PayoutNotFound, PayoutReply, view
from services.payout_orchestrator.domain.states import STAGES
from services.payout_orchestrator.handlers import payout_id
from services.payout_orchestrator.projections.attempts import Attempt, attempts_of

OF_TRANSFER_MAX = 16  # payouts of one transfer: another one follows only a proven refusal
RARE = frozenset({"REQUESTED", "UNKNOWN", "MANUAL_REVIEW"})  # few are ever there: found by what led there
LED = (PayoutUnknown, PayoutRefused, PayoutReviewRequired)
WAITED = (  # the index event_waited; a payout that nobody is asked about is requested without a deadline
    f"e.event_type IN ({', '.join(repr(each.type) for each in LED)})"
    """ OR (e.version = 1 AND position('"deadline":null'::bytea IN e.data) = 0)"""
)
_CODEC = EventCodec(EVENTS, UPCASTS)


class PayoutQuery(PageQuery):
    """Which payouts."""

    state: tuple[str, ...] = Field((), max_length=len(STAGES), description="may be repeated: any of them")
    transfer_id: QueryId | None = Field(None, description="of which transfer")


class OfTransfer(Query):
    """Whose payouts."""

    transfer_id: QueryId


class PayoutItem(PayoutReply):
    """A payout of a list."""

    customer_id: UUID
    requested_at: datetime
    since: datetime = Field(description="in this state")
    deadline: datetime | None = Field(description="when this state has waited too long")
    attempts: int = Field(description="requests to the provider")


class PayoutsReply(PageReply):
    """A page of payouts, the newest first."""

    items: list[PayoutItem]


class PayoutTimeline(PayoutReply):
    """A payout with all that happened to it."""

    events: list[TimelineEntry] = Field(max_length=EVENTS_MAX)
    attempts: list[AttemptReply]


class TransferPayouts(Body):
    """What happened to the payouts of a transfer, oldest first."""

    transfer_id: UUID
    payouts: list[PayoutReply]
    events: list[TimelineEntry]
    attempts: list[AttemptReply]


def wish_of(query: PayoutQuery, principal: Principal) -> Wish:
    """What the page reads. Raises Problem 400 for a state that there is not."""
    stages = pages.stages_of(STAGES, query.state)
    found = None
    if query.transfer_id is not None:
        found = Found(pages.NAMED, (ids_of(query.transfer_id),))
    elif stages and RARE.issuperset(query.state):
        found = pages.standing(stages, WAITED)
    kept = [(pages.IN_STAGES, stages)] if stages else []
    return Wish(tenant=principal.tenant, limit=query.limit, placed=pages.between(query), kept=kept, found=found)


def ids_of(transfer_id: UUID) -> list[UUID]:
    """What the payouts of a transfer are called, if there are so many."""
    return [payout_id(transfer_id, n) for n in range(1, OF_TRANSFER_MAX + 1)]


def item(row: Row) -> dict[str, Any]:
    """A payout of a list, without the creditor."""
    payout = row.state
    return view(payout, row.head.version) | {
        "customer_id": payout.terms.customer_id,
        "requested_at": payout.terms.requested_at,
        "since": payout.since,
        "deadline": payout.deadline,
        "attempts": payout.attempts,
    }


class History(NamedTuple):
    """Of one payout."""

    shown: dict[str, Any]
    events: list[dict[str, Any]]
    attempts: tuple[Attempt, ...]


class Histories:
    """Reads them."""

    def __init__(self, lists: Lists) -> None:
        self._reads = lists.reads

    async def of(self, payout_ids: list[UUID], tenant: str) -> list[History]:
        """Of those that exist, in this order."""
        found = await self._reads.heads(payout_ids)
        known = [each for each in payout_ids if each in found and found[each][0].tenant == tenant]
        return [await self._one(each, *found[each]) for each in known]

    async def _one(self, stream_id: UUID, head: StoredHead, payout: Any) -> History:
        """The state is of today, also when the events are only the first ones."""
        rows = [each async for each in self._reads.history(stream_id, EVENTS_MAX)]
        attempts = attempts_of(_CODEC.decode(row.event_type, row.data) for row, _, _ in rows)
        return History(view(payout, head.version), [entry(stream_id, *each) for each in rows], attempts)


def list_routes(lists: Lists, callers: Callers) -> Router:
    """GET /v1/payouts and timelines."""
    router = Router("/v1/payouts")
    histories = Histories(lists)

    @router.get(reply=PayoutsReply, query=PayoutQuery, roles=OVERSEERS, problems=LIST_PROBLEMS)
    async def get_payouts(request: Request) -> Response:
        """Payouts, the newest first."""
        principal = callers.overseer(request.headers)
        query = read_query(request, PayoutQuery)
        return await lists.page("payouts", principal, query, wish_of(query, principal), item)

    @router.get("/timeline", reply=TransferPayouts, query=OfTransfer, roles=OVERSEERS, problems=("invalid-query",))
    async def get_timelines(request: Request) -> Response:
        """What happened to the payouts of a transfer; none is an empty list."""
        principal = callers.overseer(request.headers)
        transfer_id = read_query(request, OfTransfer).transfer_id
        found = await histories.of(ids_of(transfer_id), principal.tenant)
        whole = {
            "transfer_id": transfer_id,
            "payouts": [each.shown for each in found],
            "events": sorted((event for each in found for event in each.events), key=itemgetter("at")),
            "attempts": [attempt for each in found for attempt in each.attempts],
        }
        return Reply((200, encode(whole)))

    @router.get("/{payout_id}/timeline", reply=PayoutTimeline, roles=OVERSEERS, problems=(PayoutNotFound,))
    async def get_timeline(request: Request) -> Response:
        """What happened to a payout, and what was asked of the provider."""
        principal = callers.overseer(request.headers)
        named = read_uuid(request.path_params["payout_id"])
        found = await histories.of([named], principal.tenant)
        if not found:
            raise PayoutNotFound(named)
        (history,) = found
        whole = history.shown | {"events": history.events, "attempts": history.attempts}
        return Reply((200, encode(whole)))

    return router
