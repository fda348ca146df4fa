"""One transfer of 100.00 GBP to 20,000.00 ETB in all books, in agreement; and what a test changes in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from services.reconciliation.domain.expected import expected_entries
from services.reconciliation.domain.facts import Cutoffs, DepositSaid, Facts, Payment, PayoutSaid, TransferSaid

AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
CUTOFFS = Cutoffs.at(AT, timedelta(seconds=30), timedelta(seconds=600))
LONG_AGO = AT - timedelta(hours=1)
JUST_NOW = AT - timedelta(seconds=60)  # long enough for us, not for the provider
TRANSFER, ROUTE, CUSTOMER, PAYOUT = (UUID(int=number) for number in (1, 2, 3, 4))
OTHER_PAYOUT = UUID(int=5)

OPENED = TransferSaid(
    state="PAYOUT_COMPLETED", route_id=ROUTE, customer_id=CUSTOMER, send_minor=100_00, send_currency="GBP",
    fee_minor=2_00, spread_minor=50, converted_minor=97_50, receive_minor=20_000_00, receive_currency="ETB",
    received_minor=100_00, received_currency="GBP", funded=True, payout_id=PAYOUT,
)  # fmt: skip
DEPOSITED = DepositSaid(observed={"bank:GBP": 100_00}, confirmed_minor=100_00, confirmed_currency="GBP")
PAID_OUT = PayoutSaid(
    payout_id=PAYOUT, state="CONFIRMED", amount_minor=20_000_00, currency="ETB", partner="bank", submitted=True,
    sent=True, confirmed_minor=20_000_00, confirmed_currency="ETB",
)  # fmt: skip
PAYMENT = Payment(
    payment_id=str(PAYOUT), amount_minor=20_000_00, currency="ETB", status="ACSC", accepted_at=LONG_AGO,
    settled_at=LONG_AGO,
)  # fmt: skip


def facts(**changed: Any) -> Facts:
    """The books in agreement, but for what is changed; the ledger follows from the others unless it is changed too."""
    said = Facts(transfer_id=TRANSFER, transfer=OPENED, deposit=DEPOSITED, payouts=(PAID_OUT,), payments=(PAYMENT,))
    said = replace(said, **changed)
    return said if "booked" in changed else replace(said, booked=expected_entries(said))


def booked(kind: str, **lines: int) -> dict[str, dict[str, int]]:
    """The ledger in agreement, but for these accounts of one kind of entry; 0 takes one away."""
    entries = {each: dict(accounts) for each, accounts in facts().booked.items()}
    entries.setdefault(kind, {}).update(lines)
    return entries
