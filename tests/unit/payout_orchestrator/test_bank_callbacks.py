"""Each item of a callback of the bank is a fact about its payout, or is refused."""

from datetime import UTC, datetime
from typing import Any

import pytest

import services.payout_orchestrator.domain.commands as c
from services.kernel.money import Money, iso4217
from services.payout_orchestrator.adapters import bank
from tests.support.bank import ONE, SETTLED, result

ETB = iso4217("ETB")
SETTLED_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("item", "command"),
    [
        (
            SETTLED,
            c.ConfirmPayout(
                payout_id=ONE, amount=Money(2_000_000, ETB), partner_reference="B-1", settled_at=SETTLED_AT
            ),
        ),
        (
            result(status="RJCT", reason_code="AC01", amount_minor=1, currency="ETB"),
            c.RecordRefused(payout_id=ONE, reason_code="AC01"),
        ),
        (result(), c.RecordPending(payout_id=ONE, partner_status="ACSP", partner_reference="B-1")),
        (result(status="WHAT"), c.RecordUnknown(payout_id=ONE, reason="callback with status WHAT")),
        (result(status="NOT_FOUND"), c.RecordUnknown(payout_id=ONE, reason="callback with status NOT_FOUND")),
        (
            result(status="RJCT", reason_code="DUPL"),
            c.RecordUnknown(payout_id=ONE, reason="callback with status RJCT"),
        ),
        (SETTLED | {"amount_minor": None}, c.RecordUnknown(payout_id=ONE, reason="callback with status ACSC")),
    ],
)
def test_a_callback_item_is_a_fact_about_its_payout(item: Any, command: c.PayoutCommand) -> None:
    assert bank.callback_command(item) == command


@pytest.mark.parametrize(
    "item", [None, "text", {}, {"status": "ACSC"}, result(status=7), SETTLED | {"end_to_end_id": "not-an-id"}]
)
def test_a_callback_item_without_payout_or_status_is_refused(item: Any) -> None:
    with pytest.raises(bank.CallbackUnreadable):
        bank.callback_command(item)
