"""HTTP in front of the transfer domain. Parses, calls, answers; decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from pydantic import Field
from starlette.responses import Response

from contracts.deposit.routes import route_id, route_reference
from services.kernel.bulk import ITEMS_MAX, BulkReply, Item, Refused, answering, commit, commit_item, commit_items
from services.kernel.codec import encode
from services.kernel.decider import Answer, Ask, Head, Meta, Outcome, RequestKey, Unit
from services.kernel.engine import Engine
from services.kernel.group_commit import GroupCommit
from services.kernel.halts import judge
from services.kernel.http import Reply, meta, reply
from services.kernel.idempotency import item_key, request_key
from services.kernel.internal import OVERSEERS, Callers
from services.kernel.pages import Instant, Query, read_query
from services.kernel.problem import Problem, unavailable
from services.kernel.rejected import Rejected
from services.kernel.routing import BULK_BYTES_MAX, Request, Router
from services.kernel.strict_json import Body, Id, parse, read_uuid
from services.kernel.timeline import timeline
from services.kernel.tokens import Principal, Tokens, require
from services.transfer.api.replies import TimelineReply, TransferReply
from services.transfer.domain.commands import (
    CancelTransfer,
    IllegalTransition,
    OpenTransfer,
    Party,
    QuoteAlreadyUsed,
    QuoteExpired,
    QuoteNotFound,
    ReceiverKycRequired,
    ReceiverNotFound,
    RouteTaken,
    SenderKycRequired,
    SenderNotFound,
    Terms,
    TransferIdReused,
    TransferNotFound,
)
from services.transfer.domain.states import Transfer
from services.transfer.handlers import open_transfer
from services.transfer.ports import OwnerUnavailable, People, Person, QuoteTerms

OPENING = (
    QuoteNotFound, SenderNotFound, ReceiverNotFound, QuoteExpired, QuoteAlreadyUsed, SenderKycRequired,
    ReceiverKycRequired, RouteTaken, TransferIdReused, "currency-halted",
)  # fmt: skip


class TransferRequest(Body):
    """Take a quote for two people whose KYC has passed."""

    quote_id: Id
    sender_id: Id
    receiver_id: Id


class TransferBatchRequest(Body):
    """Up to 500 transfers, each with a result of its own."""

    transfers: Annotated[list[TransferRequest], Field(min_length=1, max_length=ITEMS_MAX)]


class CancelRequest(Body):
    """Why the customer withdraws."""

    reason: Annotated[str, Field(min_length=1, max_length=200)]


def view(transfer: Transfer, version: int) -> dict[str, Any]:
    """A transfer as its customer sees it. Amounts in minor units; put `route` on the deposit, exactly."""
    assert transfer is not None
    opened = transfer.opened
    return {
        "transfer_id": opened.transfer_id,
        "state": transfer.state,
        "version": version,
        "quote_id": opened.quote_id,
        "corridor": opened.corridor,
        "sender_id": opened.sender_id,
        "receiver_id": opened.receiver_id,
        "route": opened.route,
        "send_minor": opened.send.minor,
        "send_currency": opened.send.currency,
        "receive_minor": opened.receive.minor,
        "receive_currency": opened.receive.currency,
        "opened_at": opened.opened_at,
        "funding_deadline": opened.funding_deadline,
        "payout_id": getattr(transfer, "payout_id", None),
    }


def opened_reply(outcome: Outcome) -> Answer:
    """201 with the transfer as it stands."""
    head: Head = outcome.heads[0]
    return 201, encode(view(head.state, head.version))


def seen_reply(outcome: Outcome) -> Answer:
    """200 with the transfer as it stands."""
    return 200, opened_reply(outcome)[1]


class Facts(NamedTuple):
    """What other services own of some wishes; what does not exist is not in it."""

    terms: Mapping[UUID, Terms]
    people: Mapping[UUID, Person]


class Transfers:
    """What the routes need: one object, built in __main__."""

    def __init__(
        self, commands: GroupCommit, reads: Engine, quotes: QuoteTerms, people: People,
        halted: Callable[[], frozenset[str] | None] = frozenset,
    ) -> None:  # fmt: skip
        """`halted`: currencies in which no new money moves; None while that is not known."""
        self._commands = commands
        self._halted = halted
        self._reads = reads
        self._quotes = quotes
        self._people = people

    async def open(self, wish: TransferRequest, key: RequestKey, asked: Meta, principal: Principal) -> Outcome:
        """Look up what others own, then ask."""
        (item,) = await self._items([wish], [key], asked, principal)
        return await commit_item(self._commands, item)

    async def open_all(
        self, wishes: Sequence[TransferRequest], key: RequestKey, asked: Meta, principal: Principal
    ) -> Reply:
        """Each item under its own key."""
        keys = [item_key(key, index) for index in range(len(wishes))]
        return await commit_items(self._commands, await self._items(wishes, keys, asked, principal))

    async def _items(
        self, wishes: Sequence[TransferRequest], keys: Sequence[RequestKey], asked: Meta, principal: Principal
    ) -> list[Item]:
        try:
            facts = await self._facts(wishes, principal)
        except Problem as away:
            return [Refused(asked, key, away) for key in keys]
        halted = self._halted()
        return [_item(wish, facts, halted, key, asked, principal) for wish, key in zip(wishes, keys, strict=True)]

    async def cancel(
        self, transfer_id: UUID, reason: str, key: RequestKey, asked: Meta, principal: Principal
    ) -> Outcome:
        """The customer withdraws."""
        command = CancelTransfer(transfer_id=transfer_id, customer_id=principal.subject, reason=reason)
        belongs = Meta(asked.tenant, asked.actor, transfer_id, None, reason, asked.traceparent)
        unit = Unit((Ask(transfer_id, command),), belongs, key, answer=answering(seen_reply))
        return (await commit(self._commands, [unit]))[0]

    async def find(self, transfer_id: UUID, principal: Principal) -> tuple[Transfer, int]:
        """A transfer of this customer, or any for staff. Raises TransferNotFound."""
        found = (await self._reads.heads([transfer_id])).get(transfer_id)
        if found is None or found[0].tenant != principal.tenant:
            raise TransferNotFound(transfer_id)
        head, transfer = found
        if transfer.opened.customer_id != principal.subject and principal.roles.isdisjoint(OVERSEERS):
            raise TransferNotFound(transfer_id)
        return transfer, head.version

    async def find_as_of(self, transfer_id: UUID, principal: Principal, at: datetime) -> tuple[Transfer, int]:
        """As it stood at that instant, folded from its events. Raises TransferNotFound, also for before it was."""
        await self.find(transfer_id, principal)
        found: tuple[Transfer, int] = (None, 0)
        async for recorded, _, after in self._reads.history(transfer_id):
            if recorded.occurred_at > at:
                break
            found = (after, recorded.version)
        if found[0] is None:
            raise TransferNotFound(transfer_id)
        return found

    async def timeline(self, transfer_id: UUID, principal: Principal) -> list[dict[str, Any]]:
        """Each event of its stream with the states before and after it; a customer sees less of what others did."""
        await self.find(transfer_id, principal)
        events = await timeline(self._reads, transfer_id)
        if principal.roles.isdisjoint(OVERSEERS):
            return [_for_customer(each, str(principal.subject)) for each in events]
        return events

    async def _facts(self, wishes: Sequence[TransferRequest], principal: Principal) -> Facts:
        """What others own, in one look-up each and before the transaction."""
        persons = {each.sender_id for each in wishes} | {each.receiver_id for each in wishes}
        try:
            terms = await self._quotes.terms(principal.tenant, [each.quote_id for each in wishes])
            people = await self._people.people(principal.tenant, sorted(persons))
        except OwnerUnavailable:
            raise unavailable("the owner of the quote or of the profile does not answer") from None
        return Facts(terms, people)


def _for_customer(event: Mapping[str, Any], subject: str) -> dict[str, Any]:
    """Without its content; a reason that staff gave is not meant for the customer."""
    shown = {name: value for name, value in event.items() if name != "data"}
    return shown if event["actor"] == subject else shown | {"actor": None, "reason": None}


def _item(
    wish: TransferRequest, facts: Facts, halted: frozenset[str] | None, key: RequestKey, asked: Meta,
    principal: Principal,
) -> Item:  # fmt: skip
    """A halt is not stored under the key: the same request is taken once the currency goes on."""
    try:
        unit = _unit(wish, facts, key, asked, principal)
        terms = facts.terms[wish.quote_id]
        judge(halted, {terms.send.currency, terms.receive.currency})
    except (Rejected, Problem) as refusal:
        return Refused(asked, key, refusal)
    return unit


def _unit(wish: TransferRequest, facts: Facts, key: RequestKey, asked: Meta, principal: Principal) -> Unit:
    """The wish with the facts; raises NotFound for what does not exist, as for what belongs to somebody else."""
    transfer_id = key.derive("transfer")
    if wish.quote_id not in facts.terms:
        raise QuoteNotFound(wish.quote_id)
    sender, receiver = facts.people.get(wish.sender_id), facts.people.get(wish.receiver_id)
    if sender is None or sender.kind != "sender":
        raise SenderNotFound(wish.sender_id)
    if receiver is None or receiver.kind != "receiver" or receiver.account is None:
        raise ReceiverNotFound(wish.receiver_id)
    route = route_reference(transfer_id)
    command = OpenTransfer(
        transfer_id=transfer_id,
        customer_id=principal.subject,
        terms=facts.terms[wish.quote_id],
        sender=_party(sender),
        receiver=_party(receiver),
        route=route,
        route_id=route_id(principal.tenant, route),
        creditor_name=receiver.name,
        creditor_account=receiver.account,
    )
    belongs = Meta(asked.tenant, asked.actor, transfer_id, None, asked.reason, asked.traceparent)
    return Unit((open_transfer(command),), belongs, key, answer=answering(opened_reply))


def _party(person: Person) -> Party:
    return Party(profile_id=person.profile_id, customer_id=person.customer_id, kyc=person.kyc)


class TransferAsOf(Query):
    """When."""

    as_of: Instant | None = Field(None, description="the transfer as it stood then; RFC 3339")


READERS = ("customer", *OVERSEERS)


def routes(transfers: Transfers, tokens: Tokens, callers: Callers) -> Router:
    """/v1/transfers, but for the list."""
    router = Router("/v1/transfers")

    @router.post(body=TransferRequest, reply=TransferReply, problems=OPENING)
    async def post_transfer(request: Request) -> Response:
        """Open a transfer: takes the quote, gives the route to pay in on. Needs an Idempotency-Key."""
        principal = tokens.authenticate(request.headers)
        require(principal, "customer")
        raw = await request.body()
        key = request_key(request, principal, raw)
        return reply(await transfers.open(parse(raw, TransferRequest), key, meta(principal), principal))

    @router.post("/batch", status=200, body=TransferBatchRequest, reply=BulkReply, limit=BULK_BYTES_MAX)
    async def post_transfers(request: Request) -> Response:
        """Up to 500 transfers with a result for each; an item's key is the batch's key and its index."""
        principal = tokens.authenticate(request.headers)
        require(principal, "customer")
        raw = await request.body()
        key = request_key(request, principal, raw)
        return await transfers.open_all(parse(raw, TransferBatchRequest).transfers, key, meta(principal), principal)

    @router.get(
        "/{transfer_id}", reply=TransferReply, query=TransferAsOf, roles=READERS,
        problems=(TransferNotFound, "invalid-query"),
    )  # fmt: skip
    async def get_transfer(request: Request) -> Response:
        """A transfer of yours, never older than what you were told before. ETag is its version."""
        principal = callers.authenticate(request.headers)
        transfer_id = read_uuid(request.path_params["transfer_id"])
        if request.scope["query_string"] and (at := read_query(request, TransferAsOf).as_of) is not None:
            transfer, version = await transfers.find_as_of(transfer_id, principal, at)
        else:
            transfer, version = await transfers.find(transfer_id, principal)
        return Reply((200, encode(view(transfer, version))), ((b"etag", b'"%d"' % version),))

    @router.get("/{transfer_id}/timeline", reply=TimelineReply, roles=READERS, problems=(TransferNotFound,))
    async def get_timeline(request: Request) -> Response:
        """Its history: each event with the states before and after it."""
        principal = callers.authenticate(request.headers)
        transfer_id = read_uuid(request.path_params["transfer_id"])
        return Reply(
            (200, encode({"transfer_id": transfer_id, "events": await transfers.timeline(transfer_id, principal)}))
        )

    @router.post(
        "/{transfer_id}/cancel", status=200, body=CancelRequest, reply=TransferReply,
        problems=(TransferNotFound, IllegalTransition),
    )  # fmt: skip
    async def post_cancel(request: Request) -> Response:
        """Withdraw before paying in. Needs an Idempotency-Key."""
        principal = tokens.authenticate(request.headers)
        require(principal, "customer")
        raw = await request.body()
        key = request_key(request, principal, raw)
        transfer_id, reason = read_uuid(request.path_params["transfer_id"]), parse(raw, CancelRequest).reason
        return reply(await transfers.cancel(transfer_id, reason, key, meta(principal), principal))

    return router
