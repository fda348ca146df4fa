"""Checks of `ledger verify` that only the ledger's domain can make: the chart, holds, how blocks follow each other."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from contracts.ledger.v1 import EVENTS, HOLD_EVENTS, BlockClosed
from contracts.upcasts import UPCASTS
from services.kernel.book_check import Finding
from services.kernel.book_fold import COLUMNS, hash_of
from services.kernel.codec import GENESIS, EventCodec
from services.kernel.envelope import StoredEvent
from services.ledger.domain.settled import BlockRow, Blocks
from services.ledger.domain.verification import Holds, charted

CHUNK = 1_000
FINDINGS_MAX = 1_000  # of a check, in memory
CHARTED = "SELECT kind, class, normal_side, protected, owner FROM chart"
OF_HOLDS = f"SELECT {COLUMNS} FROM event WHERE event_type = ANY($1) ORDER BY stream_id, version"  # noqa: S608
HELD = """
    SELECT account_id, sum(CASE side WHEN 'credit' THEN amount_minor ELSE -amount_minor END)::bigint
    FROM entry JOIN posting USING (entry_seq)
    WHERE kind IN ('hold.placed', 'hold.posted', 'hold.voided') AND account_id LIKE 'customer:%:held:%'
    GROUP BY account_id HAVING sum(CASE side WHEN 'credit' THEN amount_minor ELSE -amount_minor END) <> 0"""
BLOCKS = f"""
    SELECT {COLUMNS}, b.number, b.seq_from, b.seq_to, b.entries, b.postings, b.sums::text, b.digest, b.prev_digest
    FROM (SELECT * FROM event WHERE event_type = $1) e FULL JOIN block b ON b.number = e.version
    ORDER BY coalesce(b.number, e.version)"""  # noqa: S608 - columns and $n
_EVENT = COLUMNS.count(",") + 1  # how many columns an event has
_CODEC = EventCodec(EVENTS, UPCASTS)


async def chart(connection: Any) -> tuple[int, list[Finding]]:
    """The table beside the domain."""
    rows = [(row[0], row[1], row[2], row[3], row[4]) for row in await connection.fetch(CHARTED)]
    return len(rows), [Finding("table", "chart", what) for what in charted(rows)]


async def holds(connection: Any) -> tuple[int, list[Finding]]:
    """L5: each hold is resolved once at most; what is open is what their postings have left in the accounts."""
    found, looked, book = _Kept(), 0, Holds()
    async for row in _rows(connection, OF_HOLDS, [kind.type for kind in HOLD_EVENTS]):
        looked += 1
        event = StoredEvent(*row)
        try:
            said = _CODEC.decode(event.event_type, event.data)
        except ValueError as error:
            found.add(Finding("event", str(event.event_id), f"cannot be read: {error}"[:200]))
            continue
        for what in book.take(said):
            found.add(Finding("event", str(event.event_id), f"hold {said.hold_id} {what}"))
    held = {row[0]: row[1] for row in await connection.fetch(HELD)}
    for account, what in book.against(held):
        found.add(Finding("account", account, what))
    return looked, found.all


async def blocks(connection: Any) -> tuple[int, list[Finding]]:
    """L6: each block follows the one before it, and its row is what its event says."""
    found, chain, before = _Kept(), Blocks(), GENESIS
    async for row in _rows(connection, BLOCKS, BlockClosed.type):
        event = StoredEvent(*row[:_EVENT]) if row[0] is not None else None
        where = Finding("event", str(event.event_id), "") if event else Finding("table", "block", "")
        said = None
        if event is not None:
            if event.prev_hash != before or hash_of(event) != event.hash:
                found.add(where._replace(what="its hash is not that of its bytes and of the block before"))
            before = event.hash
            try:
                said = _CODEC.decode(event.event_type, event.data)
            except ValueError:
                continue  # told by the fold
        for what in chain.take(said, _block_row(row[_EVENT:])):
            found.add(where._replace(what=what))
    return 0, found.all


def _block_row(columns: Sequence[Any]) -> BlockRow | None:
    number, seq_from, seq_to, entries, postings, sums, digest, prev_digest = columns
    if number is None:
        return None
    return BlockRow(number, seq_from, seq_to, entries, postings, json.loads(sums), digest, prev_digest)


async def _rows(connection: Any, sql: str, *values: Any) -> AsyncIterator[Any]:
    cursor = await connection.cursor(sql, *values)
    while rows := await cursor.fetch(CHUNK):
        for row in rows:
            yield row


class _Kept:
    """Findings, not without number."""

    def __init__(self) -> None:
        self.all: list[Finding] = []

    def add(self, finding: Finding) -> None:
        if len(self.all) < FINDINGS_MAX:
            self.all.append(finding)
