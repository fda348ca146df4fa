"""A rare state is found by what led there: by nothing else may a transfer get into it."""

from __future__ import annotations

from pathlib import Path

from contracts.transfer.v1 import PayoutReviewRequired
from services.transfer.api.lists import RARE, REVIEWED
from services.transfer.domain.states import TRANSITIONS

SQL = Path("services/transfer/sql/surface.sql").read_text()


def test_who_is_in_review_was_led_there_by_an_event_that_is_indexed() -> None:
    assert {event for before, event, after, _ in TRANSITIONS if after in RARE and before not in RARE} == {
        PayoutReviewRequired
    }
    assert f"WHERE {REVIEWED.replace('e.', '', 1)};" in SQL
