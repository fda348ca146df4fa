"""Holds: each rung of each decision, and that a hold is resolved once, whatever is asked in whatever order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from contracts.ledger.v1 import HoldOverdue, HoldPlaced, HoldPosted, HoldRefused, HoldVoided, Posting, Side
from services.kernel.account import Standing
from services.kernel.decider import Seen
from services.kernel.ids import derive
from services.kernel.money import Money, iso4217
from services.kernel.rejected import Rejected
from services.ledger.domain.entries import check
from services.ledger.domain.holds import (
    HoldExceeded,
    HoldIdReused,
    HoldNotFound,
    HoldResolved,
    PlaceHold,
    PostHold,
    ReportHold,
    VoidHold,
    available_of,
)
from services.ledger.handlers import hold_decider
from tests.support.spec import Spec

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
DUE = AT + timedelta(days=1)
SPEC = Spec(hold_decider(), AT)
given = SPEC.given
HOLD, CUSTOMER, CAUSE, OTHER = UUID(int=1), UUID(int=2), UUID(int=3), UUID(int=4)
AVAILABLE, HELD, CLEARING = f"customer:{CUSTOMER}:available:GBP", f"customer:{CUSTOMER}:held:GBP", "payout_clearing:GBP"


def gbp(minor: int) -> Money:
    return Money(minor, iso4217("GBP"))


def line(side: Side, account: str, minor: int) -> Posting:
    return Posting(account=account, side=side, amount=gbp(minor))


def seen(minor: int) -> Seen:
    return Seen(rows={available_of(CUSTOMER, "GBP"): Standing(100, 100 + minor)})


def place(minor: int = 500, has: int = 500, **other: Any) -> PlaceHold:
    known: dict[str, Any] = {
        "hold_id": HOLD, "customer_id": CUSTOMER, "amount": gbp(minor), "cause_id": CAUSE, "transfer_id": None,
        "caused_at": AT, "due_at": DUE, "seen": seen(has),
    }  # fmt: skip
    return PlaceHold(**known | other)


def booked(step: str, *lines: Posting, cause: UUID = CAUSE) -> dict[str, Any]:
    return {
        "hold_id": HOLD, "customer_id": CUSTOMER, "entry_id": derive("entry", HOLD, f"hold.{step}"),
        "kind": f"hold.{step}", "cause_id": cause, "transfer_id": None, "lines": lines, "caused_at": AT,
        "posted_at": AT,
    }  # fmt: skip


PLACED = HoldPlaced(
    amount=gbp(500), due_at=DUE, **booked("placed", line("debit", AVAILABLE, 500), line("credit", HELD, 500))
)
POSTED = HoldPosted(
    amount=gbp(500), **booked("posted", line("debit", HELD, 500), line("credit", CLEARING, 500), cause=OTHER)
)
VOIDED = HoldVoided(**booked("voided", line("debit", HELD, 500), line("credit", AVAILABLE, 500), cause=OTHER))
REFUSED = HoldRefused(
    hold_id=HOLD, customer_id=CUSTOMER, amount=gbp(501), available=gbp(500), cause_id=CAUSE, refused_at=AT
)
OVERDUE = HoldOverdue(hold_id=HOLD, customer_id=CUSTOMER, amount=gbp(500), since=DUE, queue="finance")
POST, VOID = PostHold(hold_id=HOLD, minor=None, cause_id=OTHER), VoidHold(hold_id=HOLD, cause_id=OTHER)


def test_what_is_available_can_be_held() -> None:
    given().when(place(500, has=500)).then(PLACED)


def test_what_is_not_available_is_refused() -> None:
    given().when(place(501, has=500)).then(REFUSED)


def test_a_customer_of_whom_nothing_is_known_has_nothing() -> None:
    empty = Seen(rows={AVAILABLE: Standing()})
    given().when(place(1, seen=empty)).then(
        HoldRefused(hold_id=HOLD, customer_id=CUSTOMER, amount=gbp(1), available=gbp(0), cause_id=CAUSE, refused_at=AT)
    )


@pytest.mark.parametrize("before", [PLACED, REFUSED], ids=["placed", "refused"])
def test_a_repeat_is_answered_as_before(before: Any) -> None:
    given(before).when(place(before.amount.minor, has=0)).then()


@pytest.mark.parametrize("other", [{"amount": gbp(7)}, {"customer_id": OTHER}, {"cause_id": OTHER}])
def test_one_id_is_one_hold(other: dict[str, Any]) -> None:
    with pytest.raises(HoldIdReused):
        given(PLACED).when(place(**other)).decide()


def test_a_hold_is_used_whole() -> None:
    given(PLACED).when(POST).then(POSTED)


def test_a_hold_is_used_in_part_and_the_rest_is_the_customers_again() -> None:
    lines = (
        line("debit", HELD, 400), line("credit", CLEARING, 400), line("debit", HELD, 100),
        line("credit", AVAILABLE, 100),
    )  # fmt: skip
    given(PLACED).when(PostHold(hold_id=HOLD, minor=400, cause_id=OTHER)).then(
        HoldPosted(amount=gbp(400), **booked("posted", *lines, cause=OTHER))
    )


@pytest.mark.parametrize("minor", [501, 0])
def test_no_more_than_is_held_is_used_and_not_nothing(minor: int) -> None:
    with pytest.raises(HoldExceeded):
        given(PLACED).when(PostHold(hold_id=HOLD, minor=minor, cause_id=OTHER)).decide()


def test_a_hold_is_given_back() -> None:
    given(PLACED).when(VOID).then(VOIDED)


@pytest.mark.parametrize(("before", "again"), [(POSTED, POST), (VOIDED, VOID)], ids=["post", "void"])
def test_the_same_resolution_again_does_nothing(before: Any, again: Any) -> None:
    given(PLACED, before).when(again).then()


@pytest.mark.parametrize(
    ("stream", "command"),
    [
        ((PLACED, POSTED), VOID), ((PLACED, VOIDED), POST), ((REFUSED,), POST), ((REFUSED,), VOID),
        ((PLACED, POSTED), PostHold(hold_id=HOLD, minor=None, cause_id=CAUSE)),
        ((PLACED, POSTED), PostHold(hold_id=HOLD, minor=499, cause_id=OTHER)), ((PLACED, VOIDED), place()),
    ],
)  # fmt: skip
def test_a_hold_is_resolved_once(stream: tuple[Any, ...], command: Any) -> None:
    with pytest.raises(HoldResolved):
        given(*stream).when(command).decide()


@pytest.mark.parametrize("command", [POST, VOID])
def test_there_is_nothing_to_resolve(command: Any) -> None:
    with pytest.raises(HoldNotFound):
        given().when(command).decide()


def test_a_hold_that_nobody_resolves_calls_a_person_once() -> None:
    wake = ReportHold(hold_id=HOLD)
    given(PLACED).when(wake, at=DUE).then(OVERDUE)
    given(PLACED).when(wake, at=DUE - timedelta(seconds=1)).then()
    given(PLACED, OVERDUE).when(wake, at=DUE).then()
    given(PLACED, POSTED).when(wake, at=DUE).then()
    given(PLACED, OVERDUE).when(POST).then(POSTED)


def test_a_placed_hold_has_its_wake() -> None:
    assert [(each.name, each.due_at, each.kind) for each in SPEC.decider.plan(PLACED)] == [
        ("hold_overdue", DUE, "wake")
    ]


ALL = (place(), POST, VOID, PostHold(hold_id=HOLD, minor=3, cause_id=CAUSE))


@pytest.mark.parametrize("order", list(permutations(ALL)))
def test_in_whatever_order_they_come_nothing_is_held_twice_or_lost(order: tuple[Any, ...]) -> None:
    """Case 38: what is not legal yet is refused, and may come again."""
    state, balance = None, {AVAILABLE: 500, HELD: 0, CLEARING: 0}
    for command in (*order, *order):
        try:
            events = SPEC.decider.decide(state, command, AT)
        except Rejected:
            continue
        for event in events:
            state = SPEC.decider.evolve(state, event)
            for each in event.lines:
                balance[each.account] += each.amount.minor if each.side == "credit" else -each.amount.minor
                assert balance[each.account] >= 0
    assert sum(balance.values()) == 500
    assert balance[HELD] == 0, "each order resolves it in its second round"


@hypothesis_given(has=st.integers(0, 10**12), wants=st.integers(1, 10**12), uses=st.integers(1, 10**12))
def test_every_entry_of_a_hold_balances_and_moves_only_what_is_there(has: int, wants: int, uses: int) -> None:
    (event,) = SPEC.decider.decide(None, place(wants, has), AT)
    assert isinstance(event, HoldPlaced) == (wants <= has)
    if isinstance(event, HoldPlaced):
        check(event.lines)
        used = SPEC.decider.decide(
            SPEC.decider.evolve(None, event), PostHold(hold_id=HOLD, minor=min(uses, wants), cause_id=OTHER), AT
        )
        check(used[0].lines)
        assert sum(each.amount.minor for each in used[0].lines if each.account == HELD) == wants
