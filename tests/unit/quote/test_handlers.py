"""What the quote service hears, and when it wakes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.kernel.decider import Ask, SideEffect
from services.quote.domain import AcceptQuote
from services.quote.handlers import CONSUMES, decider
from tests.unit.quote.samples import ACCEPTED, CREATED, EXPIRE, EXPIRED, QUOTE_ID
from tests.unit.transfer.samples import CAUSE, OPENED


def test_an_opened_transfer_takes_its_quote_at_the_moment_of_its_opening() -> None:
    asks = CONSUMES[type(OPENED)](OPENED, CAUSE)

    accept = AcceptQuote(quote_id=OPENED.quote_id, transfer_id=OPENED.transfer_id, opened_at=OPENED.opened_at)
    assert asks == (Ask(OPENED.quote_id, accept),)


def test_a_created_quote_sets_its_wake_a_minute_after_its_end() -> None:
    assert decider().plan(CREATED) == (SideEffect("expire", CREATED.expires_at + timedelta(seconds=60)),)


def test_the_minute_is_configuration() -> None:
    assert decider(5).plan(CREATED) == (SideEffect("expire", CREATED.expires_at + timedelta(seconds=5)),)


@pytest.mark.parametrize("event", [ACCEPTED, EXPIRED])
def test_nothing_waits_after_a_quote_has_ended(event: object) -> None:
    assert decider().plan(event) == ()


def test_the_wake_asks_for_the_end_of_the_quote() -> None:
    wake = decider().wake
    assert wake is not None
    assert wake("expire", QUOTE_ID) == EXPIRE


def test_an_unknown_wake_is_our_own_bug() -> None:
    wake = decider().wake
    assert wake is not None
    with pytest.raises(AssertionError):
        wake("other", QUOTE_ID)
