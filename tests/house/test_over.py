"""A stage that a decider calls over is left by nothing, and whatever was planned for it would decide nothing."""

from __future__ import annotations

from typing import Any

import pytest

from services.payout_orchestrator import handlers as payouts
from services.payout_orchestrator.domain import states as payout
from services.payout_orchestrator.domain.policy import DEFAULT_RULES
from services.payout_orchestrator.domain.policy import Deadlines as PayoutDeadlines
from services.quote import domain as quote
from services.quote import handlers as quotes
from services.transfer import handlers as transfers
from services.transfer.domain import states as transfer

MACHINES = {
    "quote": (quotes.decider(), quote.TRANSITIONS),
    "transfer": (transfers.decider(transfer.Deadlines()), transfer.TRANSITIONS),
    "payout": (payouts.decider(DEFAULT_RULES, PayoutDeadlines()), payout.TRANSITIONS),
}


@pytest.mark.parametrize("name", MACHINES)
def test_nothing_leads_out_of_a_stage_that_is_over(name: str) -> None:
    decider, transitions = MACHINES[name]
    over = {stage.state for stage in decider.over}  # type: ignore[attr-defined]
    assert over
    assert {after for before, _, after, _ in transitions if before in over} <= over


@pytest.mark.parametrize("name", MACHINES)
def test_a_stage_that_waits_is_not_over(name: str) -> None:
    decider, transitions = MACHINES[name]
    over = {stage.state for stage in decider.over}  # type: ignore[attr-defined]
    entered: list[Any] = [(after, waits) for before, _, after, waits in transitions if before not in over]
    assert all(not waits for after, waits in entered if after in over)
