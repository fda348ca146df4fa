"""HTTP: entries by template, for facts that no event of ours tells. Decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field
from starlette.responses import Response

from contracts.ledger.v1 import Posting
from services.kernel.bulk import ITEMS_MAX, BulkReply, Item, Refused, answering, commit_item, commit_items
from services.kernel.codec import encode
from services.kernel.decider import Ask, Meta, RequestKey, Unit
from services.kernel.group_commit import GroupCommit
from services.kernel.http import meta, reply
from services.kernel.idempotency import item_key
from services.kernel.ids import derive
from services.kernel.internal import Callers
from services.kernel.money import AmountOutOfRange, CurrencyUnsupported, Money, iso4217
from services.kernel.rejected import Invalid, Rejected
from services.kernel.routing import BULK_BYTES_MAX, Request, Router
from services.kernel.strict_json import Body, Id, parse
from services.ledger.api.asking import SERVICE, asked
from services.ledger.domain.entries import PostEntry, check
from services.ledger.domain.templates import POSTINGS, lines

NAME = r"^[A-Za-z0-9_-]{1,64}$"  # part of an account's path


class EntryInvalid(Invalid):
    """These names and amounts make no entry of this kind."""


class Amount(Body):
    """Of one currency."""

    minor: int = Field(ge=0, description="in minor units")
    currency: str = Field(min_length=3, max_length=3, description="ISO 4217")


class EntryRequest(Body):
    """A fact that no event of ours tells."""

    kind: Literal["treasury.float_funded", "treasury.swept"]
    cause_id: Id = Field(description="what caused it: the same cause is booked once")
    caused_at: AwareDatetime
    names: dict[str, Annotated[str, Field(pattern=NAME)]] = Field(description="of the kind's accounts", max_length=8)
    amounts: dict[str, Amount] = Field(description="of the kind's lines", max_length=8)


class EntryBatchRequest(Body):
    """Up to 500 entries, each with a result of its own."""

    entries: Annotated[list[EntryRequest], Field(min_length=1, max_length=ITEMS_MAX)]


class EntryMade(Body):
    """The entry stands."""

    entry_id: UUID
    kind: str


class Facts:
    """What the routes need: one object, built in __main__."""

    def __init__(self, commands: GroupCommit) -> None:
        self._commands = commands

    async def post(self, wish: EntryRequest, key: RequestKey, asked: Meta) -> Response:
        """Book one."""
        return reply(await commit_item(self._commands, _item(wish, key, asked)))

    async def post_all(self, wishes: Sequence[EntryRequest], key: RequestKey, asked: Meta) -> Response:
        """Book each under its own key."""
        return await commit_items(
            self._commands, [_item(wish, item_key(key, at), asked) for at, wish in enumerate(wishes)]
        )


def _item(wish: EntryRequest, key: RequestKey, asked: Meta) -> Item:
    """The unit of one entry."""
    try:
        postings = _lines_of(wish)
    except Rejected as refusal:
        return Refused(asked, key, refusal)
    entry_id = derive("entry", wish.cause_id, wish.kind)
    command = PostEntry(
        entry_id=entry_id, kind=wish.kind, cause_id=wish.cause_id, transfer_id=None, lines=postings,
        caused_at=wish.caused_at,
    )  # fmt: skip
    made = encode({"entry_id": entry_id, "kind": wish.kind})
    return Unit((Ask(entry_id, command),), asked, key, answer=answering(lambda outcome: (201, made)))


def _lines_of(wish: EntryRequest) -> tuple[Posting, ...]:
    """Raises EntryInvalid, CurrencyUnsupported, AmountOutOfRange."""
    wanted = {leg.amount for leg in POSTINGS[wish.kind]}
    amounts = {name: Money(each.minor, iso4217(each.currency)) for name, each in wish.amounts.items()}
    if amounts.keys() != wanted:
        raise EntryInvalid(f"amounts of {wish.kind}: {', '.join(sorted(wanted))}")
    try:
        postings = lines(wish.kind, wish.names, amounts)
        check(postings)
    except KeyError as missing:
        raise EntryInvalid(f"names of {wish.kind}: {missing.args[0]} is missing") from None
    except AssertionError as wrong:
        raise EntryInvalid(str(wrong)) from None
    return postings


PROBLEMS = (EntryInvalid, CurrencyUnsupported, AmountOutOfRange)


def routes(facts: Facts, callers: Callers) -> Router:
    """/v1/ledger/entries."""
    router = Router("/v1/ledger/entries")

    @router.post("", body=EntryRequest, reply=EntryMade, roles=SERVICE, keyed=True, problems=PROBLEMS)
    async def post_entry(request: Request) -> Response:
        """For services of ours: book a fact that no event tells. The same cause is booked once."""
        body, principal, key = await asked(request, callers, *SERVICE)
        return await facts.post(parse(body, EntryRequest), key, meta(principal))

    @router.post(
        "/batch", status=200, body=EntryBatchRequest, reply=BulkReply, limit=BULK_BYTES_MAX, roles=SERVICE,
        keyed=True,
    )  # fmt: skip
    async def post_entries(request: Request) -> Response:
        """For services of ours: up to 500 entries with a result for each."""
        body, principal, key = await asked(request, callers, *SERVICE)
        wishes = parse(body, EntryBatchRequest).entries
        return await facts.post_all(wishes, key, meta(principal))

    return router
