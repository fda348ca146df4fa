"""The chart of accounts: what there can be an account for. A new kind is one line.

An account's id is a readable path that begins with its kind and ends with its currency: customer:<id>:held:GBP.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from contracts.ledger.v1 import Side

Class = Literal["asset", "liability", "position", "revenue", "expense"]
Owner = Literal["customer", "partner", "corridor"]


class AccountKind(NamedTuple):
    """A line of the chart. `protected`: its credits never fall below its debits; `owner`: who is asked about it."""

    kind: str
    account_class: Class
    normal: Side
    owner: Owner
    protected: bool = False


CHART: tuple[AccountKind, ...] = (
    AccountKind("safeguarding", "asset", "debit", "partner"),  # customers' money at <partner>
    AccountKind("partner_float", "asset", "debit", "partner"),  # our money at <partner>, from which it pays out
    AccountKind("suspense:deposits", "liability", "credit", "corridor"),  # arrived, not explained yet
    AccountKind("suspense:payouts", "liability", "credit", "corridor"),  # paid out, not explained yet
    AccountKind("customer", "liability", "credit", "customer", protected=True),  # <id>:available and <id>:held
    AccountKind("payout_clearing", "liability", "credit", "corridor"),  # initiated, not confirmed yet
    AccountKind("fx_position", "position", "debit", "corridor"),
    AccountKind("revenue", "revenue", "credit", "corridor"),
    AccountKind("loss", "expense", "debit", "corridor"),
)
BY_KIND = {line.kind: line for line in CHART}


def account_kind(account: str) -> AccountKind:
    """The chart's line for an account's path. KeyError for a path outside the chart."""
    first, second, *_ = [*account.split(":"), ""]
    return BY_KIND[first] if first in BY_KIND else BY_KIND[f"{first}:{second}"]


def currency_of(account: str) -> str:
    """The ISO 4217 code at the end of the path."""
    return account.rpartition(":")[2]
