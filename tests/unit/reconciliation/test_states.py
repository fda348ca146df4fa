"""What we believe of a payout beside each state that a provider may have it in."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from services.reconciliation.domain.compare import contradicts
from tests.unit.reconciliation.samples import AT, CUTOFFS, JUST_NOW, LONG_AGO, PAID_OUT, PAYMENT


@pytest.mark.parametrize(
    ("state", "status", "ended_at", "contradiction"),
    [
        ("CONFIRMED", "ACSC", LONG_AGO, False),
        ("CONFIRMED", "ACSP", None, True),  # in progress is not paid
        ("CONFIRMED", "PDNG", None, True),
        ("CONFIRMED", "RJCT", LONG_AGO, True),
        ("CONFIRMED", "RJCT", AT, True),  # no time is given to what we have said to a customer
        ("SENT", "ACSP", None, False),
        ("SENT", "ACSC", LONG_AGO, True),
        ("SENT", "ACSC", JUST_NOW, False),
        ("SENT", "RJCT", LONG_AGO, True),
        ("SENT", "RJCT", JUST_NOW, False),
        ("UNKNOWN", "RJCT", LONG_AGO, False),
    ],
)
def test_what_contradicts(state: str, status: str, ended_at: datetime | None, contradiction: bool) -> None:
    payment = replace(PAYMENT, status=status, settled_at=ended_at)
    assert contradicts(replace(PAID_OUT, state=state), payment, CUTOFFS) is contradiction
