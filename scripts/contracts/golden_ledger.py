"""One of each event of holds, adjustments and blocks: a withdraw of 50.00 of which 40.00 were paid, and a write-off."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from contracts.ledger.v1 import (
    Adjusted,
    AdjustmentExpired,
    AdjustmentProposed,
    AdjustmentRejected,
    HoldOverdue,
    HoldPlaced,
    HoldPosted,
    HoldRefused,
    HoldVoided,
    Posting,
    Side,
)
from scripts.contracts import golden_blocks
from services.kernel.ids import derive
from services.kernel.money import Money, iso4217

GBP = iso4217("GBP")
HOLD, WITHDRAW = UUID("01955612-71c4-7d55-a0f3-9182a3b4c5e1"), UUID("01955612-71c4-7d55-a0f3-9182a3b4c5e0")
CUSTOMER = UUID("4b1c9a52-6f0d-4c7b-9d1e-8a2b3c4d5e6f")
ADJUSTMENT, TRANSFER = UUID("01955612-71c4-7d55-a0f3-9182a3b4c5f0"), UUID("9f3b2c64-0d1e-5b8a-b3b7-2f4a6c8e0d11")
FIRST, SECOND = "0d9c8b7a-6f5e-4d3c-8b2a-190817263544", "1e0d9c8b-7a6f-4e5d-9c4b-2a1908172635"
AT = datetime(2026, 3, 2, 9, 35, tzinfo=UTC)
HOUR, WEEK = timedelta(hours=1), timedelta(days=7)
AVAILABLE, HELD = f"customer:{CUSTOMER}:available:GBP", f"customer:{CUSTOMER}:held:GBP"


def line(side: Side, account: str, minor: int) -> Posting:
    """One line in GBP."""
    return Posting(account=account, side=side, amount=Money(minor, GBP))


def moved(out_of: str, into: str, minor: int) -> tuple[Posting, ...]:
    """A debit of a liability is less of it."""
    return (line("debit", out_of, minor), line("credit", into, minor))


def booked(of: UUID, kind: str, cause: UUID, lines: tuple[Posting, ...], posted_at: datetime = AT) -> dict[str, Any]:
    """What an event has that is an entry, too."""
    return {
        "entry_id": derive("entry", of, kind), "kind": kind, "cause_id": cause, "transfer_id": None, "lines": lines,
        "caused_at": AT, "posted_at": posted_at,
    }  # fmt: skip


WRITE_OFF = moved("loss:payouts:GBP", "suspense:payouts:GBP", 250)
PARTLY = moved(HELD, "payout_clearing:GBP", 4000) + moved(HELD, AVAILABLE, 1000)
OURS: dict[str, Any] = {"hold_id": HOLD, "customer_id": CUSTOMER}
EVENTS = (
    HoldPlaced(
        **OURS, amount=Money(5000, GBP), due_at=AT + timedelta(days=1),
        **booked(HOLD, "hold.placed", WITHDRAW, moved(AVAILABLE, HELD, 5000)),
    ),
    HoldRefused(**OURS, amount=Money(5000, GBP), available=Money(1200, GBP), cause_id=WITHDRAW, refused_at=AT),
    HoldPosted(**OURS, amount=Money(4000, GBP), **booked(HOLD, "hold.posted", WITHDRAW, PARTLY)),
    HoldVoided(**OURS, **booked(HOLD, "hold.voided", WITHDRAW, moved(HELD, AVAILABLE, 5000))),
    HoldOverdue(**OURS, amount=Money(5000, GBP), since=AT, queue="finance"),
    AdjustmentProposed(
        adjustment_id=ADJUSTMENT, lines=WRITE_OFF, transfer_id=TRANSFER, reason="confirmed late, written off",
        evidence="TICKET-4711", proposed_by=FIRST, proposed_at=AT, due_at=AT + WEEK,
    ),
    Adjusted(
        adjustment_id=ADJUSTMENT, approved_by=SECOND, reason="checked against the partner's statement",
        **booked(ADJUSTMENT, "ledger.adjusted", ADJUSTMENT, WRITE_OFF, AT + HOUR) | {"transfer_id": TRANSFER},
    ),
    AdjustmentRejected(
        adjustment_id=ADJUSTMENT, rejected_by=SECOND, reason="the partner has paid it back", rejected_at=AT + HOUR
    ),
    AdjustmentExpired(adjustment_id=ADJUSTMENT, expired_at=AT + WEEK),
    *golden_blocks.EVENTS,
)  # fmt: skip
