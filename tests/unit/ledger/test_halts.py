"""A halt: what is found halts once, two people let money move again, and something new takes back one person's wish."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from contracts.ledger.v1 import CurrencyHalted, CurrencyResumed, Difference, LiftRequested
from services.ledger.domain import halts
from services.ledger.domain.adjustments import SamePerson
from services.ledger.domain.halts import (
    ApproveLift,
    CurrencyNotHalted,
    Halted,
    LiftAlreadyRequested,
    LiftNotRequested,
    ReportDifferences,
    RequestLift,
    halt_id,
)
from services.ledger.handlers import halt_decider
from tests.support.spec import Spec

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
given = Spec(halt_decider(), AT).given
ANN, BOB = UUID(int=1), UUID(int=2)
JOURNAL = UUID(int=9)


def difference(number: int = 1, found: str = "debits less credits +5", check: str = "L1") -> Difference:
    return Difference(check=check, subject=f"entry {number}", journal=JOURNAL, found=found, difference_minor=5)


def report(*differences: Difference) -> ReportDifferences:
    return ReportDifferences(currency="GBP", differences=differences)


def halted(*differences: Difference) -> CurrencyHalted:
    return CurrencyHalted(
        halt_id=halt_id("GBP"), currency="GBP", difference_minor=5, journals=(JOURNAL,),
        differences=differences, found_at=AT,
    )  # fmt: skip


ASK, APPROVE = (
    RequestLift(currency="GBP", by=ANN, reason="restored"), ApproveLift(currency="GBP", by=BOB, reason="I looked"),
)  # fmt: skip
FOUND = halted(difference())
ASKED = LiftRequested(halt_id=halt_id("GBP"), currency="GBP", requested_by=ANN, reason="restored", requested_at=AT)
RESUMED = CurrencyResumed(
    halt_id=halt_id("GBP"), currency="GBP", requested_by=ANN, approved_by=BOB, reason="I looked", resumed_at=AT
)


def test_a_difference_halts_its_currency() -> None:
    given().when(report(difference())).then(FOUND)


def test_the_same_difference_halts_once_however_often_it_is_found() -> None:
    given(FOUND).when(report(difference())).then_nothing()
    given(FOUND, ASKED).when(report(difference())).then_nothing()
    given(FOUND, ASKED, RESUMED).when(report(difference())).then_nothing()
    given().when(report(difference(), difference())).then(FOUND)


@pytest.mark.parametrize("new", [difference(2), difference(found="+6"), difference(check="L9")], ids=str)
def test_only_what_is_new_is_said(new: Difference) -> None:
    given(FOUND).when(report(difference(), new)).then(halted(new))
    given(FOUND, ASKED, RESUMED).when(report(difference(), new)).then(halted(new))


def test_something_new_takes_back_the_wish_of_the_first_person() -> None:
    given(FOUND, ASKED).when(report(difference(2))).then_state(Halted)
    given(FOUND, ASKED, halted(difference(2))).when(APPROVE).then_rejected(LiftNotRequested)


def test_a_halt_keeps_what_was_found_before_in_it() -> None:
    other = Difference(check="L9", subject="balance", journal=UUID(int=8), found="debit +7", difference_minor=7)
    state = given(FOUND, ASKED).when(report(other)).then_state(Halted)
    assert (state.journals, state.difference_minor, len(state.known)) == ((JOURNAL, UUID(int=8)), 7, 2)
    state = given(FOUND, ASKED, RESUMED).when(report(other)).then_state(Halted)
    assert (state.journals, state.difference_minor, len(state.known)) == ((UUID(int=8),), 7, 2)


def test_nothing_found_is_nothing() -> None:
    given().when(report()).then_nothing()


def test_two_people_lift_it() -> None:
    given(FOUND).when(ASK).then(ASKED)
    given(FOUND, ASKED).when(APPROVE).then(RESUMED)


def test_the_same_person_does_not() -> None:
    given(FOUND, ASKED).when(ApproveLift(currency="GBP", by=ANN, reason="again")).then_rejected(SamePerson)


def test_a_wish_is_asked_once() -> None:
    given(FOUND, ASKED).when(ASK).then_nothing()
    given(FOUND, ASKED).when(RequestLift(currency="GBP", by=BOB, reason="me too")).then_rejected(LiftAlreadyRequested)


def test_what_is_not_halted_is_not_lifted() -> None:
    for events in ((), (FOUND, ASKED, RESUMED)):
        given(*events).when(ASK).then_rejected(CurrencyNotHalted)
        given(*events).when(APPROVE).then_rejected(CurrencyNotHalted)
    given(FOUND).when(APPROVE).then_rejected(LiftNotRequested)


def test_what_is_said_and_what_is_remembered_has_a_bound() -> None:
    many = [difference(number) for number in range(3_000)]
    spec, state = given(), None
    for at in range(0, 3_000, 100):
        (event,) = given().spec.decider.decide(state, report(*many[at : at + 150]), AT)
        assert len(event.differences) <= halts.DIFFERENCES_MAX
        state = spec.spec.decider.evolve(state, event)
    assert isinstance(state, Halted)
    assert len(state.known) == halts.KNOWN_MAX
