"""A key in the vault is for ever: none is made for a request that is refused, or that was answered before."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from services.core_api import handlers
from services.core_api.api import ProfileRequest, Profiles
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
    keys: MemoryKeys

    async def create(self, body: dict[str, Any], key: str = "K1") -> Outcome:
        profiles = Profiles(self.commands, self.reads, Vault(self.keys, kek=KEK, digest_key=Secret("digest")))
        asked = RequestKey("main", str(USER_ID), key, repr(body))
        return await profiles.create(ProfileRequest(**body), asked, ASKED, ANNA)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    engine = Engine(MemoryStore(Clock()), handlers.DECIDERS, "corridor.customer.events.v1", Ids())
    commands = GroupCommit(engine)
    running = asyncio.create_task(commands.run())
    yield Door(commands, engine, MemoryKeys())
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
