"""What is complete and what still waits, by the role of the people on call. Lives through a database that is killed."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import asyncpg

SCHEMAS = ("core", "quote", "transfer", "deposit", "payout", "ledger", "recon")
EVERY_SECONDS = 0.5
# A commit may take effect after one that began later: a killed process's last statement may still be running.
LATE_SECONDS = 30
POSTED = """SELECT transfer_id::text, posted_at FROM ledger.entry
            WHERE kind = 'payout.confirmed' AND posted_at > coalesce($1, to_timestamp(0)) - make_interval(secs => $2)"""
OPEN = (
    "SELECT stage, count(*) FROM transfer.stream_state WHERE category = 'transfer' AND stage <> 'Completed' GROUP BY 1"
)
UNPUBLISHED = "SELECT '{schema}', coalesce(sum(cardinality(seqs)), 0) FROM {schema}.outbox"
GONE = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)


class Watch:
    """`posted` grows: the transfers whose payout's confirmation is in the ledger."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._newest: datetime | None = None
        self.posted: set[str] = set()

    async def run(self) -> None:
        """For as long as the chaos goes on."""
        while True:
            for transfer, at in await self._rows(POSTED, self._newest, LATE_SECONDS):
                self.posted.add(transfer)
                self._newest = max(at, self._newest or at)
            await asyncio.sleep(EVERY_SECONDS)

    async def outboxes(self) -> dict[str, int]:
        """Events that are committed and not yet published, by schema; empty while the database is away."""
        counted = " UNION ALL ".join(UNPUBLISHED.format(schema=schema) for schema in SCHEMAS)
        return {row[0]: row[1] for row in await self._rows(counted)}

    async def open(self) -> Mapping[str, int]:
        """Transfers that are not completed, by their stage."""
        return {row[0]: row[1] for row in await self._rows(OPEN)}

    async def _rows(self, query: str, *values: Any) -> Sequence[Any]:
        """Nothing while the database is away; the next look comes soon."""
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(self._dsn, timeout=5, command_timeout=10)
            rows: Sequence[Any] = await self._connection.fetch(query, *values)
        except GONE:
            await self.close()
            return ()
        return rows

    async def close(self) -> None:
        if self._connection:
            with suppress(*GONE):
                await self._connection.close(timeout=1)
            self._connection = None
