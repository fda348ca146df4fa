"""What really happened, read when a phase is over: the bank's book over HTTP, our ledger with a read-only role."""

import json
import urllib.request
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg

PAGE = 10_000
SETTLED = "ACSC"
SCHEMAS = ("core", "quote", "transfer", "deposit", "payout", "ledger", "recon")
POSTED = "SELECT transfer_id::text, posted_at FROM ledger.entry WHERE kind = 'payout.confirmed' AND posted_at >= $1"
LAST = """SELECT transfer_id::text, max(posted_at) FROM ledger.entry WHERE transfer_id::text = ANY($1)
          GROUP BY 1 HAVING bool_or(kind = 'payout.confirmed')"""
WRITTEN = "SELECT count(*) FROM {schema}.event WHERE recorded_at >= $1 AND recorded_at < $2"


def fetch_json(url: str, seconds: float = 30.0) -> Any:
    """GET. Raises OSError."""
    with urllib.request.urlopen(url, timeout=seconds) as reply:  # noqa: S310 - our own sandbox
        return json.load(reply)


def book(sandbox_url: str, since: int = 0) -> tuple[list[dict[str, Any]], int]:
    """All payouts of the bank's book after `since`, and where to go on."""
    payouts, more = [], True
    while more:
        page = fetch_json(f"{sandbox_url}/book?since={since}&limit={PAGE}")
        payouts += page["payouts"]
        since, more = page["next_since"], page["more"]
    return payouts, since


def settled(payouts: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Transfer -> when its payout was settled, epoch seconds. The remittance information is the transfer id."""
    return {
        payout["remittance_information"]: datetime.fromisoformat(payout["settled_at"]).timestamp()
        for payout in payouts
        if payout["status"] == SETTLED
    }


class Books:
    """Queries of the meter; none runs while a window is open."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def posted(self, since: float) -> dict[str, float]:
        """Transfer -> when its payout's confirmation was posted."""
        return {row[0]: row[1].timestamp() for row in await self._fetch(POSTED, _time(since))}

    async def last_posting(self, transfers: Sequence[str]) -> dict[str, float]:
        """Transfer -> the last posting of those that are complete."""
        return {row[0]: row[1].timestamp() for row in await self._fetch(LAST, list(transfers))}

    async def events(self, begin: float, end: float) -> int:
        """Written in [begin, end) by all services."""
        queries = [WRITTEN.format(schema=schema) for schema in SCHEMAS]
        return sum([(await self._fetch(query, _time(begin), _time(end)))[0][0] for query in queries])

    async def settings(self) -> dict[str, str]:
        """What a durability figure must be published with."""
        names = ("server_version", "fsync", "synchronous_commit", "full_page_writes")
        return {name: str((await self._fetch(f"SHOW {name}"))[0][0]) for name in names}

    async def _fetch(self, query: str, *values: Any) -> Sequence[Any]:
        connection = await asyncpg.connect(self._dsn)
        try:
            rows: Sequence[Any] = await connection.fetch(query, *values)
            return rows
        finally:
            await connection.close()


def _time(epoch_seconds: float) -> datetime:
    return datetime.fromtimestamp(epoch_seconds).astimezone()
