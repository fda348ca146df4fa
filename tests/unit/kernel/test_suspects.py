"""What was in hand when the process died is tried again alone, and a few deaths later not at all."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import uuid4

from services.kernel.consumer import SUSPECT_TRIES_MAX, Inbox
from services.kernel.store import Unavailable
from tests.support.builders import EVENTS, Add, ask, inbox, name
from tests.unit.kernel.mirror import World


async def test_a_record_in_hand_at_too_many_deaths_is_parked_untried() -> None:
    world, bad, good = World(), uuid4(), uuid4()
    await world.publish(ask(good, Add(1)), ask(bad, Add(2, "die")), ask(good, Add(3)), ask(bad, Add(4)))
    deaths = 0
    while world.position() != 4:
        member = await world.consumer(_deadly())
        try:
            await member.subscription.drain()
        except Died:
            deaths += 1
        assert deaths < 10
    assert deaths <= 2 + SUSPECT_TRIES_MAX + 1
    assert (world.numbers(good), world.numbers(bad)) == ((1, 3), ())
    assert world.parked() == [(1, "Suspect"), (3, "Behind")]


async def test_a_deadly_record_behind_one_that_only_passes_is_parked_too() -> None:
    """What passes alone is stored as well: else every start would begin with it, and count for the wrong record."""
    world, bad, good = World(), uuid4(), uuid4()
    await world.publish(ask(good, Add(1)), name(good, "blue"), ask(bad, Add(2, "die")))
    starts = 0
    while world.position() != 3:
        starts += 1
        assert starts < 10
        with suppress(Died):
            await (await world.consumer(_deadly())).subscription.drain()
    assert world.parked() == [(2, "Suspect")]


class Died(BaseException):
    """Stands for the end of the process."""


def _deadly() -> Inbox:
    def on_added(added: Any, cause: Any) -> Any:
        if added.text == "die":
            raise Died
        return inbox().consumes[EVENTS[0]](added, cause)

    return replace(inbox(), consumes={EVENTS[0]: on_added})


async def test_a_store_that_is_away_makes_no_suspect() -> None:
    """Only deaths are held against a record: a locked row or a restart of the database is not its doing."""
    world, one = World(), uuid4()
    await world.publish(ask(one, Add(1)))
    member = await world.consumer()
    original, failures = world.mirror.transaction, 0

    def locked(**options: Any) -> Any:
        nonlocal failures
        failures += 1
        if failures <= 8:
            raise _away()
        return original(**options)

    world.mirror.transaction = locked  # type: ignore[method-assign]
    member.engine._pause = _give_up
    await member.subscription.drain()
    assert world.parked() == []
    assert world.numbers(one) == (1,)


def _away() -> Exception:
    return Unavailable("55P03: somebody holds the row")


async def _give_up(seconds: float) -> None:
    """The engine's patience is over at once."""
    raise _away()
