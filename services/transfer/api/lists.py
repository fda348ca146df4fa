"""The list of transfers: whose, since when, in which state."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import Field
from starlette.responses import Response

from contracts.deposit.routes import normalised_route
from contracts.transfer.v1 import PayoutReviewRequired
from services.kernel import pages
from services.kernel.internal import OVERSEERS, Callers
from services.kernel.pages import LIST_PROBLEMS, Found, Lists, PageQuery, PageReply, QueryId, Row, Wish, read_query
from services.kernel.problem import Problem
from services.kernel.routing import Request, Router
from services.kernel.tokens import Principal
from services.transfer.api.replies import TransferReply
from services.transfer.domain.states import STAGES

# As the index event_opened_by has it (sql/surface.sql): the planner compares the expressions.
OPENED_BY = """substring(e.data FROM position('"customer_id":"'::bytea IN e.data) + 15 FOR 36) = {}::bytea"""
CORRIDOR = f"{pages.FIRST} ->> 'corridor' = {{}}"
CURRENCY = f"{{}} IN ({pages.FIRST} #>> '{{{{send,currency}}}}', {pages.FIRST} #>> '{{{{receive,currency}}}}')"
RARE = frozenset({"PAYOUT_REVIEW_REQUIRED"})  # few are ever there, so that they are found by what led there
REVIEWED = f"e.event_type = '{PayoutReviewRequired.type}'"  # the index event_reviewed


class TransferQuery(PageQuery):
    """Which transfers."""

    state: tuple[str, ...] = Field((), max_length=len(STAGES), description="may be repeated: any of them")
    customer_id: QueryId | None = Field(None, description="whose; customers see their own alone")
    corridor: str | None = Field(None, max_length=16, description="GB-ET")
    currency: str | None = Field(None, pattern="^[A-Z]{3}$", description="sent or received; ISO 4217")
    route: str | None = Field(None, max_length=64, description="the reference on the deposit")


class TransferItem(TransferReply):
    """A transfer of a list."""

    customer_id: UUID


class TransfersReply(PageReply):
    """A page of transfers, the newest first."""

    items: list[TransferItem]


def wish_of(query: TransferQuery, principal: Principal) -> Wish:
    """What the page reads. Raises Problem 400 for a state that there is not, 403 for what is somebody else's."""
    customer_id = query.customer_id
    if principal.roles.isdisjoint(OVERSEERS):
        if customer_id not in {None, principal.subject}:
            raise Problem(403, "forbidden", "A customer lists transfers of their own.")
        customer_id = principal.subject
    placed, kept = pages.between(query), _kept(query)
    if customer_id is not None:
        placed.append((OPENED_BY, str(customer_id).encode()))
    return Wish(
        tenant=principal.tenant, limit=query.limit, placed=placed, kept=kept, found=_found(query, principal.tenant)
    )


def _kept(query: TransferQuery) -> list[tuple[str, Any]]:
    kept: list[tuple[str, Any]] = []
    if query.state:
        kept.append((pages.IN_STAGES, pages.stages_of(STAGES, query.state)))
    if query.corridor is not None:
        kept.append((CORRIDOR, query.corridor))
    if query.currency is not None:
        kept.append((CURRENCY, query.currency))
    return kept


def _found(query: TransferQuery, tenant: str) -> Found | None:
    if query.route is not None:
        return Found(pages.CLAIMED, ("route", normalised_route(query.route), tenant))
    if query.state and RARE.issuperset(query.state):
        return pages.standing(pages.stages_of(STAGES, query.state), REVIEWED)
    return None


def list_routes(lists: Lists, callers: Callers, view: Any) -> Router:
    """GET /v1/transfers. `view` shows a transfer and its version."""
    router = Router("/v1/transfers")

    def item(row: Row) -> dict[str, Any]:
        shown: dict[str, Any] = view(row.state, row.head.version)
        return shown | {"customer_id": row.state.opened.customer_id}

    @router.get(reply=TransfersReply, query=TransferQuery, roles=("customer", *OVERSEERS), problems=LIST_PROBLEMS)
    async def get_transfers(request: Request) -> Response:
        """Transfers, the newest first: a customer's own, or anybody's for staff."""
        principal = callers.authenticate(request.headers)
        query = read_query(request, TransferQuery)
        return await lists.page("transfers", principal, query, wish_of(query, principal), item)

    return router
