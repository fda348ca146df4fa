"""The accounting of the whole product on one page: which lines each fact makes in the books."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from contracts.ledger.v1 import Posting, Side
from services.kernel.money import Money


class Leg(NamedTuple):
    """A line of an entry to be: `amount` names one of the fact's amounts, whose currency ends the account's path."""

    side: Side
    account: str
    amount: str


def debit(account: str, amount: str) -> Leg:
    """A line on the debit side."""
    return Leg("debit", account, amount)


def credit(account: str, amount: str) -> Leg:
    """A line on the credit side."""
    return Leg("credit", account, amount)


def reversed_(legs: tuple[Leg, ...]) -> tuple[Leg, ...]:
    """The same lines on the other sides: a correction is an entry of its own."""
    return tuple(Leg("credit" if leg.side == "debit" else "debit", leg.account, leg.amount) for leg in legs)


AVAILABLE, HELD = "customer:{customer}:available", "customer:{customer}:held"
INITIATED = (
    debit(HELD, "send"),
    credit("revenue:fees", "fee"),
    credit("revenue:fx", "spread"),
    credit("fx_position", "converted"),
    debit("fx_position", "receive"),
    credit("payout_clearing", "receive"),
)
CONFIRMED = (debit("payout_clearing", "receive"), credit("partner_float:{partner}", "receive"))
POSTINGS: Mapping[str, tuple[Leg, ...]] = {  # fact -> lines; lines of nothing are left out
    # money in
    "deposit.observed": (debit("safeguarding:{partner}", "amount"), credit("suspense:deposits", "amount")),
    "deposit.refunded": (debit("suspense:deposits", "amount"), credit("safeguarding:{partner}", "amount")),
    "deposit.reversed": (debit("suspense:deposits", "amount"), credit("safeguarding:{partner}", "amount")),
    "transfer.funding_confirmed": (
        debit("suspense:deposits", "received"),
        debit("loss:tolerance", "short"),
        credit(HELD, "send"),
        credit("revenue:tolerance", "over"),
    ),
    "transfer.funding_reversed": (debit(HELD, "send"), credit("suspense:deposits", "send")),
    "transfer.funding_loss_recorded": (debit("loss:funding", "send"), credit("suspense:deposits", "send")),
    # money out
    "transfer.payout_initiated": INITIATED,
    "transfer.payout_failed": reversed_(INITIATED),  # only where there is an initiation to take back
    "transfer.refunded": (debit(HELD, "send"), credit("safeguarding:{partner}", "send")),
    "payout.confirmed": CONFIRMED,
    "payout.returned": reversed_(CONFIRMED),
    "payout.late_confirmation": (debit("suspense:payouts", "receive"), credit("partner_float:{partner}", "receive")),
    "transfer.payout_completed": (debit("payout_clearing", "receive"), credit("suspense:payouts", "receive")),  # late
    # the wallet
    "hold.placed": (debit(AVAILABLE, "amount"), credit(HELD, "amount")),
    "hold.posted": (debit(HELD, "amount"), credit("payout_clearing", "amount")),
    "hold.voided": (debit(HELD, "amount"), credit(AVAILABLE, "amount")),
    # treasury
    "treasury.float_funded": (debit("partner_float:{partner}", "amount"), credit("fx_position", "amount")),
    "treasury.swept": (
        debit("fx_position", "position"),
        debit("revenue:fees", "fees"),
        debit("revenue:fx", "spread"),
        debit("revenue:tolerance", "over"),
        credit("safeguarding:{partner}", "swept"),
    ),
}


def lines(kind: str, names: Mapping[str, str], amounts: Mapping[str, Money]) -> tuple[Posting, ...]:
    """The lines that POSTINGS has for `kind`, without those of nothing."""
    return tuple(
        Posting(
            account=f"{leg.account.format_map(names)}:{amounts[leg.amount].currency}",
            side=leg.side,
            amount=amounts[leg.amount],
        )
        for leg in POSTINGS[kind]
        if amounts[leg.amount]
    )
