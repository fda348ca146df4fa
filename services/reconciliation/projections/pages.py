"""What a run reads: the books side by side, a page at a time, in one statement for each page."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from services.kernel.book import Reader
from services.kernel.value import value
from services.reconciliation.domain.facts import (
    Amounts,
    DepositSaid,
    Facts,
    Payment,
    PayoutSaid,
    Route,
    TransferSaid,
)
from services.reconciliation.projections.bookings import booked_of
from services.reconciliation.projections.deposits import amounts_of

PAGE_TRANSFERS = 500
NEWEST = """
    SELECT (SELECT max(moved_at) FROM transfers), (SELECT max(moved_at) FROM deposits),
           (SELECT max(moved_at) FROM payouts), (SELECT max(moved_at) FROM bookings)"""
POSITIONS = """
    SELECT o.topic, o.partition, o.next_offset
    FROM projection_registry p
    JOIN consumer_offset o ON o.consumer = $1 || '.' || p.name || '.v' || p.version AND o.epoch = $2
    WHERE p.status = 'live'"""
PARKED = """
    SELECT c.consumer, count(*) FROM stream_cursor c
    JOIN projection_registry p ON c.consumer = $1 || '.' || p.name || '.v' || p.version AND p.status = 'live'
    WHERE c.parked GROUP BY 1 ORDER BY 1"""
TRANSFERS = """
    WITH ids AS (
        (SELECT transfer_id FROM transfers WHERE transfer_id > $1 ORDER BY 1 LIMIT $2)
        UNION (SELECT DISTINCT transfer_id FROM payouts WHERE transfer_id > $1 ORDER BY 1 LIMIT $2)
        UNION (SELECT DISTINCT transfer_id FROM deposits WHERE transfer_id > $1 ORDER BY 1 LIMIT $2)
        UNION (SELECT booking_id FROM bookings WHERE booking_id > $1 AND transfer_id IS NOT NULL ORDER BY 1 LIMIT $2)
        UNION (SELECT DISTINCT transfer_id FROM provider_payment WHERE transfer_id > $1 ORDER BY 1 LIMIT $2)
        ORDER BY 1 LIMIT $2)
    SELECT ids.transfer_id,
           t.state, t.route_id, t.customer_id, t.send_minor, t.send_currency, t.fee_minor, t.spread_minor,
           t.converted_minor, t.receive_minor, t.receive_currency, t.received_minor, t.received_currency, t.funded,
           t.payout_id,
           d.attributed, d.confirmed_minor, d.confirmed_currency,
           b.booked,
           (SELECT json_agg(json_build_array(p.payout_id, p.state, p.amount_minor, p.currency, p.partner, p.submitted,
                                             p.sent, p.confirmed_minor, p.confirmed_currency, p.moved_at)
                            ORDER BY p.payout_id)
            FROM payouts p WHERE p.transfer_id = ids.transfer_id),
           (SELECT json_agg(json_build_array(m.payment_id, m.amount_minor, m.currency, m.status, m.accepted_at,
                                             m.settled_at) ORDER BY m.payment_id, m.seq)
            FROM provider_payment m WHERE m.transfer_id = ids.transfer_id),
           greatest(t.moved_at, d.moved_at, b.moved_at),
           (SELECT array_agg(i.issue_id) FROM reconciliation_issue i
            WHERE i.subject = ids.transfer_id::text AND i.cleared_at IS NULL)
    FROM ids
    LEFT JOIN transfers t ON t.transfer_id = ids.transfer_id
    LEFT JOIN deposits d ON d.transfer_id = ids.transfer_id
    LEFT JOIN bookings b ON b.booking_id = ids.transfer_id
    ORDER BY 1"""
ROUTES = """
    WITH ids AS (
        (SELECT route_id FROM deposits WHERE route_id > $1 ORDER BY 1 LIMIT $2)
        UNION (SELECT DISTINCT route_id FROM provider_deposit WHERE route_id > $1 ORDER BY 1 LIMIT $2)
        ORDER BY 1 LIMIT $2)
    SELECT ids.route_id, d.transfer_id, d.attributed, d.unattributed, d.moved_at,
           (SELECT json_agg(json_build_array(m.partner, m.currency, m.amount_minor, m.booked_at))
            FROM provider_deposit m WHERE m.route_id = ids.route_id),
           (SELECT array_agg(i.issue_id) FROM reconciliation_issue i
            WHERE i.subject = ids.route_id::text AND i.cleared_at IS NULL)
    FROM ids
    LEFT JOIN deposits d ON d.route_id = ids.route_id
    ORDER BY 1"""
PARTNERS = "SELECT DISTINCT partner FROM provider_deposit"
STRAY = """
    SELECT payment_id, amount_minor, currency, status, accepted_at, settled_at
    FROM provider_payment WHERE transfer_id IS NULL AND status <> 'RJCT' AND accepted_at <= $1
    ORDER BY payment_id LIMIT $2"""
UNATTRIBUTED = """
    SELECT a.key, sum(a.value::bigint)::bigint, max(d.unattributed_at)
    FROM deposits d, jsonb_each_text(convert_from(d.unattributed, 'UTF8')::jsonb) a
    WHERE d.unattributed_at IS NOT NULL GROUP BY 1"""
OF_NONE = """
    SELECT k.key, sum(a.value::bigint)::bigint, max(b.moved_at), a.key
    FROM bookings b, jsonb_each(convert_from(b.booked, 'UTF8')::jsonb) k, jsonb_each_text(k.value) a
    WHERE b.transfer_id IS NULL GROUP BY k.key, a.key"""
_payouts = msgspec.json.Decoder(
    list[tuple[UUID, str, int, str, str, bool, bool, int | None, str | None, datetime]]
).decode
_payments = msgspec.json.Decoder(list[tuple[str, int, str, str, datetime, datetime | None]]).decode
_collected = msgspec.json.Decoder(list[tuple[str, str, int, datetime]]).decode
FIRST = UUID(int=0)


@value
class Standing:
    """The books of one transfer, when any of ours moved last, and the issues that are open about it."""

    facts: Facts
    moved_at: datetime | None  # None: only the provider speaks of it
    issues: frozenset[UUID]


@value
class RouteStanding:
    """The books of one route."""

    route: Route
    moved_at: datetime | None
    issues: frozenset[UUID]


async def newest(db: Reader) -> Mapping[str, datetime | None]:
    """When the newest event of each topic happened, of those that move a row."""
    return dict(zip(("transfer", "deposit", "payout", "ledger"), (await db.fetch(NEWEST))[0], strict=True))


async def positions(db: Reader, service: str, epoch: int) -> Mapping[tuple[str, int], int]:
    """How far the live read tables are stored, by topic and partition."""
    return {(row[0], row[1]): row[2] for row in await db.fetch(POSITIONS, service, epoch)}


async def parked(db: Reader, service: str) -> Sequence[tuple[str, int]]:
    """Consumers of live read tables that have parked something, and how many streams."""
    return [(row[0], row[1]) for row in await db.fetch(PARKED, service)]


async def transfers(db: Reader) -> AsyncIterator[Sequence[Standing]]:
    """Every transfer that any book knows, a page at a time."""
    last = FIRST
    while rows := await db.fetch(TRANSFERS, last, PAGE_TRANSFERS):
        yield [_standing(row) for row in rows]
        last = rows[-1][0]


def _standing(row: Any) -> Standing:
    """In the order of TRANSFERS."""
    payouts = _payouts(row[19]) if row[19] else []
    facts = Facts(
        transfer_id=row[0],
        transfer=_transfer(row) if row[1] is not None else None,
        deposit=_deposit(row) if row[15] is not None else None,
        payouts=tuple(_payout(each) for each in payouts),
        booked=booked_of(row[18]) if row[18] else {},
        payments=tuple(_payment(each) for each in (_payments(row[20]) if row[20] else ())),
    )
    moved = [at for at in (row[21], *(each[9] for each in payouts)) if at is not None]
    return Standing(facts, max(moved, default=None), frozenset(row[22] or ()))


def _transfer(row: Any) -> TransferSaid:
    names = (
        "state", "route_id", "customer_id", "send_minor", "send_currency", "fee_minor", "spread_minor",
        "converted_minor", "receive_minor", "receive_currency", "received_minor", "received_currency", "funded",
        "payout_id",
    )  # fmt: skip
    return TransferSaid(**dict(zip(names, row[1:15], strict=True)))


def _deposit(row: Any) -> DepositSaid:
    return DepositSaid(observed=amounts_of(row[15]), confirmed_minor=row[16], confirmed_currency=row[17])


def _payout(each: tuple[Any, ...]) -> PayoutSaid:
    names = (
        "payout_id", "state", "amount_minor", "currency", "partner", "submitted", "sent", "confirmed_minor",
        "confirmed_currency",
    )  # fmt: skip
    return PayoutSaid(**dict(zip(names, each[:9], strict=True)))


def _payment(each: Sequence[Any]) -> Payment:
    names = ("payment_id", "amount_minor", "currency", "status", "accepted_at", "settled_at")
    return Payment(**dict(zip(names, each, strict=True)))


async def routes(db: Reader, before: datetime) -> AsyncIterator[Sequence[RouteStanding]]:
    """Every route of a partner whose book we have. `before`: what was collected by then should have been reported."""
    partners = {row[0] for row in await db.fetch(PARTNERS)}
    last = FIRST
    while rows := await db.fetch(ROUTES, last, PAGE_TRANSFERS):
        yield [_route(row, partners, before) for row in rows]
        last = rows[-1][0]


def _route(row: Any, partners: set[str], before: datetime) -> RouteStanding:
    route_id, transfer_id, attributed, unattributed, moved_at, collected, issues = row
    lines = _collected(collected) if collected else []
    observed: Counter[str] = Counter()
    for each in (attributed, unattributed):
        observed.update(amounts_of(each) if each else {})
    route = Route(
        route_id=route_id,
        transfer_id=transfer_id,
        observed={path: minor for path, minor in observed.items() if path.rpartition(":")[0] in partners},
        collected=_sums((partner, currency, minor) for partner, currency, minor, _ in lines),
        collected_before=_sums((partner, currency, minor) for partner, currency, minor, at in lines if at <= before),
    )
    return RouteStanding(route, moved_at, frozenset(issues or ()))


def _sums(lines: Iterable[tuple[str, str, int]]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for partner, currency, minor in lines:
        sums[f"{partner}:{currency}"] += minor
    return dict(sums)


async def stray_payments(db: Reader, before: datetime, limit: int) -> Sequence[Payment]:
    """Accepted payments that name no transfer."""
    return [_payment(tuple(row)) for row in await db.fetch(STRAY, before, limit)]


async def unattributed(db: Reader) -> tuple[Amounts, Mapping[str, Amounts], datetime | None]:
    """What came for nobody as it was observed, all that the ledger has of no transfer by kind of entry and account, and
    when either moved last.
    """
    ours, theirs = await db.fetch(UNATTRIBUTED), await db.fetch(OF_NONE)
    moved = max((row[2] for row in (*ours, *theirs)), default=None)
    booked: dict[str, dict[str, int]] = {}
    for kind, minor, _, account in theirs:
        booked.setdefault(kind, {})[account] = minor
    return {row[0]: row[1] for row in ours}, booked, moved
