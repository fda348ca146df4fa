"""What a partner's callback may say: of its own payouts alone, and of each for itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest

from services.kernel.budget import REFUSED_BYTES_PER_HOUR, SIGNATURE_CHARS_MAX
from services.kernel.decider import Ask, Meta, Unit
from services.kernel.engine import Engine
from services.kernel.group_commit import GroupCommit
from services.kernel.memory import MemoryStore
from services.kernel.metrics import WEBHOOK_EVENTS
from services.kernel.problem import Problem
from services.kernel.settings import Secret, SharedKey
from services.kernel.webhook import HEADER, Verifier, header_of
from services.payout_orchestrator import api
from services.payout_orchestrator.adapters.bank import callback_command
from tests.support.fakes import Clock, Ids, Sealing
from tests.unit.payout_orchestrator.samples import ACCEPT, BEGIN, PAYOUT, REQUEST, SPEC

NOW = 1_772_443_800
KEYS = {
    partner: SharedKey(partner, f"k-{partner}", Secret("0123456789abcdef0123456789abcde" + partner[0]))
    for partner in ("dashen", "other")
}
SETTLED = {
    "end_to_end_id": str(PAYOUT), "status": "ACSC", "reference": "B-1", "amount_minor": 2_000_000, "currency": "ETB",
}  # fmt: skip
SEALING = Sealing(*KEYS)


@dataclass
class Door:
    """The door over a store in memory in which a payout is out at "dashen"."""

    store: MemoryStore
    engine: Engine
    commands: GroupCommit
    callbacks: api.Callbacks

    async def hears(self, *items: Any, by: str = "dashen") -> list[Any]:
        body = json.dumps({"payouts": items}).encode()
        response = await self.callbacks.receive(header_of(KEYS[by], body, NOW), body)
        return [(each["end_to_end_id"], each["status"]) for each in json.loads(bytes(response.body))["results"]]

    async def state(self) -> str:
        found: str = (await self.engine.heads([PAYOUT]))[PAYOUT][1].state
        return found

    def opened(self) -> list[tuple[bytes, bytes]]:
        rows = self.store.tables.arrivals.values()
        return [SEALING.opened(row[0], row[2], row[4], row[5]) for row in rows]

    def kept(self) -> list[tuple[str, str]]:
        return [(row[2], row[6]) for row in self.store.tables.arrivals.values()]


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    store = MemoryStore(Clock())
    engine = Engine(store, [SPEC.decider], "corridor.payout.events.v1", Ids())
    commands = GroupCommit(engine)
    running = asyncio.create_task(commands.run())
    meta = Meta("main", "test", PAYOUT)
    for command in (REQUEST, BEGIN, ACCEPT):
        await commands.ask(Unit((Ask(PAYOUT, command),), meta))
    verifier = Verifier(list(KEYS.values()))
    seal = SEALING.keys.seal
    callbacks = api.Callbacks(commands, engine, verifier, callback_command, "main", lambda: NOW, Ids(1), seal)
    yield Door(store, engine, commands, callbacks)
    running.cancel()


async def test_the_payouts_own_partner_confirms_it(door: Door) -> None:
    assert await door.hears(SETTLED) == [(str(PAYOUT), "accepted")]
    assert await door.state() == "CONFIRMED"


@pytest.mark.parametrize("said", [SETTLED, SETTLED | {"status": "RJCT"}, SETTLED | {"amount_minor": 1}])
async def test_another_partner_says_nothing_about_it(door: Door, said: Any) -> None:
    counted = WEBHOOK_EVENTS.labels("other", "true", "false")
    before = counted._value.get()
    assert await door.hears(said, by="other") == [(str(PAYOUT), "unmatched")]
    assert await door.state() == "SENT"
    assert door.kept() == [("other", "accepted")]
    assert counted._value.get() == before + 1


async def test_a_payout_that_nobody_knows_is_unmatched(door: Door) -> None:
    nobodys = UUID(int=404)
    assert await door.hears(SETTLED | {"end_to_end_id": str(nobodys)}, SETTLED) == [
        (str(nobodys), "unmatched"), (str(PAYOUT), "accepted"),
    ]  # fmt: skip


async def test_a_payout_of_another_tenant_is_unmatched(door: Door) -> None:
    theirs = UUID(int=77)
    request = replace(REQUEST, payout_id=theirs)
    await door.commands.ask(Unit((Ask(theirs, request),), Meta("theirs", "test", theirs)))
    assert await door.hears(SETTLED | {"end_to_end_id": str(theirs)}) == [(str(theirs), "unmatched")]


@pytest.mark.parametrize(
    "bad",
    [
        None, 7, "text", [], {}, {"status": "ACSC"}, SETTLED | {"status": 7}, SETTLED | {"amount_minor": 2_000_000.0},
        SETTLED | {"end_to_end_id": "x" * 200},
    ],
)  # fmt: skip
async def test_a_bad_item_is_unreadable_alone(door: Door, bad: Any) -> None:
    (first, second) = await door.hears(bad, SETTLED)
    assert first == (None, "unreadable")
    assert second == (str(PAYOUT), "accepted")
    assert await door.state() == "CONFIRMED"


async def test_a_member_that_we_do_not_know_does_not_hide_the_fact(door: Door) -> None:
    assert await door.hears(SETTLED | {"settlement_rail": "RTGS"}) == [(str(PAYOUT), "accepted")]
    assert await door.state() == "CONFIRMED"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"payouts":[]}', b'{"payouts":[{"a":1,"a":2}]}', b'{"payouts":7}'])
async def test_a_callback_whose_envelope_cannot_be_read_is_refused_and_kept(door: Door, body: bytes) -> None:
    with pytest.raises(Problem):
        await door.callbacks.receive(header_of(KEYS["dashen"], body, NOW), body)
    assert door.kept() == [("dashen", "invalid_body")]


@pytest.mark.parametrize("signed", [False, True])
async def test_refused_callbacks_are_kept_within_their_budget_and_counted_beyond_it(door: Door, signed: bool) -> None:
    body = b" " * (REFUSED_BYTES_PER_HOUR // 4)
    signature = header_of(KEYS["dashen"], body, NOW) if signed else None
    counted = WEBHOOK_EVENTS.labels("dashen" if signed else "unknown", str(signed).lower(), "false")
    before = counted._value.get()
    for _ in range(5):
        with pytest.raises(Problem):
            await door.callbacks.receive(signature, body)
    assert (len(door.kept()), counted._value.get() - before) == (3, 5)
    assert await door.hears(SETTLED) == [(str(PAYOUT), "accepted")]


async def test_a_stranger_who_knows_a_key_id_does_not_use_up_the_partners_budget(door: Door) -> None:
    body = b" " * (REFUSED_BYTES_PER_HOUR // 4)
    for _ in range(4):
        with pytest.raises(Problem):
            await door.callbacks.receive(header_of(KEYS["dashen"], b"another body", NOW), body)
    with pytest.raises(Problem):
        await door.callbacks.receive(header_of(KEYS["dashen"], body, NOW), body)
    assert door.kept() == [*[("dashen", "invalid_signature:wrong")] * 3, ("dashen", "invalid_body")]


async def test_of_a_malformed_signature_only_the_beginning_is_kept(door: Door) -> None:
    with pytest.raises(Problem):
        await door.callbacks.receive("\xff" * 15_000, b"{}")
    assert door.opened() == [(b"{}", json.dumps({HEADER: "\xff" * SIGNATURE_CHARS_MAX}).encode())]


async def test_what_partners_call_back_with_is_kept_sealed_and_read_back_as_it_came(door: Door) -> None:
    bodies = [json.dumps({"payouts": [SETTLED]}).encode(), b"not json"]
    signatures = [header_of(KEYS["dashen"], body, NOW) for body in bodies]
    await door.callbacks.receive(signatures[0], bodies[0])
    with pytest.raises(Problem):
        await door.callbacks.receive(signatures[1], bodies[1])
    with pytest.raises(Problem):
        await door.callbacks.receive(None, bodies[0])
    assert door.kept() == [("dashen", "accepted"), ("dashen", "invalid_body"), ("unknown", "invalid_signature:missing")]
    assert door.opened() == [
        (body, json.dumps({HEADER: signature}).encode())
        for body, signature in zip((*bodies, bodies[0]), (*signatures, None), strict=True)
    ]
    kept = b"".join(row[4] + row[5] for row in door.store.tables.arrivals.values())
    for word in (str(PAYOUT), "ACSC", "not json", "kid="):
        assert word.encode() not in kept
