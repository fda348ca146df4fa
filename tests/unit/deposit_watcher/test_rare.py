"""Waiting money is found by what led to it: by nothing else may a route get into these states."""

from __future__ import annotations

from contracts.deposit.v1 import DepositMismatched, DepositObserved
from services.deposit_watcher.api.lists import RARE
from services.deposit_watcher.domain.states import TRANSITIONS


def test_who_waits_was_led_there_by_an_event_that_is_indexed() -> None:
    led = {(before, event) for before, event, after, _ in TRANSITIONS if after in RARE and before not in RARE}
    assert led == {("-", DepositObserved), ("EXPECTED", DepositMismatched)}
