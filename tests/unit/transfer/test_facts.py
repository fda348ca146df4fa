"""Who is asked about a person: our own table, and the owner for what the table cannot know yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import pytest

from services.kernel.codec import encode
from services.transfer.api.facts import OwnedPeople
from services.transfer.ports import Person
from tests.unit.core_api.samples import CREATED


class Table:
    """The rows of the read table `profiles`: one person with this verdict, or none."""

    def __init__(self, kyc: str | None) -> None:
        self._kyc = kyc

    async def fetch(self, _sql: str, _ids: list[UUID]) -> list[Any]:
        account = encode(CREATED.account)
        row = (CREATED.profile_id, CREATED.customer_id, CREATED.kind, self._kyc, encode(CREATED.name), account)
        return [row] if self._kyc else []


class Owner:
    """core_api, where the person is approved now."""

    def __init__(self) -> None:
        self.calls: list[Mapping[str, Any]] = []

    async def ask(self, body: Mapping[str, Any], read: Callable[[bytes], Any]) -> Any:
        self.calls.append(body)
        facts = {"kind": CREATED.kind, "kyc": "approved", "name": CREATED.name, "account": CREATED.account}
        ids = {"profile_id": CREATED.profile_id, "customer_id": CREATED.customer_id}
        return read(encode({str(CREATED.profile_id): ids | facts}))


@pytest.mark.parametrize(
    ("known", "calls", "kyc"),
    [
        (None, 1, "approved"),
        ("pending", 1, "approved"),
        ("approved", 0, "approved"),  # withdrawn a moment ago, it is believed until the event has come
        ("rejected", 0, "rejected"),  # stands for good: nobody need be asked
    ],
)
async def test_the_owner_is_asked_for_a_person_without_a_verdict_here(known: str | None, calls: int, kyc: str) -> None:
    owner = Owner()
    people = OwnedPeople(Table(known), owner)  # type: ignore[arg-type]  # it only fetches
    found = await people.people("corridor", [CREATED.profile_id])
    assert (len(owner.calls), found[CREATED.profile_id].kyc) == (calls, kyc)
    assert isinstance(found[CREATED.profile_id], Person)
