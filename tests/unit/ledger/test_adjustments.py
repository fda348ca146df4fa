"""Adjustments: nothing is posted by one person alone, and nothing that is no entry."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from contracts.ledger.v1 import (
    Adjusted,
    AdjustmentExpired,
    AdjustmentProposed,
    AdjustmentRejected,
    Posting,
    Side,
)
from services.kernel.account import Standing
from services.kernel.decider import Seen
from services.kernel.ids import derive
from services.kernel.money import Money, iso4217
from services.ledger.domain.adjustments import (
    AccountOverdrawn,
    AdjustmentDecided,
    AdjustmentInvalid,
    AdjustmentNotFound,
    ApproveAdjustment,
    ExpireAdjustment,
    ProposeAdjustment,
    RejectAdjustment,
    SamePerson,
)
from services.ledger.handlers import adjustment_decider
from tests.support.spec import Spec

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
DUE = AT + timedelta(days=7)
SPEC = Spec(adjustment_decider(), AT)
given = SPEC.given
ID, TRANSFER = UUID(int=1), UUID(int=2)
LOSS, SUSPENSE, HELD = "loss:payouts:GBP", "suspense:payouts:GBP", "customer:c:held:GBP"


def line(side: Side, account: str, minor: int, currency: str = "GBP") -> Posting:
    return Posting(account=account, side=side, amount=Money(minor, iso4217(currency)))


LINES = (line("debit", LOSS, 250), line("credit", SUSPENSE, 250))
TAKES = (line("debit", HELD, 250), line("credit", SUSPENSE, 250))


def proposed(lines: tuple[Posting, ...] = LINES) -> AdjustmentProposed:
    return AdjustmentProposed(
        adjustment_id=ID, lines=lines, transfer_id=TRANSFER, reason="written off", evidence="T-1", proposed_by="ann",
        proposed_at=AT, due_at=DUE,
    )  # fmt: skip


def propose(lines: tuple[Posting, ...] = LINES) -> ProposeAdjustment:
    return ProposeAdjustment(
        adjustment_id=ID, lines=lines, transfer_id=TRANSFER, reason="written off", evidence="T-1", proposed_by="ann",
        due_at=DUE,
    )  # fmt: skip


def approve(by: str = "ben", held: int = 0) -> ApproveAdjustment:
    rows = {LOSS: Standing(), SUSPENSE: Standing(), HELD: Standing(0, held)}
    return ApproveAdjustment(adjustment_id=ID, approved_by=by, reason="checked", seen=Seen(rows=rows))


ADJUSTED = Adjusted(
    adjustment_id=ID, approved_by="ben", reason="checked", entry_id=derive("entry", ID, "ledger.adjusted"),
    kind="ledger.adjusted", cause_id=ID, transfer_id=TRANSFER, lines=LINES, caused_at=AT, posted_at=AT,
)  # fmt: skip
REJECTED = AdjustmentRejected(adjustment_id=ID, rejected_by="ben", reason="no", rejected_at=AT)
REJECT = RejectAdjustment(adjustment_id=ID, rejected_by="ben", reason="no")


def test_a_proposal_waits() -> None:
    given().when(propose()).then(proposed())


def test_another_person_posts_it() -> None:
    given(proposed()).when(approve()).then(ADJUSTED)


def test_the_same_person_does_not() -> None:
    with pytest.raises(SamePerson):
        given(proposed()).when(approve("ann")).decide()


def test_anybody_may_say_no() -> None:
    given(proposed()).when(REJECT).then(REJECTED)
    given(proposed()).when(replace(REJECT, rejected_by="ann")).then(replace(REJECTED, rejected_by="ann"))


def test_a_proposal_expires_and_not_before_it_is_due() -> None:
    wake = ExpireAdjustment(adjustment_id=ID)
    given(proposed()).when(wake, at=DUE).then(AdjustmentExpired(adjustment_id=ID, expired_at=DUE))
    given(proposed()).when(wake, at=DUE - timedelta(seconds=1)).then()
    given(proposed(), ADJUSTED).when(wake, at=DUE).then()
    given().when(wake, at=DUE).then()
    assert [(each.name, each.due_at) for each in SPEC.decider.plan(proposed())] == [("adjustment_expiry", DUE)]


@pytest.mark.parametrize("end", [ADJUSTED, REJECTED, AdjustmentExpired(adjustment_id=ID, expired_at=DUE)])
@pytest.mark.parametrize("command", [approve("cid"), REJECT, propose()])
def test_what_is_decided_is_decided(end: Any, command: Any) -> None:
    with pytest.raises(AdjustmentDecided):
        given(proposed(), end).when(command).decide()


@pytest.mark.parametrize("command", [approve(), REJECT])
def test_there_is_nothing_to_decide(command: Any) -> None:
    with pytest.raises(AdjustmentNotFound):
        given().when(command).decide()


@pytest.mark.parametrize(
    "lines",
    [
        (),
        LINES[:1],
        (line("debit", LOSS, 250), line("credit", SUSPENSE, 249)),
        (line("debit", LOSS, 250), line("credit", "suspense:payouts:ETB", 250, "ETB")),
        (line("debit", LOSS, 250), line("credit", "suspense:payouts:GBP", 250, "ETB")),
        (line("debit", "nothing:GBP", 250), line("credit", SUSPENSE, 250)),
        (line("debit", LOSS, 0), line("credit", SUSPENSE, 0)),
    ],
    ids=["none", "one", "unbalanced", "over two currencies", "currency of no account", "no account", "nothing"],
)
def test_what_is_no_entry_is_told_to_who_wrote_it(lines: tuple[Posting, ...]) -> None:
    with pytest.raises(AdjustmentInvalid):
        given().when(propose(lines)).decide()


def test_a_protected_account_covers_what_is_taken_from_it() -> None:
    with pytest.raises(AccountOverdrawn):
        given(proposed(TAKES)).when(approve(held=249)).decide()
    given(proposed(TAKES)).when(approve(held=250)).then(replace(ADJUSTED, lines=TAKES))
