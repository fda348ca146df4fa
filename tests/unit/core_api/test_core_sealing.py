"""A key in the vault is for ever: none is made for a request that is refused, or that was answered before.

Once the request key has expired and is gone, the profile that its first request made still holds what was asked for.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from services.core_api import handlers
from services.core_api.api.profiles import ProfileRequest, Profiles
from services.core_api.domain.profiles import ProfileIdReused
from services.kernel.batch import IdempotencyConflict
from services.kernel.decider import Meta, Outcome, RequestKey
from services.kernel.engine import Engine
from services.kernel.group_commit import GroupCommit
from services.kernel.memory import MemoryStore
from services.kernel.settings import Secret
from services.kernel.tokens import Principal
from services.kernel.vault import Vault
from services.kernel.vault_keys import MemoryKeys
from tests.support.fakes import Clock, Ids
from tests.unit.core_api.samples import USER_ID

KEK = Secret(base64.b64encode(bytes(range(32))).decode())
ANNA = Principal(USER_ID, "main", frozenset({"customer"}))
ASKED = Meta("main", str(USER_ID), UUID(int=9))
SENDER: dict[str, Any] = {"kind": "sender", "country": "GB", "name": "Ada Lovelace"}
RECEIVER: dict[str, Any] = {"kind": "receiver", "country": "ET", "name": "Abebe Bikila", "account": "ET00123456789"}


@dataclass
class Door:
    """The door over a store and a vault in memory; the vault forgets what it was told at each request."""

    commands: GroupCommit
    reads: Engine
    store: MemoryStore
    keys: MemoryKeys

    @property
    def vault(self) -> Vault:
        return Vault(self.keys, kek=KEK, digest_key=Secret("digest"))

    @property
    def profiles(self) -> Profiles:
        return Profiles(self.commands, self.reads, self.vault)

    async def create(self, body: dict[str, Any], key: str = "K1") -> Outcome:
        asked = RequestKey("main", str(USER_ID), key, repr(body))
        return await self.profiles.create(ProfileRequest(**body), asked, ASKED, ANNA)

    async def create_and_expire(self, body: dict[str, Any]) -> UUID:
        """The profile whose request key is gone."""
        profile_id = profile_of(await self.create(body))
        self.store.tables.requests.clear()
        return profile_id


def profile_of(outcome: Outcome) -> UUID:
    assert outcome.answer is not None, outcome
    assert outcome.answer[0] == 201
    return UUID(json.loads(outcome.answer[1])["profile_id"])


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    store = MemoryStore(Clock())
    engine = Engine(store, handlers.DECIDERS, "corridor.customer.events.v1", Ids())
    commands = GroupCommit(engine)
    running = asyncio.create_task(commands.run())
    yield Door(commands, engine, store, MemoryKeys())
    running.cancel()


async def test_a_profile_has_one_key(door: Door) -> None:
    outcome = await door.create(RECEIVER)
    assert outcome.answer is not None
    assert outcome.answer[0] == 201
    assert len(door.keys.keys) == 1


async def test_a_repeated_request_gets_its_first_answer_and_makes_no_key(door: Door) -> None:
    first = await door.create(SENDER)
    door.keys.keys.clear()
    again = await door.create(SENDER)
    assert (again.answer, again.replayed) == (first.answer, True)
    assert not door.keys.keys


async def test_a_key_used_for_another_request_is_refused_and_makes_no_key(door: Door) -> None:
    await door.create(SENDER)
    door.keys.keys.clear()
    outcome = await door.create(SENDER | {"name": "Somebody Else"})
    assert outcome.refusal is not None
    assert outcome.refusal.code == "IDEMPOTENCY_CONFLICT"
    assert not door.keys.keys


@pytest.mark.parametrize("body", [RECEIVER | {"account": None}, SENDER | {"account": "12345678"}])
async def test_a_refused_request_makes_no_key_and_its_refusal_is_the_answer_of_its_key(
    door: Door, body: dict[str, Any]
) -> None:
    first, again = [await door.create(body) for _ in range(2)]
    assert first.answer is not None
    assert first.answer[0] == 422
    assert (again.answer, again.replayed) == (first.answer, True)
    other = await door.create(SENDER)
    assert other.refusal is not None
    assert other.refusal.code == "IDEMPOTENCY_CONFLICT"
    assert not door.keys.keys


OTHERS: tuple[dict[str, Any], ...] = (
    RECEIVER | {"account": "ET99999999999"},
    RECEIVER | {"name": "Somebody Else"},
    RECEIVER | {"country": "KE"},
    SENDER,
)


@pytest.mark.parametrize("other", OTHERS)
async def test_another_request_under_a_key_that_is_gone_is_refused_and_the_profile_stays(
    door: Door, other: dict[str, Any]
) -> None:
    """And the refusal does not take the key from the request that made the profile."""
    profile_id = await door.create_and_expire(RECEIVER)
    with pytest.raises(ProfileIdReused):
        await door.create(other)
    found = await door.profiles.find(profile_id, ANNA)
    assert {name: found[name] for name in RECEIVER} == RECEIVER
    assert profile_of(await door.create(RECEIVER)) == profile_id


async def test_a_key_that_another_took_meanwhile_says_so(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    await door.create(RECEIVER)
    taken = dict(door.store.tables.requests)
    door.store.tables.requests.clear()
    open_many = Vault.open_many

    async def late(*asked: Any) -> list[str]:
        door.store.tables.requests.update(taken)
        return await open_many(*asked)

    monkeypatch.setattr(Vault, "open_many", late)
    outcome = await door.create(OTHERS[0])
    assert outcome.refusal is not None
    assert outcome.refusal.code == "IDEMPOTENCY_CONFLICT"


async def test_the_same_request_under_a_key_that_is_gone_gets_its_profile_and_seals_nothing(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile_id = await door.create_and_expire(RECEIVER)
    monkeypatch.setattr(Vault, "seal_many", never)
    again = await door.create(RECEIVER)
    assert (profile_of(again), again.events) == (profile_id, ())
    assert len(door.keys.keys) == 1


async def never(*_: object) -> None:
    pytest.fail("sealed again")


async def test_a_person_who_was_forgotten_is_answered_as_they_stand_and_gets_no_new_key(door: Door) -> None:
    """Nothing is left to compare with, and nothing can be paid to them."""
    profile_id = await door.create_and_expire(RECEIVER)
    await door.vault.destroy("main", profile_id)
    assert profile_of(await door.create(RECEIVER)) == profile_id
    found = await door.profiles.find(profile_id, ANNA)
    assert (found["name"], found["account"]) == (None, None)
    assert [key.wrapped for key in door.keys.keys.values()] == [None]


@pytest.mark.parametrize("turned", [False, True])
async def test_of_two_at_once_under_a_key_that_is_gone_only_the_same_request_gets_the_profile(
    door: Door, turned: bool
) -> None:
    profile_id = await door.create_and_expire(RECEIVER)
    bodies = [RECEIVER, OTHERS[0]][:: -1 if turned else 1]
    outcomes = await asyncio.gather(*[door.create(body) for body in bodies], return_exceptions=True)
    same, other = outcomes[:: -1 if turned else 1]
    assert isinstance(same, Outcome)
    assert profile_of(same) == profile_id
    assert isinstance(other.refusal if isinstance(other, Outcome) else other, ProfileIdReused | IdempotencyConflict)


async def test_of_two_at_once_under_a_new_key_one_makes_the_profile_and_the_other_is_refused(door: Door) -> None:
    outcomes = await asyncio.gather(door.create(RECEIVER), door.create(OTHERS[0]))
    assert sorted(outcome.refusal.code if outcome.refusal else "" for outcome in outcomes) == [
        "", "IDEMPOTENCY_CONFLICT",
    ]  # fmt: skip
