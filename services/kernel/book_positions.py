"""Positions in currencies as the books have them: both sides, what conversions earned, and which of them are open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from services.kernel.book import Reader

# One statement, so that all of it is of one moment. First in, first out: what came in of a currency covers what was
# promised first. `short` has the newest checkpoint up to which all is covered: only what may be open is read, and that
# in one pass. A promise that was paid for in several currencies at once has no one rate; no template makes one.
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
        GROUP BY a.currency),
    short AS MATERIALIZED (
        SELECT s.currency, s.bought, coalesce(k.entry_seq, 0) AS covered_seq, coalesce(k.debit_minor, 0) AS covered
        FROM side s LEFT JOIN LATERAL (
            SELECT entry_seq, debit_minor FROM balance_at
            WHERE account_id = $1 || ':' || s.currency AND debit_minor <= s.bought
            ORDER BY entry_seq DESC LIMIT 1) k ON true
        WHERE s.sold > s.bought),
    leg AS (
        SELECT entry_seq, line, currency, side, amount_minor,
               count(*) FILTER (WHERE side = 'credit') OVER entry AS sources,
               min(currency) FILTER (WHERE side = 'credit') OVER entry AS source,
               sum(amount_minor) FILTER (WHERE side = 'credit') OVER entry AS taken
        FROM posting
        WHERE account_id = ANY (ARRAY(SELECT account_id FROM account WHERE kind = $1))
          AND entry_seq > (SELECT min(covered_seq) FROM short)
        WINDOW entry AS (PARTITION BY entry_seq)),
    promised AS (
        SELECT l.currency, l.amount_minor, s.bought, l.source, l.taken,
               l.sources = 1 AND l.source <> l.currency AS priced,
               s.covered + sum(l.amount_minor) OVER (PARTITION BY l.currency ORDER BY l.entry_seq, l.line) AS through
        FROM leg l JOIN short s USING (currency)
        WHERE l.side = 'debit' AND l.entry_seq > s.covered_seq),
    open AS (
        SELECT currency, CASE WHEN priced THEN source END AS source,
               coalesce(sum(taken) FILTER (WHERE priced), 0)::bigint AS taken, sum(amount_minor)::bigint AS promised,
               sum(least(amount_minor, through - bought))::bigint AS open
        FROM promised
        WHERE through > bought
        GROUP BY currency, CASE WHEN priced THEN source END, through - amount_minor < bought)
    SELECT s.entry_seq, s.currency, s.bought, s.sold, s.spread, s.rounding, o.source, o.taken, o.promised, o.open
    FROM side s LEFT JOIN open o USING (currency)
    ORDER BY s.currency, o.source, o.open"""


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
