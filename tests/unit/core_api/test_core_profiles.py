"""Senders, receivers and their KYC."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.customer.v1 import ProfileCreated
from services.core_api.domain import profiles as d
from services.core_api.handlers import PROFILE
from services.kernel.rejected import Rejected
from services.kernel.sealed import Sealed
from tests.support.spec import Spec
from tests.unit.core_api.samples import (
    ACCOUNT,
    APPROVE,
    APPROVED,
    AT,
    CREATE,
    CREATE_SENDER,
    CREATED,
    OTHER_ID,
    PROFILE_ID,
    REJECT,
    REJECTED,
)

given = Spec(PROFILE, AT).given


def test_a_receiver_is_created_with_an_account_and_kyc_pending() -> None:
    given().when(CREATE).then(CREATED)
    given().when(CREATE).then_state(d.KycPending)


def test_a_sender_is_created_without_an_account() -> None:
    given().when(CREATE_SENDER).then(replace(CREATED, kind="sender", country="GB", account=None))


def test_a_receiver_needs_an_account() -> None:
    given().when(replace(CREATE, account=None)).then_rejected(d.AccountRequired)


def test_a_sender_has_no_account() -> None:
    given().when(replace(CREATE_SENDER, account=ACCOUNT)).then_rejected(d.AccountUnexpected)


def test_creating_again_changes_nothing_though_the_boxes_differ() -> None:
    given(CREATED).when(replace(CREATE, name=Sealed(PROFILE_ID, 1, "YW5vdGhlcg=="))).then_nothing()


@pytest.mark.parametrize("change", [{"customer_id": OTHER_ID}, {"kind": "sender"}, {"country": "KE"}])
def test_a_profile_id_means_one_person_of_one_customer(change: dict[str, object]) -> None:
    given(CREATED).when(replace(CREATE, **change)).then_rejected(d.ProfileIdReused)  # type: ignore[arg-type]


def test_kyc_of_nobody_cannot_be_decided() -> None:
    given().when(APPROVE).then_rejected(d.ProfileNotFound)


def test_kyc_is_approved() -> None:
    given(CREATED).when(APPROVE).then(APPROVED)


def test_kyc_is_rejected() -> None:
    given(CREATED).when(REJECT).then(REJECTED)


@pytest.mark.parametrize(("past", "again"), [(APPROVED, APPROVE), (REJECTED, REJECT)])
def test_the_same_verdict_again_changes_nothing(past: object, again: d.DecideKyc) -> None:
    given(CREATED, past).when(again).then_nothing()


def test_an_approval_may_be_taken_back() -> None:
    given(CREATED, APPROVED).when(REJECT).then(REJECTED)


def test_a_rejection_stands() -> None:
    given(CREATED, REJECTED).when(APPROVE).then_rejected(d.KycAlreadyDecided)


def test_the_table_holds_exactly_the_steps_that_are_taken() -> None:
    steps: set[tuple[str, type, str]] = set()
    for past in ((), (CREATED,), (CREATED, APPROVED), (CREATED, REJECTED)):
        for command in (CREATE, APPROVE, REJECT):
            before = given(*past)
            try:
                events = before.when(command).decide()
            except Rejected:
                continue
            for event in events:
                after = d.evolve(before.state, event)
                assert after is not None
                steps.add((before.state.state if before.state else "-", type(event), after.state))
    assert steps == {step[:3] for step in d.TRANSITIONS}
    assert ("-", ProfileCreated, "PENDING") in steps
