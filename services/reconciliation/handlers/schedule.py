"""The schedule: a run when the last one that came to its own end began an interval ago."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from services.kernel.book import Reader
from services.kernel.decider import Meta
from services.kernel.store import Unavailable
from services.kernel.telemetry import logger
from services.reconciliation.domain.runs import RunUnderWay, StartRun
from services.reconciliation.handlers.conductor import INTERRUPTED, Conductor
from services.reconciliation.projections import found

REASON = "scheduled comparison"
AWAY_SECONDS = 5.0  # until the next look when there was none, or somebody else's run is under way
_LOG = logger("reconciliation")


class Schedule:
    """One per process; the conductor's lock decides between processes, and the time of the last run."""

    def __init__(
        self, conductor: Conductor, reads: Reader, interval_seconds: int, tenant: str, actor: str,
        new_id: Callable[[], UUID], now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        """`interval_seconds` 0: never by itself."""
        self._conductor = conductor
        self._reads = reads
        self._interval = interval_seconds
        self._tenant = tenant
        self._actor = actor
        self._new_id = new_id
        self._now = now
        self._since = now()

    async def run(self) -> None:
        """For as long as the process lives."""
        if not self._interval:
            await asyncio.Event().wait()
        while True:
            try:
                wait = await self.step()
            except (Unavailable, RunUnderWay) as later:
                _LOG.info("run_put_off", worker="reconciliation", cause=type(later).__name__)
                wait = AWAY_SECONDS
            await asyncio.sleep(wait)

    async def step(self) -> float:
        """Run if it is time, and wait for the end; the seconds until the next look."""
        left = await self._left()
        if left > 0:
            return left
        run_id = self._new_id()
        meta = Meta(self._tenant, self._actor, run_id, None, REASON)
        wish = StartRun(run_id=run_id, trigger="schedule", requested_by=self._actor, reason=REASON)
        _, task = await self._conductor.start(wish, meta)
        await task
        return max(await self._left(), AWAY_SECONDS)

    async def _left(self) -> float:
        """Seconds; 0 when a process died in its run. A young system is first compared after an interval."""
        if await found.under_way(self._reads):
            return 0.0
        last = await found.last_start(self._reads, INTERRUPTED) or self._since
        return self._interval - (self._now() - last).total_seconds()
