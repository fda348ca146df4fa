"""A bank or a vault that is away: worker, engine and decider are real; store, clock and partner are ours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.kernel.decider import Ask, Call, Meta, Unit
from services.kernel.effects import Worker
from services.kernel.engine import Engine, Units
from services.kernel.memory import MemoryStore
from services.kernel.sealed import Sealed
from services.payout_orchestrator import handlers as h
from services.payout_orchestrator import ports as p
from tests.support.fakes import Ids
from tests.unit.payout_orchestrator import samples as t

META = Meta(tenant="main", actor="tester", correlation_id=UUID(int=7))
TIMEOUT = timedelta(seconds=20)
MINUTE = timedelta(minutes=1)
NEVER = datetime.max.replace(tzinfo=UTC)
NOT_CONNECTED, LOST, ACCEPTED = (
    p.Deferred("not connected", unsent=True),
    p.Unknown("no answer"),
    p.Accepted("ACSP", "B"),
)


class Outside:
    """Clock, partner and vault. `answer` is the partner's to a submission; asked, it knows nothing."""

    def __init__(self) -> None:
        self.now = t.AT
        self.answer: p.SubmitVerdict = ACCEPTED
        self.vault_away = False
        self.submitted: list[UUID] = []

    def clock(self) -> datetime:
        return self.now

    async def open_many(self, sealed: list[tuple[Sealed, str]]) -> Sequence[str | None]:
        if self.vault_away:
            raise p.CannotOpen
        return ["open"] * len(sealed)

    async def submit(self, instructions: list[p.Instruction]) -> Sequence[p.SubmitVerdict]:
        self.submitted += [one.payout_id for one in instructions]
        return [self.answer] * len(instructions)

    async def status(self, payout_ids: list[UUID]) -> Sequence[p.StatusVerdict]:
        return [p.NotKnown()] * len(payout_ids)


class World:
    """One payout, approved by the rule."""

    def __init__(self) -> None:
        self.outside = Outside()
        self.store = MemoryStore(self.outside.clock)
        self.engine = Engine(self.store, (t.SPEC.decider,), "events.v1", Ids())
        calls: list[Call] = [
            h.SubmitPayout(self.outside, self.outside, self.outside.clock, TIMEOUT),
            h.AskPartner(self.outside, t.LIMITS),
        ]
        self.worker = Worker(self.store, self.engine, "worker", calls, lease_seconds=90)

    async def request(self) -> None:
        await self.engine.run(Units([Unit((Ask(t.PAYOUT, t.REQUEST),), META)]))

    async def wait(self, how_long: timedelta) -> str:
        """Live through it, effect by effect as each comes due; the payout's state at the end."""
        end = self.outside.now + how_long
        while (due := self._next()) <= end:
            self.outside.now = max(self.outside.now, due)
            while await self.worker.step("wake") + await self.worker.step("call"):
                pass
        self.outside.now = end
        state: Any = (await self.engine.heads([t.PAYOUT]))[t.PAYOUT][1]
        return str(state.state)

    def _next(self) -> datetime:
        return min((each.due.due_at for each in self.store.tables.effects.values()), default=NEVER)


@pytest.mark.parametrize("away", [11 * MINUTE, 60 * MINUTE], ids=["11 min", "an hour"])
async def test_a_payout_outlives_a_bank_that_cannot_be_reached_and_is_sent_once_when_it_is_back(
    away: timedelta,
) -> None:
    world = World()
    world.outside.answer = NOT_CONNECTED
    await world.request()
    assert await world.wait(away) == "APPROVED"
    assert len(world.outside.submitted) >= t.LIMITS.submit_attempts_max
    world.outside.answer, world.outside.submitted = ACCEPTED, []
    assert await world.wait(t.LIMITS.retry_max) == "SENT"
    assert world.outside.submitted == [t.PAYOUT]


async def test_a_payout_outlives_a_vault_that_cannot_be_reached() -> None:
    world = World()
    world.outside.vault_away = True
    await world.request()
    assert await world.wait(60 * MINUTE) == "APPROVED"
    assert world.outside.submitted == []
    world.outside.vault_away = False
    assert await world.wait(t.LIMITS.retry_max) == "SENT"
    assert world.outside.submitted == [t.PAYOUT]


async def test_at_its_deadline_it_falls_to_a_person_and_is_not_sent_by_itself_any_more() -> None:
    world = World()
    world.outside.answer = NOT_CONNECTED
    await world.request()
    assert await world.wait(t.LIMITS.submission - t.TICK) == "APPROVED"
    assert await world.wait(t.TICK) == "MANUAL_REVIEW"
    world.outside.answer, world.outside.submitted = ACCEPTED, []
    assert await world.wait(60 * MINUTE) == "MANUAL_REVIEW"
    assert world.outside.submitted == []


async def test_what_may_have_left_us_is_sent_again_only_after_asking_and_only_up_to_the_limit() -> None:
    world = World()
    world.outside.answer = LOST
    await world.request()
    assert await world.wait(t.LIMITS.settling_delay - t.TICK) == "UNKNOWN"
    assert len(world.outside.submitted) == 1
    assert await world.wait(60 * MINUTE) == "MANUAL_REVIEW"
    assert len(world.outside.submitted) == t.LIMITS.submit_attempts_max
