"""A customer's money in one currency is two accounts: what can be used, and what a transfer or a hold has."""

from __future__ import annotations

from services.ledger.domain.chart import BY_KIND, currency_of
from services.ledger.domain.templates import AVAILABLE, HELD

SIDES = {"available": AVAILABLE, "held": HELD}


def wallet(account: str) -> dict[str, str]:
    """The accounts of the wallet that this one is of, by what they are; none for an account that is no customer's."""
    kind, *path = account.split(":")
    if kind not in BY_KIND or BY_KIND[kind].owner != "customer" or len(path) != 3:
        return {}
    return {side: f"{whole.format(customer=path[0])}:{currency_of(account)}" for side, whole in SIDES.items()}
