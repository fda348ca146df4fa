"""A repeated request gets its first answer, whoever does not answer meanwhile and whatever is gone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.kernel.decider import Meta, RequestKey
from services.kernel.engine import Engine
from services.kernel.group_commit import GroupCommit
from services.kernel.memory import MemoryStore
from services.kernel.problem import Problem
from services.kernel.rejected import Rejected
from services.kernel.tokens import Principal
from services.transfer import handlers
from services.transfer.api import TransferRequest, Transfers
from services.transfer.domain.commands import QuoteNotFound, Terms
from services.transfer.domain.states import Deadlines
from services.transfer.ports import OwnerUnavailable, Person
from tests.support.fakes import Clock, Ids, committing
from tests.unit.transfer.samples import ACCOUNT, CUSTOMER_ID, NAME, QUOTE_ID, RECEIVER_ID, SENDER_ID, TERMS

ANNA = Principal(CUSTOMER_ID, "main", frozenset({"customer"}))
ASKED = Meta("main", "anna", uuid4())
WISH = TransferRequest(quote_id=QUOTE_ID, sender_id=SENDER_ID, receiver_id=RECEIVER_ID)


class Owners:
    """The quote and both people, until they are away or gone."""

    away = gone = False

    async def terms(self, tenant: str, quote_ids: Sequence[UUID]) -> Mapping[UUID, Terms]:
        if self.away:
            raise OwnerUnavailable
        return {} if self.gone else {QUOTE_ID: TERMS}

    async def people(self, tenant: str, profile_ids: Sequence[UUID]) -> Mapping[UUID, Person]:
        def person(profile_id: UUID, kind: Any) -> Person:
            return Person(
                profile_id=profile_id, customer_id=CUSTOMER_ID, kind=kind, kyc="approved", name=NAME, account=ACCOUNT
            )

        return {SENDER_ID: person(SENDER_ID, "sender"), RECEIVER_ID: person(RECEIVER_ID, "receiver")}


class Desk:
    """Transfers in memory."""

    def __init__(self) -> None:
        self.store, self.owners = MemoryStore(Clock()), Owners()
        self.commands = GroupCommit(Engine(self.store, (handlers.decider(Deadlines()),), "transfers", Ids()))
        self.transfers = Transfers(self.commands, self.commands.engine, self.owners, self.owners)

    async def open(self, key: RequestKey) -> Any:
        return await self.transfers.open(WISH, key, ASKED, ANNA)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    made = Desk()
    async with committing(made.commands):
        yield made


def key(text: str = "k") -> RequestKey:
    return RequestKey("main", str(CUSTOMER_ID), text, "f")


@pytest.mark.parametrize(("trouble", "refusal"), [("away", Problem), ("gone", QuoteNotFound)])
async def test_a_repeated_request_gets_its_first_answer_and_a_new_one_is_refused(
    desk: Desk, trouble: str, refusal: type[Rejected | Problem]
) -> None:
    first = await desk.open(key())
    assert first.events
    setattr(desk.owners, trouble, True)
    again = await desk.open(key())
    assert (again.answer, again.replayed) == (first.answer, True)
    with pytest.raises(refusal):
        await desk.open(key("another"))
    setattr(desk.owners, trouble, False)
    assert not (await desk.open(key("another"))).replayed, "a refusal before the engine is never stored"


@pytest.mark.parametrize(("trouble", "status"), [("away", 503), ("gone", 404)])
async def test_each_item_of_a_repeated_bulk_gets_its_first_answer(desk: Desk, trouble: str, status: int) -> None:
    first = await desk.transfers.open_all([WISH], key(), ASKED, ANNA)
    setattr(desk.owners, trouble, True)
    again = await desk.transfers.open_all([WISH], key(), ASKED, ANNA)
    other = await desk.transfers.open_all([WISH], key("another"), ASKED, ANNA)
    assert again.body == first.body
    assert [each["status"] for each in json.loads(bytes(other.body))["results"]] == [status]
