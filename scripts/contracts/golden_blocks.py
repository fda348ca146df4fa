"""One of each event of the watch over the books: a block, a halt in ETB, and the two people who lift it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from contracts.ledger.v1 import (
    BlockClosed,
    CurrencyHalted,
    CurrencyResumed,
    CurrencySums,
    Difference,
    LiftRequested,
)
from services.kernel.ids import derive

AT = datetime(2026, 3, 2, 9, 40, tzinfo=UTC)
JOURNAL = UUID("9c1f7a52-3b64-5d0e-8f21-7a6b5c4d3e2f")
FIRST, SECOND = UUID("0d9c8b7a-6f5e-4d3c-8b2a-190817263544"), UUID("1e0d9c8b-7a6f-4e5d-9c4b-2a1908172635")
HALT: dict[str, Any] = {"halt_id": derive("halt", "ETB"), "currency": "ETB"}
EVENTS = (
    BlockClosed(
        number=2, seq_from=1001, seq_to=1400, entries=400, postings=812,
        sums=(
            CurrencySums(currency="ETB", debit_minor=5999859, credit_minor=5999859),
            CurrencySums(currency="GBP", debit_minor=4120000, credit_minor=4120000),
        ),
        digest="7d" * 32, prev_digest="3a" * 32, differences=0, closed_at=AT,
    ),
    CurrencyHalted(
        **HALT, difference_minor=500, journals=(JOURNAL,),
        differences=(
            Difference(
                check="L1", subject="entry 1207", journal=JOURNAL, found="debits less credits +500",
                difference_minor=500,
            ),
        ),
        found_at=AT + timedelta(seconds=30),
    ),
    LiftRequested(
        **HALT, requested_by=FIRST, reason="posting restored from its event, TICKET-4712",
        requested_at=AT + timedelta(hours=1),
    ),
    CurrencyResumed(
        **HALT, requested_by=FIRST, approved_by=SECOND, reason="ledger verify is clean, TICKET-4712",
        resumed_at=AT + timedelta(hours=2),
    ),
)  # fmt: skip
