"""The answers that are kept for repeated requests go when their time is over, a bounded batch at a time.

A key that has expired and is still there answers as before: its time is a promise of at least so long. Once it is gone
the request is a new one; the ids that follow from the same key lead it to what the first one made.
"""

from __future__ import annotations

import asyncio

from services.kernel.event_store import PostgresStore
from services.kernel.store import Conflict, Unavailable
from services.kernel.telemetry import logger

EVERY_SECONDS = 300.0
PAUSE_SECONDS = 0.2  # with 1,000 keys a batch 5,000 go in a second: several times what a service can take in
DELETE_BATCH = "SELECT delete_expired_request_keys()"  # sql/expiry.sql: 1,000 at most
_LOG = logger("expiry")


async def run(store: PostgresStore) -> None:
    """For ever, on a connection that is kept only while there is work. The database being away is waited for."""
    while True:
        try:
            await delete_expired(store)
        except (Unavailable, Conflict) as away:
            _LOG.warning("request_keys_not_deleted", error=str(away))
        await store.drop()
        await asyncio.sleep(EVERY_SECONDS)


async def delete_expired(store: PostgresStore) -> int:
    """Batch after batch, until nothing is left that nobody else is deleting; how many went. Raises Unavailable."""
    total = 0
    while deleted := int((await store.fetch(DELETE_BATCH))[0][0]):
        total += deleted
        await asyncio.sleep(PAUSE_SECONDS)
    if total:
        _LOG.info("request_keys_deleted", count=total)
    return total
