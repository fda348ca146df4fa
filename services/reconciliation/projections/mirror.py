"""provider_payment and provider_deposit: the partners' book as it was read last. Theirs, and made equal by each run.

An entry is known by its number in the book alone: what a partner has booked twice under one id must be seen twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.kernel.book import Reader

END = 2**62  # behind every entry
PAYMENTS = """
    INSERT INTO provider_payment AS m
           (payment_id, seq, transfer_id, amount_minor, currency, status, accepted_at, settled_at)
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::timestamptz[],
                         $8::timestamptz[])
    ON CONFLICT (seq) DO UPDATE
       SET payment_id = excluded.payment_id, transfer_id = excluded.transfer_id, amount_minor = excluded.amount_minor,
           currency = excluded.currency, status = excluded.status, accepted_at = excluded.accepted_at,
           settled_at = excluded.settled_at
     WHERE (m.payment_id, m.transfer_id, m.amount_minor, m.currency, m.status, m.accepted_at, m.settled_at)
           IS DISTINCT FROM (excluded.payment_id, excluded.transfer_id, excluded.amount_minor, excluded.currency,
                             excluded.status, excluded.accepted_at, excluded.settled_at)"""
DEPOSITS = """
    INSERT INTO provider_deposit AS m (partner, reference, seq, route_id, amount_minor, currency, booked_at)
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::uuid[], $5::bigint[], $6::text[], $7::timestamptz[])
    ON CONFLICT (seq) DO UPDATE
       SET partner = excluded.partner, reference = excluded.reference, route_id = excluded.route_id,
           amount_minor = excluded.amount_minor, currency = excluded.currency, booked_at = excluded.booked_at
     WHERE (m.partner, m.reference, m.route_id, m.amount_minor, m.currency, m.booked_at)
           IS DISTINCT FROM (excluded.partner, excluded.reference, excluded.route_id, excluded.amount_minor,
                             excluded.currency, excluded.booked_at)"""
GONE = "DELETE FROM {table} WHERE seq > $1 AND seq <= $2 AND NOT seq = ANY($3::bigint[])"
PaymentRow = tuple[str, int, UUID | None, int, str, str, datetime, datetime | None]  # the columns of PAYMENTS
DepositRow = tuple[str, str, int, UUID, int, str, datetime]  # the columns of DEPOSITS


async def keep(
    db: Reader, since: int, until: int, payments: Sequence[PaymentRow], deposits: Sequence[DepositRow]
) -> None:
    """The book has these entries behind `since` up to `until`, and no others. What is equal is not written."""
    await db.fetch(GONE.format(table="provider_payment"), since, until, [row[1] for row in payments])
    await db.fetch(GONE.format(table="provider_deposit"), since, until, [row[2] for row in deposits])
    if payments:
        await db.fetch(PAYMENTS, *map(list, zip(*payments, strict=True)))
    if deposits:
        await db.fetch(DEPOSITS, *map(list, zip(*deposits, strict=True)))
