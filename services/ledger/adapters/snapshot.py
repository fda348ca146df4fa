"""The book as one snapshot has it, a bounded piece at a time: entries with their events, accounts with their postings.

Everything that one check looks at is read in one REPEATABLE READ transaction, so that traffic is never a difference.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from contracts.ledger.v1 import Adjusted, BlockClosed, CurrencySums, EntryPosted
from services.kernel.book import BookedEntry, BookedLine
from services.kernel.codec import EventCodec
from services.ledger.domain import checks
from services.ledger.domain.blocks import BLOCKS, Digest
from services.ledger.domain.checks import Found, Sides

PAGE = 500  # entries in memory at once, and between two turns of the loop

ONE_AT_A_TIME = "SELECT pg_try_advisory_xact_lock(hashtext('ledger'), hashtext('blocks'))"
HEAD = "SELECT entry_seq, (SELECT coalesce(max(entry_seq), 0) FROM entry) FROM book_head"
PENDING = "SELECT h.entry_seq - coalesce((SELECT max(seq_to) FROM block), 0) FROM book_head h"
ENTRIES = """
    SELECT entry_seq, entry_id, cause_id, kind, transfer_id, caused_at, posted_at
    FROM entry WHERE entry_seq BETWEEN $1 AND $2 ORDER BY entry_seq"""
LINES = """
    SELECT entry_seq, line, account_id, currency, side, amount_minor
    FROM posting WHERE entry_seq BETWEEN $1 AND $2 ORDER BY entry_seq, line"""
# The event of an entry is the first of the stream with its id; of an adjustment it is in the stream that caused it. A
# hold's entry does not say which stream it is of.
EVENTS = """
    SELECT e.entry_seq, v.event_type, v.data
    FROM entry e JOIN event v ON v.stream_id = e.entry_id AND v.version = 1
    WHERE e.entry_seq BETWEEN $1 AND $2
    UNION ALL
    SELECT e.entry_seq, v.event_type, v.data
    FROM entry e JOIN event v ON v.stream_id = e.cause_id AND v.event_type = $3
    WHERE e.entry_seq BETWEEN $1 AND $2 AND e.kind = $4"""
CAUSES = """
    SELECT cause_id, kind, count(*)::int FROM entry WHERE cause_id = ANY($1) GROUP BY 1, 2 HAVING count(*) > 1"""
# Of the accounts that moved in a range: before it, in it, as noted at its end, as kept now.
MOVED = """
    SELECT m.account_id, m.currency, coalesce(b.debit_minor, 0) + m.debit, coalesce(b.credit_minor, 0) + m.credit,
           n.debit_minor, n.credit_minor, k.debit_minor, k.credit_minor
    FROM (SELECT account_id, min(currency) AS currency,
                 coalesce(sum(amount_minor) FILTER (WHERE side = 'debit'), 0)::bigint AS debit,
                 coalesce(sum(amount_minor) FILTER (WHERE side = 'credit'), 0)::bigint AS credit
          FROM posting WHERE entry_seq BETWEEN $1 AND $2 GROUP BY account_id) m
    LEFT JOIN LATERAL (SELECT debit_minor, credit_minor FROM balance_at
                       WHERE account_id = m.account_id AND entry_seq < $1 ORDER BY entry_seq DESC LIMIT 1) b ON true
    LEFT JOIN balance_at n ON n.account_id = m.account_id AND n.entry_seq = $2
    LEFT JOIN balance k ON k.account_id = m.account_id
    ORDER BY m.account_id"""
# A slice of all accounts: what they are by the chart, as kept, and as last noted with what was posted since.
ACCOUNTS = """
    WITH slice AS MATERIALIZED (
        SELECT account_id FROM (
            (SELECT account_id FROM account WHERE account_id > $1 ORDER BY account_id LIMIT $2)
            UNION (SELECT account_id FROM balance WHERE account_id > $1 ORDER BY account_id LIMIT $2)) x
        ORDER BY account_id LIMIT $2)
    SELECT s.account_id, coalesce(a.currency, k.currency),
           a.account_id IS NOT NULL AND (a.class, a.protected) IS NOT DISTINCT FROM (c.class, c.protected)
               AND (k.account_id IS NULL OR (k.currency, k.protected) = (a.currency, a.protected)),
           coalesce(k.debit_minor, 0), coalesce(k.credit_minor, 0),
           coalesce(n.debit_minor, 0) + p.debit, coalesce(n.credit_minor, 0) + p.credit
    FROM slice s
    LEFT JOIN account a ON a.account_id = s.account_id
    LEFT JOIN chart c ON c.kind = a.kind
    LEFT JOIN balance k ON k.account_id = s.account_id
    LEFT JOIN LATERAL (SELECT entry_seq, debit_minor, credit_minor FROM balance_at
                       WHERE account_id = s.account_id ORDER BY entry_seq DESC LIMIT 1) n ON true
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(amount_minor) FILTER (WHERE side = 'debit'), 0)::bigint AS debit,
               coalesce(sum(amount_minor) FILTER (WHERE side = 'credit'), 0)::bigint AS credit
        FROM posting WHERE account_id = s.account_id AND entry_seq > coalesce(n.entry_seq, 0)) p
    ORDER BY s.account_id"""
BALANCE_SUMS = """
    SELECT currency, sum(debit_minor)::bigint, sum(credit_minor)::bigint FROM balance GROUP BY currency ORDER BY 1"""
SETTLED = """
    SELECT v.data, b.seq_from, b.seq_to, b.digest, b.prev_digest
    FROM event v LEFT JOIN block b ON b.number = v.version
    WHERE v.stream_id = $1 AND v.version = $2"""

_EVENTS = EventCodec((EntryPosted, Adjusted))
_BLOCKS = EventCodec((BlockClosed,))


@dataclass(slots=True)
class Read:
    """What was read of a range of entries, and what was found wrong in it."""

    seq_from: int
    seq_to: int
    entries: int = 0
    postings: int = 0
    sums: dict[str, list[int]] = field(default_factory=dict)
    digest: bytes = b""
    found: list[Found] = field(default_factory=list)

    def currency_sums(self) -> tuple[CurrencySums, ...]:
        """Both sides by currency, in the currencies' order."""
        return tuple(
            CurrencySums(currency=currency, debit_minor=debit, credit_minor=credit)
            for currency, (debit, credit) in sorted(self.sums.items())
        )


class Snapshot:
    """One transaction's view of the book."""

    def __init__(self, connection: asyncpg.Connection[Any]) -> None:
        self._connection = connection

    async def head(self) -> tuple[int, int]:
        """(the number that the book's head gives to its last entry, the number that its last entry has)."""
        row = await self._one(HEAD)
        return (int(row[0]), int(row[1])) if row else (0, 0)

    async def read(self, seq_from: int, seq_to: int, prev_digest: bytes) -> Read:
        """All entries of a range, checked one by one (L1, L3, L7, L10, numbers), and their digest."""
        read, running, seen = Read(seq_from, seq_to), Digest(prev_digest), list[int]()
        for first in range(seq_from, seq_to + 1, PAGE):
            last = min(first + PAGE - 1, seq_to)
            entries, orphans = await self._entries(first, last)
            for entry in entries:
                running.add(entry)
                _count(read, entry)
            seen += [entry.entry_seq for entry in entries]
            read.found += [found for orphan in orphans for found in checks.orphaned(*orphan)]
            read.found += await self._judged(entries, first, last)
        read.found += checks.missing(seq_from, seq_to, seen)
        read.digest = running.value()
        return read

    async def _entries(self, first: int, last: int) -> tuple[list[BookedEntry], list[tuple[int, list[BookedLine]]]]:
        """The entries of a page with their lines, and lines that have no entry."""
        lines: dict[int, list[BookedLine]] = {}
        for number, *line in await self._connection.fetch(LINES, first, last):
            lines.setdefault(number, []).append(_line(*line))
        rows = await self._connection.fetch(ENTRIES, first, last)
        return [_entry(*row, lines=lines.pop(row[0], ())) for row in rows], sorted(lines.items())

    async def _judged(self, entries: Sequence[BookedEntry], first: int, last: int) -> list[Found]:
        """What is wrong with the entries of a page, each in itself, beside its event, and beside its cause's others."""
        rows = await self._connection.fetch(EVENTS, first, last, Adjusted.type, "ledger.adjusted")
        said = {row[0]: _said(*row) for row in rows}
        causes = await self._connection.fetch(CAUSES, [entry.cause_id for entry in entries])
        times = {(row[0], row[1]): row[2] for row in causes}
        found: list[Found] = []
        for entry in entries:
            found += checks.entry_faults(entry, said.get(entry.entry_seq))
            if entry.entry_seq not in said and not _is_hold(entry):
                found += checks.eventless(entry)
            if (again := times.get((entry.cause_id, entry.kind))) is not None:
                found += checks.repeated(entry, again)
        return found

    async def moved(self, read: Read, *, is_settled: bool, is_head: bool) -> list[Found]:
        """L9 of what moved in a range: as noted at its end if it is settled, as kept if it ends the book."""
        found: list[Found] = []
        for account_id, currency, *sums in await self._connection.fetch(MOVED, read.seq_from, read.seq_to):
            should, noted, kept = Sides(*sums[:2]), _sides(*sums[2:4]), _sides(*sums[4:])
            if is_settled:
                found += checks.unequal(account_id, currency, f"balance at {read.seq_to}", noted, should)
            if is_head:
                found += checks.unequal(account_id, currency, "balance", kept, should)
        return found

    async def accounts(self, after: str, limit: int) -> tuple[list[Found], str | None]:
        """L9 and the chart for the accounts behind `after`; and where to go on, None at the end of all."""
        rows = await self._connection.fetch(ACCOUNTS, after, limit)
        found: list[Found] = []
        for account_id, currency, is_charted, *sums in rows:
            if not is_charted:
                found.append(checks.not_as_charted(account_id, currency, "not as the chart has it"))
            found += checks.unequal(account_id, currency, "balance", Sides(*sums[:2]), Sides(*sums[2:]))
        return found, rows[-1][0] if len(rows) == limit else None

    async def settled(self, number: int) -> tuple[Read, list[Found]]:
        """A block that was closed, read again and compared with its event (L6)."""
        row = await self._one(SETTLED, BLOCKS, number)
        if row is None:
            return Read(0, -1), [checks.unsettled(number, "its event", "is missing")]
        said = _BLOCKS.decode(BlockClosed.type, row[0])
        read = await self.read(said.seq_from, said.seq_to, bytes.fromhex(said.prev_digest))
        entry_found = bool(read.found)
        if tuple(row)[1:] != _row_of(said):
            read.found.append(checks.unsettled(number, "its row", _short(row[3])))
        if read.digest.hex() != said.digest and not entry_found:
            read.found.append(checks.unsettled(number, "its entries", _short(read.digest)))
        return read, read.found + await self.moved(read, is_settled=True, is_head=False)

    async def balance_sums(self) -> tuple[CurrencySums, ...]:
        """Both sides of all balances, by currency. Reads them all."""
        rows = await self._connection.fetch(BALANCE_SUMS)
        return tuple(CurrencySums(currency=row[0], debit_minor=row[1], credit_minor=row[2]) for row in rows)

    async def _one(self, sql: str, *values: Any) -> Any:
        return await self._connection.fetchrow(sql, *values)


@asynccontextmanager
async def snapshot(connection: asyncpg.Connection[Any]) -> AsyncIterator[Snapshot | None]:
    """One view of the book; None while another process of the ledger looks at it."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        alone = await connection.fetchval(ONE_AT_A_TIME)
        yield Snapshot(connection) if alone else None


def _count(read: Read, entry: BookedEntry) -> None:
    read.entries += 1
    read.postings += len(entry.lines)
    for line in entry.lines:
        read.sums.setdefault(line.currency, [0, 0])[line.side != "debit"] += line.amount_minor


def _line(line: int, account_id: str, currency: str, side: str, amount_minor: int) -> BookedLine:
    return BookedLine(line=line, account_id=account_id, currency=currency, side=side, amount_minor=amount_minor)


def _entry(
    entry_seq: int, entry_id: UUID, cause_id: UUID, kind: str, transfer_id: UUID | None, caused_at: Any, posted_at: Any,
    *, lines: Iterable[BookedLine],
) -> BookedEntry:  # fmt: skip
    return BookedEntry(
        entry_id=entry_id, cause_id=cause_id, kind=kind, transfer_id=transfer_id, caused_at=caused_at,
        posted_at=posted_at, entry_seq=entry_seq, lines=tuple(lines),
    )  # fmt: skip


def _said(entry_seq: int, event_type: str, data: bytes) -> BookedEntry:
    """The entry as its event says it."""
    event = _EVENTS.decode(event_type, data)
    lines = [
        _line(number, line.account, line.amount.currency, line.side, line.amount.minor)
        for number, line in enumerate(event.lines, start=1)
    ]
    return _entry(
        entry_seq, event.entry_id, event.cause_id, event.kind, event.transfer_id, event.caused_at, event.posted_at,
        lines=lines,
    )  # fmt: skip


def _is_hold(entry: BookedEntry) -> bool:
    """Its event is in a stream that the entry does not name; `ops-cli ledger verify` finds it."""
    return entry.kind.startswith("hold.")


def _sides(debit: int | None, credit: int | None) -> Sides:
    return Sides(debit or 0, credit or 0)


def _row_of(said: BlockClosed) -> tuple[int, int, bytes, bytes]:
    return said.seq_from, said.seq_to, bytes.fromhex(said.digest), bytes.fromhex(said.prev_digest)


def _short(digest: bytes | None) -> str:
    return "is missing" if digest is None else f"says {digest.hex()[:16]}"
