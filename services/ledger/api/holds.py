"""HTTP: holds, placed, posted and voided by services of ours. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field
from starlette.responses import Response

from services.kernel.bulk import ITEMS_MAX, BulkReply, Item, Refused, answering, commit_item, commit_items
from services.kernel.codec import encode
from services.kernel.decider import Answer, Ask, Meta, Outcome, RequestKey, Unit
from services.kernel.engine import Engine
from services.kernel.group_commit import GroupCommit
from services.kernel.http import json_reply, meta, reply
from services.kernel.idempotency import item_key
from services.kernel.internal import Callers
from services.kernel.money import AmountOutOfRange, CurrencyUnsupported, Money, iso4217
from services.kernel.rejected import Rejected
from services.kernel.routing import BULK_BYTES_MAX, Request, Router
from services.kernel.strict_json import Body, Id, parse, read_uuid
from services.ledger.api.asking import OVERSEERS, SERVICE, asked
from services.ledger.domain.holds import (
    Hold,
    HoldExceeded,
    HoldIdReused,
    HoldNotFound,
    HoldResolved,
    PlaceHold,
    PostHold,
    VoidHold,
    available_of,
)

HOLD_HOURS_MAX = 24 * 30


class HoldRequest(Body):
    """What to set aside, of whose money."""

    customer_id: Id
    amount_minor: int = Field(ge=1)
    currency: str = Field(min_length=3, max_length=3, description="ISO 4217")
    cause_id: Id = Field(description="what the money is held for")
    transfer_id: Id | None = None
    hours: int = Field(24, ge=1, le=HOLD_HOURS_MAX, description="unresolved after them, a person is called")


class HoldBatchRequest(Body):
    """Up to 500 holds, each with a result of its own: one that is not covered is refused alone."""

    holds: Annotated[list[HoldRequest], Field(min_length=1, max_length=ITEMS_MAX)]


class HoldPostRequest(Body):
    """Use the hold; what is not used is given back."""

    amount_minor: int | None = Field(None, ge=1, description="in the currency of the hold; all of it without this")
    cause_id: Id


class HoldVoidRequest(Body):
    """Give the hold up."""

    cause_id: Id


class HoldReply(Body):
    """A hold as it stands."""

    hold_id: UUID
    state: Literal["HELD", "REFUSED", "POSTED", "VOIDED"]
    amount_minor: int | None = Field(description="held, refused, or posted; none when voided")
    currency: str | None


class Holds:
    """What the routes need: one object, built in __main__."""

    def __init__(
        self, commands: GroupCommit, reads: Engine, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._commands = commands
        self._reads = reads
        self._now = now

    async def place(self, wish: HoldRequest, key: RequestKey, asked: Meta) -> Response:
        """Set money aside."""
        return reply(await commit_item(self._commands, self._item(wish, key, asked)))

    async def place_all(self, wishes: Sequence[HoldRequest], key: RequestKey, asked: Meta) -> Response:
        """Each under its own key; each sees what those before it took."""
        return await commit_items(
            self._commands, [self._item(wish, item_key(key, at), asked) for at, wish in enumerate(wishes)]
        )

    async def resolve(self, hold_id: UUID, command: PostHold | VoidHold, key: RequestKey, asked: Meta) -> Response:
        """Post or void. Raises HoldNotFound."""
        await self.find(hold_id, asked.tenant)
        answer = answering(lambda outcome: _made(hold_id, outcome, 200))
        return reply(await commit_item(self._commands, Unit((Ask(hold_id, command),), asked, key, answer=answer)))

    async def find(self, hold_id: UUID, tenant: str) -> Hold:
        """As it stands. Raises HoldNotFound."""
        head = (await self._reads.heads([hold_id])).get(hold_id)
        if head is None or head[0].tenant != tenant or head[0].category != "hold":
            raise HoldNotFound(hold_id)
        found: Hold = head[1]
        return found

    def _item(self, wish: HoldRequest, key: RequestKey, asked: Meta) -> Item:
        """The unit of one hold."""
        try:
            amount = Money(wish.amount_minor, iso4217(wish.currency))
        except Rejected as refusal:
            return Refused(asked, key, refusal)
        hold_id, at = key.derive("hold"), self._now()
        command = PlaceHold(
            hold_id=hold_id, customer_id=wish.customer_id, amount=amount, cause_id=wish.cause_id,
            transfer_id=wish.transfer_id, caused_at=at, due_at=at + timedelta(hours=wish.hours),
        )  # fmt: skip
        ask = Ask(hold_id, command, reads=(available_of(wish.customer_id, amount.currency),))
        return Unit((ask,), asked, key, answer=answering(lambda outcome: _made(hold_id, outcome)))


def _made(hold_id: UUID, outcome: Outcome, status: int = 201) -> Answer:
    return status, encode(view(hold_id, outcome.heads[0].state))


def view(hold_id: UUID, hold: Hold) -> Mapping[str, Any]:
    """A hold for whoever placed it."""
    assert hold is not None, "it was just decided"
    amount: Money | None = getattr(hold, "amount", None)
    return {
        "hold_id": hold_id,
        "state": hold.state,
        "amount_minor": amount.minor if amount else None,
        "currency": amount.currency if amount else None,
    }


PLACE = (CurrencyUnsupported, AmountOutOfRange, HoldIdReused)
RESOLVE = (HoldNotFound, HoldResolved, HoldExceeded)


def routes(holds: Holds, callers: Callers) -> Router:
    """/v1/ledger/holds."""
    router = Router("/v1/ledger/holds")

    @router.post("", body=HoldRequest, reply=HoldReply, roles=SERVICE, keyed=True, problems=PLACE)
    async def post_hold(request: Request) -> Response:
        """For services of ours: set money of a customer aside. REFUSED when there is not enough; that is an answer."""
        body, principal, key = await asked(request, callers, *SERVICE)
        return await holds.place(parse(body, HoldRequest), key, meta(principal))

    @router.post(
        "/batch", status=200, body=HoldBatchRequest, reply=BulkReply, limit=BULK_BYTES_MAX, roles=SERVICE,
        keyed=True,
    )  # fmt: skip
    async def post_holds(request: Request) -> Response:
        """For services of ours: up to 500 holds; each sees what those before it took."""
        body, principal, key = await asked(request, callers, *SERVICE)
        wishes = parse(body, HoldBatchRequest).holds
        return await holds.place_all(wishes, key, meta(principal))

    @router.post(
        "/{hold_id}/posts", status=200, body=HoldPostRequest, reply=HoldReply, roles=SERVICE, keyed=True,
        problems=RESOLVE,
    )  # fmt: skip
    async def post_hold_post(request: Request) -> Response:
        """For services of ours: use the hold, all or in part; the rest is the customer's again."""
        body, principal, key = await asked(request, callers, *SERVICE)
        wish, hold_id = parse(body, HoldPostRequest), read_uuid(request.path_params["hold_id"])
        command = PostHold(hold_id=hold_id, minor=wish.amount_minor, cause_id=wish.cause_id)
        return await holds.resolve(hold_id, command, key, meta(principal))

    @router.post(
        "/{hold_id}/voids", status=200, body=HoldVoidRequest, reply=HoldReply, roles=SERVICE, keyed=True,
        problems=RESOLVE,
    )  # fmt: skip
    async def post_hold_void(request: Request) -> Response:
        """For services of ours: give the hold up."""
        body, principal, key = await asked(request, callers, *SERVICE)
        wish, hold_id = parse(body, HoldVoidRequest), read_uuid(request.path_params["hold_id"])
        command = VoidHold(hold_id=hold_id, cause_id=wish.cause_id)
        return await holds.resolve(hold_id, command, key, meta(principal))

    @router.get("/{hold_id}", reply=HoldReply, roles=OVERSEERS, problems=(HoldNotFound,))
    async def get_hold(request: Request) -> Response:
        """A hold as it stands."""
        principal = callers.overseer(request.headers)
        hold_id = read_uuid(request.path_params["hold_id"])
        return json_reply(view(hold_id, await holds.find(hold_id, principal.tenant)))

    return router
