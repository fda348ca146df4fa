"""Entries and the lines of a statement, in pages by their numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.kernel.book import BookedEntry, BookedLine, Reader

SCANNED_MAX = 5_000  # entries that one page looks at when its filters leave most of them out

# OFFSET 0: each entry is looked up by its number. The planner, who thinks of all entries, would rather scan them.
STATEMENT = """SELECT p.entry_seq, p.line, p.side, p.amount_minor, e.entry_id, e.cause_id, e.kind, e.transfer_id,
                      e.caused_at, e.posted_at
               FROM (SELECT entry_seq, line, side, amount_minor FROM posting
                     WHERE account_id = $1 AND (entry_seq, line) > ($2::bigint, $3::int) AND entry_seq <= $4
                     ORDER BY entry_seq, line LIMIT $5) p
               CROSS JOIN LATERAL (SELECT * FROM entry WHERE entry_seq = p.entry_seq OFFSET 0) e
               ORDER BY p.entry_seq, p.line"""
LATEST = """SELECT p.entry_seq, p.line, p.side, p.amount_minor, e.entry_id, e.cause_id, e.kind, e.transfer_id,
                   e.caused_at, e.posted_at
            FROM (SELECT entry_seq, line, side, amount_minor FROM posting WHERE account_id = $1 AND entry_seq <= $2
                  ORDER BY entry_seq DESC, line DESC LIMIT 1) p
            CROSS JOIN LATERAL (SELECT * FROM entry WHERE entry_seq = p.entry_seq OFFSET 0) e"""
_ENTRY = """e.entry_id, e.cause_id, e.kind, e.transfer_id, e.caused_at, e.posted_at, e.entry_seq,
            p.line, p.account_id, p.currency, p.side, p.amount_minor"""
ONE = f"""SELECT {_ENTRY} FROM entry e JOIN posting p USING (entry_seq) WHERE e.entry_id = $1
          ORDER BY p.line"""  # noqa: S608 - our own words
SAID = """SELECT event_id, global_seq, occurred_at, recorded_at, encode(hash, 'hex') AS hash,
                 convert_from(meta, 'UTF8') AS meta
          FROM event WHERE stream_id = $1 AND version = 1"""
_LINES = f"""SELECT {_ENTRY} FROM ({{page}}) e
             CROSS JOIN LATERAL (SELECT * FROM posting WHERE entry_seq = e.entry_seq OFFSET 0) p
             ORDER BY e.entry_seq DESC, p.line"""  # noqa: S608 - our own words
_KEPT = """($3::uuid IS NULL OR transfer_id = $3) AND ($4::uuid IS NULL OR cause_id = $4)
           AND ($5::text IS NULL OR kind = $5)"""
# Newest first; from $1 down to behind $2. By transfer or cause, the few that have it; else by number.
PAGE = _LINES.format(
    page=f"""SELECT * FROM entry WHERE entry_seq <= $1 AND entry_seq > $2 AND {_KEPT}
             ORDER BY entry_seq DESC LIMIT $6"""  # noqa: S608 - our own words
)
PAGE_OF_ACCOUNT = _LINES.format(
    page=f"""SELECT entry.* FROM (
                 SELECT DISTINCT entry_seq FROM posting
                 WHERE account_id = $7 AND entry_seq <= $1 AND entry_seq > $2
                 ORDER BY entry_seq DESC OFFSET 0) of_account
             CROSS JOIN LATERAL (SELECT * FROM entry WHERE entry_seq = of_account.entry_seq AND {_KEPT} OFFSET 0) entry
             ORDER BY of_account.entry_seq DESC LIMIT $6"""  # noqa: S608 - our own words
)
END_OF_ACCOUNT = """SELECT entry_seq FROM posting WHERE account_id = $1 AND entry_seq <= $2 AND entry_seq > $3
                    ORDER BY entry_seq DESC OFFSET $4 LIMIT 1"""


@dataclass(frozen=True, kw_only=True, slots=True)
class StatementLine:
    """A posting to one account, with the entry that it is of."""

    entry_seq: int
    line: int
    side: str
    amount_minor: int
    entry_id: UUID
    cause_id: UUID
    kind: str
    transfer_id: UUID | None
    caused_at: datetime
    posted_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryFilter:
    """Which entries: numbers from `first` to `last`; None is not asked for."""

    first: int
    last: int
    transfer_id: UUID | None = None
    cause_id: UUID | None = None
    kind: str | None = None
    account_id: str | None = None

    @property
    def few(self) -> bool:
        """Whether an index names them, so that none is looked at in vain."""
        return self.transfer_id is not None or self.cause_id is not None


async def statement_lines(
    db: Reader, account_id: str, after: tuple[int, int], until: int, limit: int
) -> list[StatementLine]:
    """The lines of an account behind (entry, line), up to entry `until`, in the order of the books."""
    rows = await db.fetch(STATEMENT, account_id, *after, until, limit)
    return [StatementLine(**dict(row)) for row in rows]


async def latest_line(db: Reader, account_id: str, until: int) -> StatementLine | None:
    """The one that made the balance what it is behind entry `until`."""
    rows = await db.fetch(LATEST, account_id, until)
    return StatementLine(**dict(rows[0])) if rows else None


async def entry(db: Reader, entry_id: UUID) -> tuple[BookedEntry, Any] | None:
    """An entry with its lines, and the row of the event that says it."""
    found = _entries(await db.fetch(ONE, entry_id))
    said = await db.fetch(SAID, entry_id)
    return (found[0], said[0] if said else None) if found else None


async def entries_page(db: Reader, wanted: EntryFilter, limit: int) -> tuple[list[BookedEntry], int | None]:
    """(entries, newest first; the number from which the next page goes on, None at the end). A page whose filter leaves
    out nearly everything it looks at is short, or empty, before the end."""
    low = await _end(db, wanted, limit)
    values = (wanted.last, low, wanted.transfer_id, wanted.cause_id, wanted.kind, limit + 1)
    if wanted.account_id is None:
        found = _entries(await db.fetch(PAGE, *values))
    else:
        found = _entries(await db.fetch(PAGE_OF_ACCOUNT, *values, wanted.account_id))
    if len(found) > limit:
        return found[:limit], found[limit].entry_seq
    return found, low if low >= wanted.first else None


async def _end(db: Reader, wanted: EntryFilter, limit: int) -> int:
    """The number above which a page looks."""
    lowest = wanted.first - 1
    if wanted.few:
        return lowest
    if wanted.account_id is None:
        return max(lowest, wanted.last - SCANNED_MAX)
    rows = await db.fetch(END_OF_ACCOUNT, wanted.account_id, wanted.last, lowest, SCANNED_MAX)
    return rows[0][0] if rows else lowest


def _entries(rows: Any) -> list[BookedEntry]:
    """Rows of lines, those of an entry together, as entries."""
    entries: dict[int, BookedEntry] = {}
    for entry_id, cause_id, kind, transfer_id, caused_at, posted_at, entry_seq, *rest in rows:
        number, account_id, currency, side, minor = rest
        line = BookedLine(line=number, account_id=account_id, currency=currency, side=side, amount_minor=minor)
        known = entries.get(entry_seq)
        entries[entry_seq] = BookedEntry(
            entry_id=entry_id, cause_id=cause_id, kind=kind, transfer_id=transfer_id, caused_at=caused_at,
            posted_at=posted_at, entry_seq=entry_seq, lines=(*(known.lines if known else ()), line),
        )  # fmt: skip
    return list(entries.values())
