"""The book as a judge reads it: pages in the order of acceptance, sums, and whatever was paid twice."""

from collections.abc import Iterable, Mapping
from sqlite3 import Connection
from typing import Any

from services.sandbox.book import bank_reference, rfc3339

PAYOUTS = """SELECT seq, end_to_end_id, amount_minor, currency, creditor_name, creditor_account, remittance_information,
                    answer, status, reason_code, accepted_ms, settled_ms
             FROM payment WHERE seq > ? ORDER BY seq LIMIT ?"""
COLLECTED = """SELECT seq, partner, reference, route, amount_minor, currency, transport, state, booked_ms
               FROM deposit WHERE seq > ? ORDER BY seq LIMIT ?"""
PAYOUT_SUMS = "SELECT currency, status, count(*), sum(amount_minor) FROM payment GROUP BY currency, status"
DEPOSIT_SUMS = "SELECT currency, state, count(*), sum(amount_minor) FROM deposit GROUP BY currency, state"
DOUBLE = """SELECT remittance_information FROM payment WHERE status <> 'RJCT' AND remittance_information <> ''
            GROUP BY remittance_information HAVING count(*) > 1
            UNION SELECT end_to_end_id FROM payment WHERE status <> 'RJCT' GROUP BY end_to_end_id HAVING count(*) > 1"""
DELIVERIES = (
    """SELECT about, lane, state, count(*), sum(items), sum(attempts) FROM delivery GROUP BY about, lane, state"""
)
SHOWN_MAX = 20  # examples of double payments in the summary

PAYOUT_NAMES = ("seq", "end_to_end_id", "amount_minor", "currency", "creditor_name", "creditor_account",
                "remittance_information", "answer", "status", "reason_code")  # fmt: skip
DEPOSIT_NAMES = ("seq", "partner", "reference", "route", "amount_minor", "currency", "transport", "state")


def page(db: Connection, since: int, limit: int) -> dict[str, Any]:
    """At most `limit` rows of each kind with seq > since, complete up to `next_since`."""
    payouts = [_payout(row) for row in db.execute(PAYOUTS, (since, limit))]
    collected = [_deposit(row) for row in db.execute(COLLECTED, (since, limit))]
    full = [rows[-1]["seq"] for rows in (payouts, collected) if len(rows) == limit]
    last = min(full) if full else max((row["seq"] for row in payouts + collected), default=since)
    return {
        "collected": [row for row in collected if row["seq"] <= last],
        "payouts": [row for row in payouts if row["seq"] <= last],
        "next_since": last,
        "more": bool(full),
    }


def summary(db: Connection) -> dict[str, Any]:
    """Counts and minor units. `double_paid` counts transfers, not payments; anything but 0 is a disaster."""
    double = [row[0] for row in db.execute(DOUBLE)]
    return {
        "payouts": _sums(db.execute(PAYOUT_SUMS)),
        "collected": _sums(db.execute(DEPOSIT_SUMS)),
        "double_paid": len(double),
        "double_paid_ids": double[:SHOWN_MAX],
        "deliveries": _deliveries(db.execute(DELIVERIES)),
    }


def _payout(row: tuple[Any, ...]) -> dict[str, Any]:
    named = dict(zip(PAYOUT_NAMES, row, strict=False))
    return named | {
        "reference": bank_reference(row[0]),
        "accepted_at": rfc3339(row[10]),
        "settled_at": None if row[11] is None else rfc3339(row[11]),
    }


def _deposit(row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(DEPOSIT_NAMES, row, strict=False)) | {"booked_at": rfc3339(row[8])}


def _sums(rows: Iterable[tuple[str, str, int, int]]) -> dict[str, dict[str, Mapping[str, int]]]:
    sums: dict[str, dict[str, Mapping[str, int]]] = {}
    for currency, state, count, amount_minor in rows:
        sums.setdefault(currency, {})[state] = {"count": count, "amount_minor": amount_minor}
    return sums


def _deliveries(rows: Iterable[tuple[str, str, str, int, int, int]]) -> dict[str, dict[str, int]]:
    """By what is told: calls in each state, `items` acknowledged, and `attempts` really sent."""
    told: dict[str, dict[str, int]] = {}
    for about, lane, state, calls, items, attempts in rows:
        one = told.setdefault(f"{about}_{lane}", {"attempts": 0, "items": 0, "acknowledged_items": 0})
        one[state.lower()] = calls
        one["attempts"] += attempts
        one["items"] += items
        one["acknowledged_items"] += items if state == "ACKNOWLEDGED" else 0
    return told
