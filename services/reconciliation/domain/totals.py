"""Sums over all that was judged, by name and currency: two books of the same money each, and the trial balance."""

from __future__ import annotations

from collections import Counter

from contracts.recon.v1 import Total
from services.reconciliation.domain.expected import CONFIRMED, FEES, FUNDED, INITIATED, OBSERVED, SPREADS, by_currency
from services.reconciliation.domain.facts import SETTLED, Amounts, Facts


class Totals:
    """Grows by a transfer at a time; a few numbers, however many transfers."""

    def __init__(self) -> None:
        self._expected: Counter[tuple[str, str]] = Counter()
        self._actual: Counter[tuple[str, str]] = Counter()

    def add(self, facts: Facts) -> None:
        """One more transfer."""
        self._trial_balance(facts)
        self._deposits(facts)
        self._funding(facts)
        self._payouts(facts)

    def _trial_balance(self, facts: Facts) -> None:
        for lines in facts.booked.values():
            for currency, minor in by_currency(lines).items():
                self._put("trial_balance", currency, 0, minor)

    def _deposits(self, facts: Facts) -> None:
        for currency, minor in by_currency(facts.deposit.observed if facts.deposit else {}).items():
            self._put("deposits", currency, minor, 0)
        self._booked("deposits", facts, OBSERVED, "safeguarding", 1)

    def _funding(self, facts: Facts) -> None:
        transfer = facts.transfer
        if transfer is not None and transfer.funded:
            self._put("funding", transfer.send_currency, transfer.send_minor, 0)
        self._booked("funding", facts, FUNDED, "customer", -1)
        if transfer is not None and transfer.payout_id is not None:
            self._put("fees", transfer.send_currency, transfer.fee_minor + transfer.spread_minor, 0)
        self._booked("fees", facts, INITIATED, FEES, -1)
        self._booked("fees", facts, INITIATED, SPREADS, -1)

    def _payouts(self, facts: Facts) -> None:
        """Confirmed payouts, and what the provider has settled of them."""
        confirmed = {str(each.payout_id): each for each in facts.payouts if each.confirmed_minor is not None}
        for payout in confirmed.values():
            self._put("payouts", payout.confirmed_currency or "", payout.confirmed_minor or 0, 0)
        for payment in facts.payments:
            if payment.status == SETTLED and payment.payment_id in confirmed:
                self._put("payouts", payment.currency, 0, payment.amount_minor)
        self._booked("settlements", facts, CONFIRMED, "partner_float", -1)
        for payout in confirmed.values():
            self._put("settlements", payout.confirmed_currency or "", payout.confirmed_minor or 0, 0)

    def _booked(self, name: str, facts: Facts, kind: str, account: str, sign: int) -> None:
        lines: Amounts = facts.booked.get(kind, {})
        for path, minor in lines.items():
            if path.startswith(f"{account}:"):
                self._put(name, path.rpartition(":")[2], 0, sign * minor)

    def _put(self, name: str, currency: str, expected: int, actual: int) -> None:
        self._expected[name, currency] += expected
        self._actual[name, currency] += actual

    def told(self) -> tuple[Total, ...]:
        """In the order of their names."""
        return tuple(
            Total(name=name, currency=currency, expected_minor=minor, actual_minor=self._actual[name, currency])
            for (name, currency), minor in sorted(self._expected.items())
        )
