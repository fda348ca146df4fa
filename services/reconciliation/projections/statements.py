"""statement, statement_delivery, statement_line, statement_line_parked: written in the transactions of their events.

The port by which others read them is `lines` and `heads` below; docs/reconciliation-statements.md has the columns.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from contracts.recon.v1 import (
    StatementBalance,
    StatementCompleted,
    StatementLineParked,
    StatementLineRecorded,
    StatementReceived,
)
from services.kernel.book import Reader
from services.kernel.codec import encode
from services.kernel.cursors import Place
from services.kernel.money import Money, iso4217
from services.kernel.parts import Part, typed
from services.kernel.store import Write
from services.reconciliation.domain.statements.checks import Head
from services.reconciliation.domain.statements.shape import signed

PARTS = (
    Part(
        "statement",
        typed(
            "statement_id uuid, head smallint, partner text, account text, ledger_account text, reference text,"
            "kind text, source text, message text, file_sha256 text, currency text, sequence bigint, period_from date,"
            "period_to date, opening_minor bigint, closing_minor bigint, lines int, bad_lines int, not_booked int,"
            "received_at timestamptz"
        ),
        """INSERT INTO statement (statement_id, head, partner, account, ledger_account, reference, kind, source,
                                  message, file_sha256, currency, sequence, period_from, period_to, opening_minor,
                                  closing_minor, lines, bad_lines, not_booked, received_at)
           SELECT statement_id, head, partner, account, ledger_account, reference, kind, source, message, file_sha256,
                  currency, sequence, period_from, period_to, opening_minor, closing_minor, lines, bad_lines,
                  not_booked, received_at
           FROM {rows}""",
        None,
    ),
    Part(
        "statement_delivery",
        typed(
            "statement_id uuid, delivery int, file_sha256 text, lines int, repeated int, parked int, not_booked int,"
            "credit_minor bigint, debit_minor bigint, difference_minor bigint, completed_at timestamptz"
        ),
        """INSERT INTO statement_delivery (statement_id, delivery, file_sha256, lines, repeated, parked, not_booked,
                                           credit_minor, debit_minor, difference_minor, completed_at)
           SELECT statement_id, delivery, file_sha256, lines, repeated, parked, not_booked, credit_minor, debit_minor,
                  difference_minor, completed_at
           FROM {rows}""",
        None,
    ),
    Part(
        "statement_line",
        typed(
            "line_id uuid, statement_id uuid, partner text, account text, entry_reference text, reference_by text,"
            "position text, booking_date date, value_date date, amount_minor bigint, currency text, side text,"
            "reversal boolean, bank_transaction_code text, end_to_end_id text, our_reference text, reference_ids text,"
            "charges_minor bigint, details text, details_left_out int, recorded_at timestamptz"
        ),
        """INSERT INTO statement_line (line_id, statement_id, partner, account, entry_reference, reference_by, position,
                                       booking_date, value_date, amount_minor, currency, side, reversal,
                                       bank_transaction_code, end_to_end_id, our_reference, reference_ids,
                                       charges_minor, details, details_left_out, recorded_at)
           SELECT line_id, statement_id, partner, account, entry_reference, reference_by, position, booking_date,
                  value_date, amount_minor, currency, side, reversal, bank_transaction_code, end_to_end_id,
                  our_reference, ARRAY(SELECT jsonb_array_elements_text(reference_ids::jsonb)), charges_minor,
                  details::jsonb, details_left_out, recorded_at
           FROM {rows}""",
        None,
    ),
    Part(
        "statement_line_parked",
        typed(
            "parked_id uuid, line_id uuid, statement_id uuid, position text, entry_reference text, code text,"
            "reason text, raw text, parked_at timestamptz"
        ),
        """INSERT INTO statement_line_parked (parked_id, line_id, statement_id, position, entry_reference, code, reason,
                                              raw, parked_at)
           SELECT parked_id, line_id, statement_id, position, entry_reference, code, reason, raw, parked_at
           FROM {rows}""",
        None,
    ),
)


def received(event: StatementReceived, write: Write, _before: Any = None) -> None:
    """The row of its head."""
    write.add(
        "statement",
        (
            event.statement_id, event.head, event.partner, event.account, event.ledger_account, event.reference,
            event.kind, event.source, event.message, event.file_sha256, event.currency, event.sequence,
            event.period_from, event.period_to, _minor(event.opening), _minor(event.closing), event.lines,
            event.bad_lines, event.not_booked, event.received_at,
        ),
    )  # fmt: skip


def _minor(balance: StatementBalance | None) -> int | None:
    return None if balance is None else signed(balance)


def completed(event: StatementCompleted, write: Write, _before: Any = None) -> None:
    """The row of the file that is in."""
    write.add(
        "statement_delivery",
        (
            event.statement_id, event.delivery, event.file_sha256, event.lines, event.repeated, event.parked,
            event.not_booked, event.credits_minor, event.debits_minor, event.difference_minor, event.completed_at,
        ),
    )  # fmt: skip


def recorded(event: StatementLineRecorded, write: Write, _before: Any = None) -> None:
    """Its row."""
    write.add(
        "statement_line",
        (
            event.line_id, event.statement_id, event.partner, event.account, event.entry_reference, event.reference_by,
            event.position, event.booking_date, event.value_date, event.amount.minor, event.amount.currency, event.side,
            event.reversal, event.bank_transaction_code, event.end_to_end_id, event.our_reference,
            encode(event.references).decode(), None if event.charges is None else event.charges.minor,
            encode(event.details).decode(),
            event.details_left_out, event.recorded_at,
        ),
    )  # fmt: skip


def parked(event: StatementLineParked, write: Write, _before: Any = None) -> None:
    """Its row."""
    write.add(
        "statement_line_parked",
        (
            event.parked_id, event.line_id, event.statement_id, event.position, event.entry_reference, event.code,
            event.reason, event.raw, event.parked_at,
        ),
    )  # fmt: skip


ALSO_OF: Mapping[type, Callable[[Any, Write, Any], None]] = {
    StatementReceived: received,
    StatementCompleted: completed,
    StatementLineRecorded: recorded,
    StatementLineParked: parked,
}
Row = Mapping[str, Any]

HEAD = (
    "s.seq, s.statement_id, s.partner, s.account, s.ledger_account, s.reference, s.kind, s.source, s.message, "
    "s.file_sha256, s.currency, s.sequence, s.period_from, s.period_to, s.opening_minor, s.closing_minor, s.head, "
    "s.lines, s.bad_lines, s.not_booked, s.received_at, d.delivery, d.repeated, d.parked, d.credit_minor, "
    "d.debit_minor, d.difference_minor, d.completed_at, "
    "CASE WHEN d.completed_at >= s.received_at THEN 'complete' ELSE 'receiving' END AS state"
)
OF_HEAD = """
    FROM statement s
    LEFT JOIN LATERAL (SELECT * FROM statement_delivery e WHERE e.statement_id = s.statement_id
                       ORDER BY e.delivery DESC LIMIT 1) d ON true
    WHERE NOT EXISTS (SELECT 1 FROM statement n WHERE n.statement_id = s.statement_id AND n.head > s.head)"""
FIND = f"SELECT {HEAD} {OF_HEAD} AND s.statement_id = ANY($1)"
HEADS = f"""
    SELECT {HEAD} {OF_HEAD} AND (s.received_at, s.seq) < ($1, $2) AND ($3::text IS NULL OR s.partner = $3)
      AND ($4::text IS NULL OR s.account = $4)
    ORDER BY s.received_at DESC, s.seq DESC LIMIT $5"""
NEIGHBOUR = f"""
    SELECT {HEAD} {OF_HEAD} AND s.kind = 'statement' AND s.partner = $1 AND s.account = $2 AND s.currency = $7
      AND s.statement_id <> $3
      AND (s.period_to, coalesce(s.sequence, 0), s.reference) {{sign}} ($4, $5, $6)
    ORDER BY s.period_to {{order}}, coalesce(s.sequence, 0) {{order}}, s.reference {{order}} LIMIT 1"""
BEFORE = NEIGHBOUR.format(sign="<", order="DESC")
BEHIND = NEIGHBOUR.format(sign=">", order="ASC")
LINE = (
    "seq, line_id, statement_id, partner, account, entry_reference, reference_by, position, booking_date, value_date, "
    "amount_minor, currency, side, reversal, bank_transaction_code, end_to_end_id, our_reference, reference_ids, "
    "charges_minor, details, details_left_out, recorded_at"
)
LINES = f"""
    SELECT {LINE} FROM statement_line
    WHERE statement_id = $1 AND seq > $2 ORDER BY seq LIMIT $3"""  # noqa: S608 - as above
PARKED = """
    SELECT seq, parked_id, line_id, statement_id, position, entry_reference, code, reason, raw, parked_at
    FROM statement_line_parked WHERE statement_id = $1 AND seq > $2 ORDER BY seq LIMIT $3"""
RECORDED = "SELECT count(*) FROM statement_line WHERE statement_id = $1"
OPEN_ABOUT = """
    SELECT issue_id FROM reconciliation_issue WHERE cleared_at IS NULL AND subject = $1 AND code = ANY($2)"""


async def find(db: Reader, statement_id: UUID) -> Row | None:
    """The head that counts, with its last delivery and its state: receiving or complete."""
    rows = await db.fetch(FIND, [statement_id])
    return dict(rows[0]) if rows else None


async def heads(
    db: Reader, before: Place, limit: int, *, partner: str | None = None, account: str | None = None
) -> Sequence[Row]:
    """Statements, newest first."""
    return [dict(row) for row in await db.fetch(HEADS, *before, partner, account, limit)]


async def lines(db: Reader, statement_id: UUID, after: int, limit: int) -> Sequence[Row]:
    """Lines in the order of their recording, behind the place `after` (0: from the first)."""
    rows = await db.fetch(LINES, statement_id, after, limit)
    return [dict(row) | {"details": json.loads(row["details"])} for row in rows]


async def parked_lines(db: Reader, statement_id: UUID, after: int, limit: int) -> Sequence[Row]:
    """What was not recorded, likewise."""
    return [dict(row) for row in await db.fetch(PARKED, statement_id, after, limit)]


async def recorded_lines(db: Reader, statement_id: UUID) -> int:
    """How many lines of it are in."""
    return int((await db.fetch(RECORDED, statement_id))[0][0])


async def neighbours(db: Reader, head: Head) -> tuple[Head | None, Head | None]:
    """The statements of the account that stand before and behind it, as far as they have come."""
    place = (head.partner, head.account, head.statement_id, head.period_to, head.sequence or 0, head.reference,
             head.currency)  # fmt: skip
    before, behind = await db.fetch(BEFORE, *place), await db.fetch(BEHIND, *place)
    return (head_of(before[0]) if before else None), (head_of(behind[0]) if behind else None)


def head_of(row: Any) -> Head:
    """A row of a head as the domain has it."""
    return Head(
        statement_id=row["statement_id"], partner=row["partner"], account=row["account"], reference=row["reference"],
        currency=row["currency"], sequence=row["sequence"], period_from=row["period_from"],
        period_to=row["period_to"], opening=_balance(row["opening_minor"], row["currency"]),
        closing=_balance(row["closing_minor"], row["currency"]),
    )  # fmt: skip


def _balance(minor: int | None, currency: str) -> StatementBalance | None:
    if minor is None:
        return None
    return StatementBalance(side="debit" if minor < 0 else "credit", amount=Money(abs(minor), iso4217(currency)))


async def open_about(db: Reader, subject: str, codes: Sequence[str]) -> frozenset[UUID]:
    """Issues of these codes that are open about it."""
    return frozenset(row[0] for row in await db.fetch(OPEN_ABOUT, subject, list(codes)))
