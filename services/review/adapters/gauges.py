"""How much waits for a person and since when, for alarms. Measured every few seconds, also while nobody looks."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from prometheus_client import Gauge

from services.kernel.metrics import REGISTRY
from services.kernel.telemetry import logger
from services.review.domain.reasons import Reason

SECONDS = 5.0
UNKNOWN = math.nan  # what the last look could not see: an old number would be a wrong one
OPEN = Gauge("corridor_review_open", "Items that wait for a person", ["reason"], registry=REGISTRY)
OLDEST = Gauge("corridor_review_oldest_seconds", "Age of the oldest of them; 0 without", ["reason"], registry=REGISTRY)
_LOG = logger("review")

for _reason in Reason:
    OPEN.labels(_reason.value)
    OLDEST.labels(_reason.value)


class Waiting(NamedTuple):
    """Items of one reason: how many, and when the oldest was opened."""

    number: int
    oldest_at: datetime


Measure = Callable[[], Awaitable[Mapping[Reason, Waiting]]]


async def run(measure: Measure) -> None:
    """For ever. What only measures never ends the process."""
    while True:
        try:
            show(await measure(), datetime.now(UTC))
        except Exception as error:  # noqa: BLE001 - any
            _LOG.warning("not_measured", error=f"{type(error).__name__}: {error}")
            hide()
        await asyncio.sleep(SECONDS)


def show(found: Mapping[Reason, Waiting], now: datetime) -> None:
    """Every reason, also those without an item."""
    for reason in Reason:
        waiting = found.get(reason)
        OPEN.labels(reason.value).set(waiting.number if waiting else 0)
        OLDEST.labels(reason.value).set((now - waiting.oldest_at).total_seconds() if waiting else 0)


def hide() -> None:
    """Nothing is known."""
    for reason in Reason:
        OPEN.labels(reason.value).set(UNKNOWN)
        OLDEST.labels(reason.value).set(UNKNOWN)
