"""What the transfer service hears, what it claims, and when it wakes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

import contracts.payout.v1 as payout
from contracts.deposit.v1 import DepositConfirmed
from services.kernel.decider import Ask, Claim, SideEffect
from services.kernel.money import Money
from services.transfer.domain.commands import (
    CompletePayout,
    ConfirmFunding,
    ExpireTransfer,
    InitiatePayout,
    ReportOverdue,
    RequireReview,
)
from services.transfer.domain.states import Deadlines, evolve, waiting
from services.transfer.handlers import CONSUMES, decider, open_transfer
from tests.unit.transfer.samples import (
    AT,
    CANCELLED,
    CAUSE,
    COMPLETED,
    ETB,
    EXPIRED,
    FUNDED,
    GBP,
    INITIATED,
    LATE,
    OPEN,
    OPENED,
    OVERDUE,
    PAYOUT_ID,
    QUOTE_ID,
    REVIEWED,
    ROUTE,
    ROUTE_ID,
    STREAMS,
    TRANSFER_ID,
)

DEADLINES = Deadlines(
    expiry_margin_seconds=1,
    payout_overdue_seconds=2,
    settlement_seconds={"bank": 3},
    review_seconds=4,
    late_funding_seconds=5,
)


def heard(event: Any) -> tuple[Ask, ...]:
    return CONSUMES[type(event)](event, CAUSE)


def test_opening_claims_the_quote_and_the_route_as_it_is_compared() -> None:
    ask = open_transfer(replace(OPEN, route=f" {ROUTE.lower()} "))

    assert ask.stream_id == TRANSFER_ID
    assert ask.claims == (Claim("quote", str(QUOTE_ID)), Claim("route", ROUTE))


def test_a_confirmed_deposit_funds_with_what_was_received() -> None:
    event = DepositConfirmed(
        route_id=ROUTE_ID,
        transfer_id=TRANSFER_ID,
        amount=Money(100_20, GBP),
        expected=Money(100_00, GBP),
        arrivals=(UUID(int=1),),
        confirmed_at=AT,
    )
    assert heard(event) == (Ask(TRANSFER_ID, ConfirmFunding(transfer_id=TRANSFER_ID, received=Money(100_20, GBP))),)


def test_a_sent_and_an_unknown_payout_may_both_have_left() -> None:
    sent = payout.PayoutSent(
        payout_id=PAYOUT_ID,
        transfer_id=TRANSFER_ID,
        amount=Money(1, ETB),
        partner="sandbox-bank",
        partner_status="ACSP",
        partner_reference="P1",
        sent_at=AT,
    )
    unknown = payout.PayoutUnknown(
        payout_id=PAYOUT_ID,
        transfer_id=TRANSFER_ID,
        amount=Money(1, ETB),
        partner="sandbox-bank",
        reason="timeout",
        unknown_at=AT,
    )
    initiate = (Ask(TRANSFER_ID, InitiatePayout(transfer_id=TRANSFER_ID, payout_id=PAYOUT_ID)),)
    assert (heard(sent), heard(unknown)) == (initiate, initiate)


def test_a_confirmed_payout_completes() -> None:
    event = payout.PayoutConfirmed(
        payout_id=PAYOUT_ID,
        transfer_id=TRANSFER_ID,
        customer_id=OPEN.customer_id,
        amount=Money(1, ETB),
        partner="sandbox-bank",
        partner_reference="P1",
        settled_at=AT,
        confirmed_at=AT,
    )
    assert heard(event) == (Ask(TRANSFER_ID, CompletePayout(transfer_id=TRANSFER_ID, payout_id=PAYOUT_ID)),)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (
            payout.PayoutRefused(payout_id=PAYOUT_ID, transfer_id=TRANSFER_ID, reason_code="AC01", refused_at=AT),
            "refused:AC01",
        ),
        (
            payout.PayoutReviewRequired(
                payout_id=PAYOUT_ID, transfer_id=TRANSFER_ID, reason="attempts_spent", required_at=AT
            ),
            "attempts_spent",
        ),
    ],
)
def test_a_refused_payout_and_one_in_review_both_need_a_person(event: Any, reason: str) -> None:
    review = RequireReview(transfer_id=TRANSFER_ID, payout_id=PAYOUT_ID, reason=reason)
    assert heard(event) == (Ask(TRANSFER_ID, review),)


@pytest.mark.parametrize(
    ("event", "name", "due_at"),
    [
        (OPENED, "funding_deadline", OPENED.funding_deadline + timedelta(seconds=1)),
        (FUNDED, "payout_overdue", AT + timedelta(seconds=2)),
        (INITIATED, "settlement_overdue", AT + timedelta(seconds=3)),
        (replace(INITIATED, rail="mobile_money"), "settlement_overdue", AT + timedelta(days=1)),
        (REVIEWED, "review_overdue", AT + timedelta(seconds=4)),
        (LATE, "late_funding_overdue", AT + timedelta(seconds=5)),
    ],
)
def test_each_event_that_begins_a_wait_sets_its_wake(event: Any, name: str, due_at: Any) -> None:
    assert decider(DEADLINES).plan(event) == (SideEffect(name, due_at),)


@pytest.mark.parametrize("event", [CANCELLED, EXPIRED, COMPLETED, OVERDUE])
def test_nothing_is_waited_for_after_an_end(event: Any) -> None:
    assert decider(DEADLINES).plan(event) == ()


@pytest.mark.parametrize("stream", STREAMS)
def test_every_stage_that_waits_has_a_wake_that_was_set_for_it(stream: tuple[Any, ...]) -> None:
    state: Any = None
    planned: set[str] = set()
    for event in stream:
        state = evolve(state, event)
        planned |= {effect.name for effect in decider(DEADLINES).plan(event)}

    wait = waiting(state)
    assert wait is None or wait.wake in planned


def test_wakes_become_commands() -> None:
    wake = decider(DEADLINES).wake
    assert wake is not None
    assert wake("funding_deadline", TRANSFER_ID) == ExpireTransfer(transfer_id=TRANSFER_ID)
    assert wake("payout_overdue", TRANSFER_ID) == ReportOverdue(transfer_id=TRANSFER_ID, wake="payout_overdue")


@pytest.mark.parametrize("event", [OPENED, CANCELLED, EXPIRED, FUNDED, LATE, INITIATED, REVIEWED, COMPLETED, OVERDUE])
def test_every_event_belongs_to_its_transfer(event: Any) -> None:
    correlate = decider(DEADLINES).correlate
    assert correlate is not None
    assert correlate(event) == TRANSFER_ID
