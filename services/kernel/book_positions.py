"""Positions in currencies as the books have them: both sides, what conversions earned, and which of them are open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from services.kernel.book import Reader

# One statement, so that all of it is of one moment. First in, first out: what came in of a currency covers what was
# promised first. `k` is the newest checkpoint up to which everything is covered, so that only what may be open is read.
POSITIONS = """
    WITH side AS (
        SELECT a.currency, max(h.entry_seq) AS entry_seq,
               coalesce(sum(b.credit_minor) FILTER (WHERE a.kind = $1), 0)::bigint AS bought,
               coalesce(sum(b.debit_minor) FILTER (WHERE a.kind = $1), 0)::bigint AS sold,
               coalesce(sum(b.credit_minor - b.debit_minor) FILTER (WHERE a.account_id = $2 || ':' || a.currency), 0)
                   ::bigint AS spread,
               coalesce(sum(b.credit_minor - b.debit_minor) FILTER (WHERE a.account_id = $3 || ':' || a.currency), 0)
                   ::bigint AS rounding
        FROM account a JOIN balance b USING (account_id) CROSS JOIN book_head h
        WHERE a.kind IN ($1, split_part($2, ':', 1), split_part($3, ':', 1))
          AND (a.kind = $1 OR a.account_id IN ($2 || ':' || a.currency, $3 || ':' || a.currency))
        GROUP BY a.currency)
    SELECT s.entry_seq, s.currency, s.bought, s.sold, s.spread, s.rounding, o.source, o.taken, o.promised, o.open
    FROM side s
    LEFT JOIN LATERAL (
        SELECT entry_seq, debit_minor FROM balance_at
        WHERE account_id = $1 || ':' || s.currency AND debit_minor <= s.bought
        ORDER BY entry_seq DESC LIMIT 1) k ON true
    LEFT JOIN LATERAL (
        SELECT c.currency AS source, coalesce(sum(c.amount_minor), 0)::bigint AS taken,
               sum(d.amount_minor)::bigint AS promised,
               sum(least(d.amount_minor, d.through - s.bought))::bigint AS open
        FROM (SELECT entry_seq, amount_minor, coalesce(k.debit_minor, 0)
                         + sum(amount_minor) OVER (ORDER BY entry_seq, line) AS through
              FROM posting
              WHERE account_id = $1 || ':' || s.currency AND side = 'debit' AND entry_seq > coalesce(k.entry_seq, 0)) d
        LEFT JOIN LATERAL (
            SELECT p.currency, p.amount_minor FROM posting p
            WHERE p.entry_seq = d.entry_seq AND p.side = 'credit' AND starts_with(p.account_id, $1 || ':')
              AND p.currency <> s.currency LIMIT 1) c ON true
        WHERE d.through > s.bought
        GROUP BY c.currency, d.through - d.amount_minor < s.bought) o ON s.sold > s.bought
    ORDER BY s.currency, o.source"""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenPromise:
    """Conversions that are open: `open` of `promised` for that much of `taken`, in minor units. One that is covered in
    part is alone in its row."""

    source: str | None  # None: sold without a conversion
    taken: int
    promised: int
    open: int


@dataclass(frozen=True, kw_only=True, slots=True)
class BookedPosition:
    """One currency, in its minor units."""

    currency: str
    bought: int
    sold: int
    spread: int
    rounding: int
    promises: tuple[OpenPromise, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class BookedPositions:
    """Every currency behind entry `entry_seq`."""

    entry_seq: int
    positions: tuple[BookedPosition, ...]


async def positions(db: Reader, position: str, spread: str, rounding: str) -> BookedPositions:
    """`position` is a kind of the chart whose accounts are one for a currency; the others are accounts without it."""
    rows: Sequence[Sequence[Any]] = await db.fetch(POSITIONS, position, spread, rounding)
    found = []
    for (_, currency, bought, sold, earned, left), of_it in groupby(rows, key=lambda row: tuple(row[:6])):
        promises = tuple(
            OpenPromise(source=source, taken=taken, promised=promised, open=unbought)
            for *_, source, taken, promised, unbought in of_it
            if promised is not None
        )
        found.append(
            BookedPosition(
                currency=currency, bought=bought, sold=sold, spread=earned, rounding=left, promises=promises
            )
        )  # fmt: skip
    return BookedPositions(entry_seq=rows[0][0] if rows else 0, positions=tuple(found))
