"""Moments of the books. A moment is an entry's number: numbers have no gaps and are in the order of commits, so the
books as of a moment are all entries up to it, and they balance. Times and events are other names of moments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.kernel.book import Reader

FIRST, UNDATED = 0, None
STRAGGLERS_MAX = 5_000  # entries behind the first later one; more than all batches of all lanes that may be under way

HEAD = """SELECT b.entry_seq, e.posted_at FROM book_head b LEFT JOIN entry e ON e.entry_seq = b.entry_seq"""
BY_NUMBER = "SELECT entry_seq, posted_at FROM entry WHERE entry_seq = $1"
# An entry's own id, the event that caused it (one event may cause several kinds), or the event that says it was posted.
BY_ID = """SELECT entry_seq, posted_at FROM entry
           WHERE cause_id = $1 OR entry_id = $1 OR entry_id = (SELECT stream_id FROM event WHERE event_id = $1)
           ORDER BY entry_seq DESC LIMIT 1"""
# Numbers have no gaps, so a time is found by halving, without an index that every write would pay for. Two lanes may
# commit in another order than that of their clocks: the last entry at or before the time is looked for behind it too.
BY_TIME = """WITH RECURSIVE halved (low, high) AS (
                 SELECT 0::bigint, entry_seq FROM book_head
                 UNION ALL
                 SELECT CASE WHEN posted_at <= $1 THEN entry_seq ELSE low END,
                        CASE WHEN posted_at <= $1 THEN high ELSE entry_seq - 1 END
                 FROM halved CROSS JOIN LATERAL (
                     SELECT entry_seq, posted_at FROM entry WHERE entry_seq = (low + high + 1) / 2 OFFSET 0) middle
                 WHERE low < high
             ), found AS (SELECT low FROM halved WHERE low = high)
             SELECT entry_seq, posted_at FROM found CROSS JOIN LATERAL (
                 SELECT entry_seq, posted_at FROM entry
                 WHERE entry_seq BETWEEN low AND low + $2 AND posted_at <= $1
                 ORDER BY entry_seq DESC LIMIT 1) last"""

Wanted = datetime | int | UUID  # a time, an entry's number, or the id of an entry or of an event


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """The books behind the entry of this number; 0 is before the first one, which has no time."""

    entry_seq: int
    posted_at: datetime | None


BEGINNING = Moment(entry_seq=FIRST, posted_at=UNDATED)


async def head(db: Reader) -> Moment:
    """The last entry that is committed."""
    rows = await db.fetch(HEAD)
    return _moment(rows[0])


async def moment(db: Reader, wanted: Wanted | None) -> Moment | None:
    """The moment of that name; None wants the last one. A time is that at which entries were posted, and names the last
    entry posted at or before it. None for a number or an id of nothing in the books."""
    match wanted:
        case None:
            return await head(db)
        case datetime():
            rows = await db.fetch(BY_TIME, wanted, STRAGGLERS_MAX)
            return _moment(rows[0]) if rows else BEGINNING
        case UUID():
            rows = await db.fetch(BY_ID, wanted)
        case _:
            rows = await db.fetch(BY_NUMBER, wanted) if wanted else [(FIRST, UNDATED)]
    return _moment(rows[0]) if rows else None


def _moment(row: tuple[int, datetime | None]) -> Moment:
    return Moment(entry_seq=row[0], posted_at=row[1])
