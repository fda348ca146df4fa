"""What the ledger should have of a transfer, from what the others say alone: a second reading of the posting table.

Debits less credits, in minor units, by kind of entry and account; accounts of nothing are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from services.reconciliation.domain.facts import Amounts, DepositSaid, Facts, PayoutSaid, TransferSaid

OBSERVED, FUNDED = "deposit.observed", "transfer.funding_confirmed"
INITIATED, CONFIRMED = "transfer.payout_initiated", "payout.confirmed"
SAFEGUARDING = "safeguarding:"
SUSPENSE, FEES, SPREADS = "suspense:deposits", "revenue:fees", "revenue:fx"


def expected_entries(facts: Facts) -> Mapping[str, Amounts]:
    """By kind of entry; none for what has not happened."""
    transfer = facts.transfer
    entries = {
        OBSERVED: observed(facts.deposit) if facts.deposit else {},
        FUNDED: funded(transfer) if transfer and transfer.funded else {},
        INITIATED: initiated(transfer) if transfer and transfer.payout_id else {},
        CONFIRMED: confirmed(facts.payouts),
    }
    return {kind: lines for kind, lines in entries.items() if lines}


def observed(deposit: DepositSaid) -> Amounts:
    """Cash at the partner, in suspense until it is explained."""
    return deposited(deposit.observed)


def deposited(cash: Amounts) -> Amounts:
    """The same of any deposits, by partner and currency."""
    lines: Counter[str] = Counter()
    for path, minor in cash.items():
        lines[f"{SAFEGUARDING}{path}"] += minor
        lines[f"{SUSPENSE}:{path.rpartition(':')[2]}"] -= minor
    return without_nothing(lines)


def funded(transfer: TransferSaid) -> Amounts:
    """All that was sent is the customer's; what came short or over inside the tolerance is ours."""
    currency, received = transfer.send_currency, transfer.received_minor or 0
    lines = Counter(
        {
            f"{SUSPENSE}:{transfer.received_currency}": received,
            f"loss:tolerance:{currency}": max(transfer.send_minor - received, 0),
            f"revenue:tolerance:{currency}": -max(received - transfer.send_minor, 0),
            f"customer:{transfer.customer_id}:held:{currency}": -transfer.send_minor,
        }
    )
    return without_nothing(lines)


def initiated(transfer: TransferSaid) -> Amounts:
    """The customer's money is used: fee and spread are ours, the rest is exchanged and owed to the provider."""
    sent, received = transfer.send_currency, transfer.receive_currency
    lines: Counter[str] = Counter()
    lines[f"customer:{transfer.customer_id}:held:{sent}"] += transfer.send_minor
    lines[f"{FEES}:{sent}"] -= transfer.fee_minor
    lines[f"{SPREADS}:{sent}"] -= transfer.spread_minor
    lines[f"fx_position:{sent}"] -= transfer.converted_minor
    lines[f"fx_position:{received}"] += transfer.receive_minor
    lines[f"payout_clearing:{received}"] -= transfer.receive_minor
    return without_nothing(lines)


def confirmed(payouts: Iterable[PayoutSaid]) -> Amounts:
    """The provider has paid from our float."""
    lines: Counter[str] = Counter()
    for payout in payouts:
        if payout.confirmed_minor is not None:
            lines[f"payout_clearing:{payout.confirmed_currency}"] += payout.confirmed_minor
            lines[f"partner_float:{payout.partner}:{payout.confirmed_currency}"] -= payout.confirmed_minor
    return without_nothing(lines)


def without_nothing(lines: Mapping[str, int]) -> Amounts:
    """Accounts that moved."""
    return {account: minor for account, minor in lines.items() if minor}


def by_currency(amounts: Amounts) -> Mapping[str, int]:
    """The sums; an account's path ends in its currency."""
    sums: Counter[str] = Counter()
    for account, minor in amounts.items():
        sums[account.rpartition(":")[2]] += minor
    return dict(sums)
