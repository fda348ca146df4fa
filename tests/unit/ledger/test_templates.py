"""Every row of the posting table makes an entry that balances, and what is taken back leaves nothing."""

from __future__ import annotations

from collections import Counter

import pytest

from contracts.ledger.v1 import Posting
from scripts.money_flows import offered, sample
from services.ledger.domain.entries import check
from services.ledger.domain.templates import POSTINGS, lines

NAMES = {"partner": "p", "customer": "c"}
OFFER = offered()


def posted(kind: str) -> tuple[Posting, ...]:
    return lines(kind, NAMES, sample(kind, OFFER))


@pytest.mark.parametrize("kind", POSTINGS)
def test_every_template_makes_an_entry(kind: str) -> None:
    check(posted(kind))


def left(*kinds: str) -> dict[str, int]:
    """Debits less credits by account, of those that are not zero."""
    found: Counter[str] = Counter()
    for kind in kinds:
        for line in posted(kind):
            found[line.account] += line.amount.minor if line.side == "debit" else -line.amount.minor
    return {account: minor for account, minor in found.items() if minor}


@pytest.mark.parametrize(
    "kinds",
    [
        ("transfer.payout_initiated", "transfer.payout_failed"),
        ("payout.confirmed", "payout.returned"),
        ("transfer.payout_initiated", "payout.confirmed", "payout.returned", "transfer.payout_failed"),
        ("deposit.observed", "deposit.refunded"),
        ("deposit.observed", "deposit.reversed"),
        ("hold.placed", "hold.voided"),
    ],
)
def test_what_is_taken_back_leaves_nothing(kinds: tuple[str, ...]) -> None:
    assert left(*kinds) == {}


def test_a_payout_confirmed_after_its_refund_is_in_suspense_and_out_of_the_float() -> None:
    """The design's example: a person looks at exactly this difference."""
    receive = OFFER.receive.minor
    kinds = ("transfer.payout_initiated", "transfer.payout_failed", "transfer.refunded", "payout.late_confirmation")
    assert left(*kinds) == {
        "customer:c:held:GBP": OFFER.send.minor, "safeguarding:p:GBP": -OFFER.send.minor,
        "suspense:payouts:ETB": receive, "partner_float:p:ETB": -receive,
    }  # fmt: skip


def test_a_late_confirmation_that_is_accepted_leaves_what_a_confirmation_leaves() -> None:
    late = ("transfer.payout_initiated", "payout.late_confirmation", "transfer.payout_completed")
    assert left(*late) == left("transfer.payout_initiated", "payout.confirmed")
