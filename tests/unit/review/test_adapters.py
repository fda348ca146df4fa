"""Asking other services what they have parked, and showing how much waits."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.kernel.metrics import REGISTRY
from services.review.adapters import gauges
from services.review.adapters.parked import STREAMS_MAX, AskedParked
from services.review.domain.reasons import Reason
from services.review.ports import OwnerUnavailable
from tests.unit.review.samples import AT


def parked(stream: UUID | None, **more: Any) -> dict[str, Any]:
    """A stream as a service shows it."""
    return {
        "service": "x", "consumer": "x", "topic": "corridor.transfer.events.v1",
        "stream_id": str(stream) if stream else None, "event_type": "corridor.transfer.opened.v1", "error": "Gap",
        "fingerprint": "ab", "count": 1, "parked_at": "2026-11-23T12:00:00Z", **more,
    }  # fmt: skip


class Said:
    """Owners by what they answer; an exception is raised."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked = 0

    async def get(self, service: str, path: str, bearer: str) -> Any:
        self.asked += 1
        await asyncio.sleep(0)
        answer = self.answers[service]
        if isinstance(answer, Exception):
            raise answer
        return {"items": answer}


class Seconds:
    """A clock that stands until it is set."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def asking(owners: Said, clock: Seconds | None = None) -> AskedParked:
    async def own(limit: int) -> list[Mapping[str, Any]]:
        return []

    return AskedParked(owners, lambda: "token", own, tuple(owners.answers), clock or Seconds())


async def test_a_stream_of_a_transfer_is_linked_to_it() -> None:
    (item,) = (await asking(Said(ledger=[parked(UUID(int=5))])).parked()).items
    assert (item.reason, item.service, item.transfer_id) == (Reason.PARKED_STREAM, "ledger", UUID(int=5))
    assert (item.link, item.opened_at) == (f"/v1/transfers/{UUID(int=5)}", AT)


async def test_the_same_stream_keeps_its_id_and_others_have_theirs() -> None:
    rows = [parked(UUID(int=5)), parked(UUID(int=6)), parked(None), parked(None, fingerprint="cd")]
    first, second = [[each.review_id for each in (await asking(Said(ledger=rows)).parked()).items] for _ in range(2)]
    assert first == second
    assert len(set(first)) == 4


async def test_who_does_not_answer_or_has_more_is_named_and_hides_nobody() -> None:
    many = [parked(UUID(int=number)) for number in range(STREAMS_MAX)]
    said = Said(quote=OwnerUnavailable("planted"), transfer=many, ledger=[parked(UUID(int=5))])
    found = await asking(said).parked()
    assert found.incomplete == ("quote", "transfer")
    assert len(found.items) == STREAMS_MAX + 1


async def test_those_who_ask_at_once_and_shortly_after_share_the_answer() -> None:
    said, clock = Said(quote=[], ledger=[]), Seconds()
    asked = asking(said, clock)
    await asyncio.gather(*(asked.parked() for _ in range(5)))
    clock.now += 2.9
    await asked.parked()
    assert said.asked == 2
    clock.now += 0.2
    await asked.parked()
    assert said.asked == 4


async def test_a_caller_that_goes_away_does_not_take_the_answer_from_the_others() -> None:
    asked = asking(Said(quote=[], ledger=[parked(UUID(int=5))]))
    gone, stays = asyncio.create_task(asked.parked()), asyncio.create_task(asked.parked())
    await asyncio.sleep(0)
    gone.cancel()
    assert len((await stays).items) == 1


def value(name: str, reason: Reason) -> float:
    found = REGISTRY.get_sample_value(name, {"reason": reason.value})
    assert found is not None
    return found


def test_every_reason_has_its_series_from_the_start() -> None:
    for reason in Reason:
        value("corridor_review_open", reason)
        value("corridor_review_oldest_seconds", reason)


def test_the_gauges_show_how_many_wait_and_for_how_long() -> None:
    waiting = {Reason.PAYOUT_UNKNOWN: gauges.Waiting(3, AT)}
    gauges.show(waiting, AT + timedelta(minutes=2))
    assert value("corridor_review_open", Reason.PAYOUT_UNKNOWN) == 3
    assert value("corridor_review_oldest_seconds", Reason.PAYOUT_UNKNOWN) == 120
    gauges.show({}, AT)
    assert value("corridor_review_open", Reason.PAYOUT_UNKNOWN) == 0
    assert value("corridor_review_oldest_seconds", Reason.PAYOUT_UNKNOWN) == 0


async def test_what_cannot_be_measured_is_not_shown_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    gauges.show({Reason.PAYOUT_UNKNOWN: gauges.Waiting(3, AT)}, AT)

    async def away() -> Mapping[Reason, gauges.Waiting]:
        raise ConnectionError("planted")

    measuring = asyncio.create_task(gauges.run(away))
    await asyncio.sleep(0)
    assert not measuring.done()
    measuring.cancel()
    assert math.isnan(value("corridor_review_open", Reason.PAYOUT_UNKNOWN))
    gauges.show({}, AT)
