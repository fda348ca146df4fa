"""The queue of everything that waits for a person, over HTTP. Reads only: who owns a state decides on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from starlette.responses import Response

from services.kernel.codec import encode
from services.kernel.event_store import PostgresStore
from services.kernel.http import json_reply
from services.kernel.money import Money, iso4217
from services.kernel.pages import read_query
from services.kernel.problem import Problem
from services.kernel.rejected import NotFound
from services.kernel.routing import Request, Router
from services.kernel.strict_json import read_uuid
from services.kernel.tokens import Principal, Tokens, require, require_tenant
from services.review.api.cursors import Cursors
from services.review.api.replies import QueueQuery, QueueReply, ReviewReply, TransferStory
from services.review.domain.queue import BEGINNING, Filter, Item, Page, page
from services.review.domain.reasons import Reason, advice
from services.review.domain.timeline import Entry
from services.review.ports import OwnerRefused, Parked, ParkedStreams
from services.review.projections import queue

STAFF = ("operator", "admin")
NOBODY = Parked((), ())


class ReviewNotFound(NotFound):
    """No item of the queue has this id; a parked stream has gone on, or its service does not answer."""


class TransferUnknown(NotFound):
    """No service knows this transfer."""

    code = "TRANSFER_NOT_FOUND"
    slug = "transfer-not-found"


class Told(Protocol):
    """A transfer's story; see adapters.stories."""

    @property
    def entries(self) -> list[Entry]: ...
    @property
    def incomplete(self) -> tuple[str, ...]: ...
    @property
    def known(self) -> bool: ...


class Stories(Protocol):
    """Where a transfer's story comes from."""

    async def of(self, transfer_id: UUID, bearer: str) -> Told:
        """Raises OwnerRefused when the caller may not see it."""


class Reviews:
    """What the routes need: one object, built in __main__."""

    def __init__(
        self, reads: PostgresStore, parked: ParkedStreams, stories: Stories, now: Callable[[], datetime]
    ) -> None:
        self._reads = reads
        self._parked = parked
        self._stories = stories
        self._now = now

    async def page(self, wanted: Filter, after: Any, limit: int) -> tuple[Page, tuple[str, ...]]:
        """A page, and who did not say what is parked there."""
        stored = await queue.items(self._reads, wanted, after, limit + 1)
        parked = await self.parked(wanted)
        return page(stored, filter(wanted.wants, parked.items), after, limit), parked.incomplete

    async def parked(self, wanted: Filter) -> Parked:
        """Nobody is asked for what the filter leaves out anyway: parked streams are open and have no amount."""
        if not wanted.is_open or wanted.currency is not None:
            return NOBODY
        return await self._parked.parked()

    async def counts(self, wanted: Filter) -> dict[Reason, int]:
        """Open items of each reason, parked streams among them."""
        found = await queue.counts(self._reads, wanted.currency)
        parked = await self.parked(wanted)
        stored = {reason: found[reason].count if reason in found else 0 for reason in Reason}
        return stored | {Reason.PARKED_STREAM: len(parked.items)}

    async def totals(self, wanted: Filter) -> list[dict[str, Any]]:
        """Minor units that wait, by currency."""
        found = await queue.totals(self._reads, wanted)
        return [{"currency": each, **amounts(minor, each)} for each, minor in found.items()]

    async def find(self, review_id: UUID) -> Item:
        """Raises ReviewNotFound."""
        stored = await queue.item(self._reads, review_id)
        if stored is not None:
            return stored
        parked = await self._parked.parked()
        for item in parked.items:
            if item.review_id == review_id:
                return item
        raise ReviewNotFound(review_id, *(f"{service} does not answer" for service in parked.incomplete))

    async def story(self, transfer_id: UUID, bearer: str) -> Told:
        """Raises Problem when an owner does not let this caller see it."""
        try:
            return await self._stories.of(transfer_id, bearer)
        except OwnerRefused:
            raise Problem(403, "forbidden", "The role of the caller does not allow this.") from None

    def view(self, item: Item) -> dict[str, Any]:
        """An item as the queue shows it."""
        return {
            "review_id": item.review_id,
            "reason": item.reason,
            "service": item.service,
            "transfer_id": item.transfer_id,
            **amounts(item.amount_minor, item.currency),
            "currency": item.currency,
            "opened_at": item.opened_at,
            "age_seconds": max(0, int(((item.closed_at or self._now()) - item.opened_at).total_seconds())),
            "link": item.link,
            "detail": item.detail,
        }

    async def whole(self, item: Item, bearer: str) -> dict[str, Any]:
        """An item with all that is known of it."""
        told = await self.story(item.transfer_id, bearer) if item.transfer_id else None
        return {
            **self.view(item),
            "state": "open" if item.closed_at is None else "closed",
            "subject_id": item.subject_id,
            "closed_at": item.closed_at,
            "opened_by": item.opened_by,
            "closed_by": item.closed_by,
            "facts": item.facts,
            "what_to_do": advice(item.reason, item.link, item.transfer_id) if item.closed_at is None else "Nothing.",
            "timeline": [asdict(entry) for entry in told.entries] if told else [],
            "incomplete": told.incomplete if told else (),
        }


def amounts(minor: int | None, currency: str | None) -> dict[str, Any]:
    """The amount for machines and for people; null where there is none."""
    decimal = str(Money(minor, iso4217(currency))).partition(" ")[0] if minor is not None and currency else None
    return {"amount_minor": minor, "amount_decimal": decimal}


def routes(reviews: Reviews, tokens: Tokens, cursors: Cursors, tenant: str) -> Router:
    """/v1/reviews."""
    router = Router("/v1/reviews")

    def staff(request: Request) -> tuple[Principal, str]:
        principal = tokens.authenticate(request.headers)
        require(principal, *STAFF)
        require_tenant(principal, tenant)
        return principal, request.headers["authorization"].partition(" ")[2].strip()

    @router.get(query=QueueQuery, reply=QueueReply, roles=STAFF, problems=("invalid-query", "cursor-invalid"))
    async def get_reviews(request: Request) -> Response:
        """For operators: everything that waits for a person, from all services, oldest first."""
        principal, _ = staff(request)
        asked = read_query(request, QueueQuery)
        wanted = Filter(reason=asked.reason, is_open=asked.state == "open", currency=asked.currency)
        bound = encode(("reviews", principal.tenant, principal.subject, wanted))
        after = cursors.read(asked.cursor, bound) if asked.cursor else BEGINNING
        found, incomplete = await reviews.page(wanted, after, asked.limit)
        return json_reply(
            {
                "items": [reviews.view(item) for item in found.items],
                "next_cursor": cursors.make(found.following, bound) if found.following else None,
                "counts": await reviews.counts(wanted) if wanted.is_open else {},
                "totals": await reviews.totals(wanted) if wanted.is_open else [],
                "incomplete": incomplete,
            }
        )

    @router.get("/{review_id}", reply=ReviewReply, roles=STAFF, problems=(ReviewNotFound,))
    async def get_review(request: Request) -> Response:
        """For operators: an item, what a person can do about it today, and the story of its transfer."""
        _, bearer = staff(request)
        item = await reviews.find(read_uuid(request.path_params["review_id"]))
        return json_reply(await reviews.whole(item, bearer))

    @router.get("/transfers/{transfer_id}/timeline", reply=TransferStory, roles=STAFF, problems=(TransferUnknown,))
    async def get_story(request: Request) -> Response:
        """For operators: a transfer's events, postings, attempts and reports, from all services, in order of time."""
        _, bearer = staff(request)
        transfer_id = read_uuid(request.path_params["transfer_id"])
        told = await reviews.story(transfer_id, bearer)
        if not told.known:
            raise TransferUnknown(transfer_id)
        entries = [asdict(entry) for entry in told.entries]
        return json_reply({"transfer_id": transfer_id, "entries": entries, "incomplete": told.incomplete})

    return router
