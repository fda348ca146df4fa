"""Whoever stops a relay is heard, also when the broker acknowledges at that very moment."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.support.town import Town

pytestmark = pytest.mark.timeout(240)


async def test_a_cancel_that_meets_an_acknowledgement_is_not_lost(place: Town) -> None:
    async def flow() -> None:
        while True:
            await place.create(2)
            await place.publish()
            await asyncio.sleep(0.002)

    moments = random.Random(7)
    for _ in range(1_200):
        task = asyncio.create_task(flow())
        await asyncio.sleep(moments.uniform(0, 0.03))
        task.cancel()
        await asyncio.wait([task], timeout=3)
        assert task.cancelled(), "it goes on, or it failed"
        if place.outbox._connection is None:
            assert await place.outbox.lead()
