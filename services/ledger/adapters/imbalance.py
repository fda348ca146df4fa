"""Looks at the sums of the books, by currency, and counts when debits and credits have come to differ."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from services.kernel import metrics
from services.kernel.book import Reader
from services.kernel.telemetry import logger

EVERY_SECONDS = 30.0
DIFFERENCES = "SELECT currency, (sum(debit_minor) - sum(credit_minor))::bigint FROM balance GROUP BY currency"
_LOG = logger("books")


def currencies(corridors: Path) -> set[str]:
    """Those of the corridors, whose series are there before the first entry; none when the file is not."""
    if not corridors.exists():
        return set()
    found = json.loads(corridors.read_bytes())["corridors"].values()
    return {corridor[side] for corridor in found for side in ("source", "target")}


async def watch(db: Reader, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
    """For ever. A difference counts once, and again whenever it is another one; a look that fails is left out."""
    known: Mapping[str, int] = {}
    while True:
        try:
            known = await look(db, known)
        except Exception as error:  # noqa: BLE001 - what only looks never ends the process
            _LOG.warning("books_not_summed", error=f"{type(error).__name__}: {error}")
        await pause(EVERY_SECONDS)


async def look(db: Reader, known: Mapping[str, int]) -> Mapping[str, int]:
    """Debits less credits of each currency, in minor units; what differs anew since `known` is counted and said."""
    found = {row[0]: row[1] for row in await db.fetch(DIFFERENCES)}
    metrics.prepare_ledger(found)
    for currency, minor in found.items():
        if minor and minor != known.get(currency):
            metrics.LEDGER_IMBALANCE.labels(currency).inc()
            _LOG.critical("books_out_of_balance", currency=currency, difference_minor=minor)
    return found
