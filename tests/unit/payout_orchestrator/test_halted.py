"""While its currency is halted a payout that is approved begins no call: it waits, and is asked again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import services.payout_orchestrator.domain.commands as c
from services.kernel.decider import Again, Head, Outcome
from services.kernel.money import iso4217
from services.payout_orchestrator import handlers as h
from tests.unit.payout_orchestrator.samples import (
    APPROVED,
    AT,
    ETB,
    LIMITS,
    OUT,
    PAYOUT,
    READY,
    REQUEST,
    REQUESTED,
    SUBMITTING,
    TICK,
    given,
)
from tests.unit.payout_orchestrator.test_handlers import CAUSE, FUNDED, Partner, Vault, due, submitter

PAID_IN_GBP = (replace(REQUESTED, send_currency=iso4217("GBP")), APPROVED)


def begin(*halted: str) -> c.BeginSubmit:
    return c.BeginSubmit(payout_id=PAYOUT, halted=frozenset(halted))


def test_in_a_currency_that_is_not_halted_it_begins() -> None:
    given(*PAID_IN_GBP).when(begin()).then(SUBMITTING)
    given(*PAID_IN_GBP).when(begin("USD")).then(SUBMITTING)


@pytest.mark.parametrize("halted", [("ETB",), ("GBP",), ("USD", "GBP")], ids=str)
def test_neither_in_what_is_paid_out_nor_in_what_was_paid_in(halted: tuple[str, ...]) -> None:
    given(*PAID_IN_GBP).when(begin(*halted)).then_nothing()


def test_while_nobody_knows_nothing_begins() -> None:
    given(*READY).when(c.BeginSubmit(payout_id=PAYOUT, halted=None)).then_nothing()


def test_what_an_older_release_requested_says_no_currency_of_the_customer() -> None:
    given(*READY).when(begin("GBP")).then(SUBMITTING)
    given(*READY).when(begin("ETB")).then_nothing()


def test_a_call_that_is_out_is_not_taken_back() -> None:
    over = AT + LIMITS.lease
    assert len(given(*OUT).when(begin("ETB"), over).decide()) == 1
    given(*OUT).when(begin("ETB"), over - TICK).then_nothing()


def test_after_its_time_a_person_decides_halted_or_not() -> None:
    (event,) = given(*READY).when(begin("ETB"), AT + LIMITS.submission).decide()
    assert type(event).__name__ == "PayoutReviewRequired"


def test_what_the_customer_paid_in_is_told_to_the_payout() -> None:
    (ask,) = h.on_funding_confirmed(FUNDED, CAUSE)
    assert ask.command.send_currency == FUNDED.send.currency
    (requested, _) = given().when(replace(REQUEST, send_currency=ETB)).decide()
    assert requested.send_currency == ETB


@pytest.mark.parametrize(("events", "waits"), [(READY, True), (OUT, False)], ids=["approved", "submitting"])
def test_only_what_stays_approved_is_asked_again(events: Any, waits: bool) -> None:
    call = submitter(Partner(), Vault())
    outcome = Outcome(heads=(Head(given(*events).state, len(events)),))
    again = call.waits(due(), outcome)
    assert isinstance(again, Again) is waits
    if again is not None:
        assert h.HALT_SECONDS <= again.after_seconds < 2 * h.HALT_SECONDS


def test_the_intent_names_what_is_halted_now() -> None:
    halted = [frozenset({"ETB"}), None]
    call = h.SubmitPayout(Partner(), Vault(), lambda: AT, LIMITS.lease, halted=halted.pop)
    assert [call.intent(due()).command.halted for _ in range(2)] == [None, {"ETB"}]
