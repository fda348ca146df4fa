"""In which currencies no new money may move: a service's own read table, kept in memory for its decisions.

The table is made from the ledger's events (a service's `projections/currency_halts.py`), so that it is there after a
start and while the ledger is away. It is looked at once a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from services.kernel.book import Reader
from services.kernel.problem import Problem, unavailable
from services.kernel.telemetry import logger

LOOK_SECONDS = 1.0
RETRY_SECONDS = 60  # what we ask customers to wait
HALTED = "SELECT currency FROM currency_halts WHERE halted ORDER BY currency"
_LOG = logger("halts")


@dataclass(frozen=True, slots=True)
class HaltRow:
    """A currency in which the books were ever found wrong."""

    currency: str
    halted: bool
    changed_at: datetime


class Halts:
    """Before it was read for the first time nobody knows, and nothing new begins."""

    def __init__(self, db: Reader) -> None:
        self._db = db
        self._halted: frozenset[str] | None = None

    def __call__(self) -> frozenset[str] | None:
        """The currencies; None while it is not known."""
        return self._halted

    async def look(self) -> None:
        """As the table has it now. Raises Unavailable."""
        found = frozenset(row[0] for row in await self._db.fetch(HALTED))
        if found != (self._halted or frozenset()):
            _LOG.warning("currencies_halted", currencies=sorted(found))
        self._halted = found

    async def watch(self, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Look again and again; while the database is away it stays as it was. Ends only with its task."""
        while True:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - whatever it is, what is known stays
                _LOG.warning("halts_not_read", error=type(error).__name__)
            await pause(LOOK_SECONDS)


def judge(halted: frozenset[str] | None, currencies: Collection[str]) -> None:
    """Raises Problem 503 when no new money may move in one of these."""
    if halted is None:
        raise unavailable("Not ready yet: it is not known in which currencies money may move.")
    if concerned := sorted(halted.intersection(currencies)):
        detail = f"No new transfers in {' and '.join(concerned)} for now. Nothing was done; what is under way is safe."
        raise Problem(503, "currency-halted", detail, headers=((b"retry-after", b"%d" % RETRY_SECONDS),))
