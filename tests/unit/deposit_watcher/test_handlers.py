"""What the deposit watcher hears, what it claims, and when it wakes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from contracts.deposit.routes import route_id
from services.deposit_watcher.domain.states import Deadlines
from services.deposit_watcher.handlers import CONSUMES, decider, observe
from services.kernel.decider import Ask, Claim, SideEffect
from tests.unit.deposit_watcher import samples
from tests.unit.deposit_watcher.samples import (
    AT,
    CLOSE,
    CLOSED,
    EXPECT,
    EXPECTED,
    GRACE_OVER,
    ROUTE,
    ROUTE_ID,
    TRANSFER_ID,
    confirmed,
    early,
    gbp,
    mismatched,
    observed,
    reference_mismatched,
    unknown,
)
from tests.unit.transfer.samples import CANCELLED, CAUSE, COMPLETED, EXPIRED, OPENED

NEWS = replace(OPENED, transfer_id=TRANSFER_ID, route=ROUTE, route_id=ROUTE_ID)


def heard(event: Any) -> tuple[Ask, ...]:
    return CONSUMES[type(event)](event, CAUSE)


def test_a_report_goes_to_the_stream_of_its_route_and_claims_its_reference() -> None:
    ask = observe(
        "main",
        arrival_id=samples.arrival(1),
        partner="sandbox-bank",
        reference="R1",
        route=f" {ROUTE[:4].lower()} {ROUTE[4:]}",
        amount=gbp(100_00),
        booked_at=AT,
    )

    command = samples.observe(1, gbp(100_00))
    first = Claim("deposit", "sandbox-bank\x1fR1", command.content)
    assert ask == Ask(
        ROUTE_ID, command, claims=(first, Claim("deposit-conflict", command.content, behind="deposit"))
    )  # fmt: skip


def test_an_opened_transfer_is_expected_on_its_route() -> None:
    assert heard(NEWS) == (
        Ask(
            ROUTE_ID,
            replace(
                EXPECT,
                customer_id=NEWS.customer_id,
                amount=NEWS.send,
                tolerance=NEWS.tolerance,
                deadline=NEWS.funding_deadline,
            ),
        ),
    )


@pytest.mark.parametrize(
    "event",
    [
        replace(CANCELLED, transfer_id=TRANSFER_ID, route_id=ROUTE_ID),
        replace(EXPIRED, transfer_id=TRANSFER_ID, route_id=ROUTE_ID),
        replace(COMPLETED, transfer_id=TRANSFER_ID),
    ],
)
def test_the_end_of_a_transfer_closes_its_route(event: Any) -> None:
    assert heard(event) == (Ask(ROUTE_ID, CLOSE),)


def test_the_route_of_a_completed_transfer_is_looked_for_under_its_own_tenant() -> None:
    completed = replace(COMPLETED, transfer_id=TRANSFER_ID)
    ask = CONSUMES[type(completed)](completed, replace(CAUSE, tenant="other"))[0]
    assert ask.stream_id == route_id("other", ROUTE)


def test_money_without_a_transfer_sets_its_grace() -> None:
    assert decider(Deadlines()).plan(early(1, gbp(1))) == (SideEffect("grace", AT + timedelta(minutes=15)),)
    assert decider(Deadlines(unknown_route_grace_seconds=5)).plan(early(1, gbp(1))) == (
        SideEffect("grace", AT + timedelta(seconds=5)),
    )


@pytest.mark.parametrize("event", [observed(1, gbp(1)), EXPECTED, confirmed(gbp(1), 1), unknown(gbp(1), 1), CLOSED])
def test_nothing_else_waits_here(event: Any) -> None:
    assert decider(Deadlines()).plan(event) == ()


def test_the_wake_asks_whether_the_grace_is_over() -> None:
    wake = decider(Deadlines()).wake
    assert wake is not None
    assert wake("grace", ROUTE_ID) == GRACE_OVER
    with pytest.raises(AssertionError):
        wake("other", ROUTE_ID)


@pytest.mark.parametrize(
    ("event", "belongs_to"),
    [
        (EXPECTED, TRANSFER_ID),
        (observed(1, gbp(1)), TRANSFER_ID),
        (early(1, gbp(1)), ROUTE_ID),
        (unknown(gbp(1), 1), ROUTE_ID),
        (mismatched("short", gbp(1), 1), TRANSFER_ID),
        (reference_mismatched(1), ROUTE_ID),
        (CLOSED, TRANSFER_ID),
    ],
)
def test_an_event_belongs_to_its_transfer_or_else_to_its_route(event: Any, belongs_to: UUID) -> None:
    correlate = decider(Deadlines()).correlate
    assert correlate is not None
    assert correlate(event) == belongs_to
