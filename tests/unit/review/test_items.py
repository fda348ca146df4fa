"""What opens an item of the queue and what closes it, by the events of the services themselves."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from contracts.recon.v1 import IssueCleared, IssueOpened
from services.kernel.projector import Projection
from services.review.domain.reasons import Reason
from services.review.projections import deposits, issues, payouts, transfers
from tests.unit.deposit_watcher import samples as d
from tests.unit.payout_orchestrator import samples as p
from tests.unit.review.samples import after, only, waits
from tests.unit.transfer import samples as t

DEPOSITS, PAYOUTS, TRANSFERS = deposits.PROJECTION, payouts.PROJECTION, transfers.PROJECTION
ISSUES = issues.PROJECTION
LINES = Path("services/review/sql/surface.sql").read_text(encoding="utf-8").splitlines()
SQL = " ".join(" ".join(line.partition("--")[0] for line in LINES).split()).replace("( ", "(").replace(" )", ")")
HOUR = timedelta(hours=1)


# --- deposits


def test_money_without_a_transfer_waits_with_its_amount() -> None:
    row = only(DEPOSITS, *d.UNMATCHED)
    assert (row.reason, row.transfer_id, row.subject_id) == ("unmatched_deposit", None, d.ROUTE_ID)
    assert (row.amount_minor, row.currency, row.opened_at, row.closed_at) == (100_00, "GBP", d.AT, None)


def test_money_in_its_grace_does_not_wait_for_a_person() -> None:
    assert after(DEPOSITS, *d.UNEXPECTED) == {}


def test_money_that_finds_its_transfer_late_heals() -> None:
    row = only(DEPOSITS, *d.UNMATCHED, d.EXPECTED, d.confirmed(d.gbp(100_00), 1))
    assert (row.closed_at, row.closed_by) == (d.AT, "corridor.deposit.confirmed.v1")


def test_money_that_finds_a_transfer_that_it_does_not_fit_waits_anew_and_stays_one_item() -> None:
    short = replace(d.mismatched("short", d.gbp(60_00), 1), mismatched_at=d.AT + HOUR)
    row = only(DEPOSITS, d.early(1, d.gbp(60_00)), d.unknown(d.gbp(60_00), 1), d.EXPECTED, short)
    assert (row.reason, row.transfer_id, row.opened_at) == ("deposit_mismatch", d.TRANSFER_ID, d.AT + HOUR)


def test_a_short_deposit_grows_and_heals_with_the_rest() -> None:
    later = replace(d.mismatched("short", d.gbp(90_00), 1, 2), mismatched_at=d.AT + HOUR)
    row = only(DEPOSITS, *d.SHORT, d.observed(2, d.gbp(30_00)), later)
    assert (row.amount_minor, row.opened_at, row.detail) == (90_00, d.AT, "short: 90.00 GBP came, expected 100.00 GBP")
    whole = d.confirmed(d.gbp(100_00), 1, 2, 3)
    assert waits(DEPOSITS, *d.SHORT, later, d.observed(3, d.gbp(10_00)), whole) == []


def test_a_surplus_after_the_right_money_is_an_item_of_its_own() -> None:
    surplus = d.mismatched("surplus", d.gbp(100_00), 2)
    assert waits(DEPOSITS, *d.SHORT, d.confirmed(d.gbp(100_00), 1), surplus) == [Reason.DEPOSIT_MISMATCH]
    assert len(after(DEPOSITS, *d.SHORT, d.confirmed(d.gbp(100_00), 1), surplus)) == 2


def test_money_of_two_currencies_on_one_route_is_two_items() -> None:
    rows = after(DEPOSITS, d.EXPECTED, d.mismatched("wrong_currency", d.eur(7), 1), d.mismatched("short", d.gbp(9), 2))
    assert sorted((row.currency, row.amount_minor) for row in rows.values()) == [("EUR", 7), ("GBP", 9)]


def test_a_reference_used_again_moves_no_money_and_waits_beside_the_first() -> None:
    rows = after(DEPOSITS, *d.SHORT, d.reference_mismatched(1), d.reference_mismatched(2))
    conflicts = [row for row in rows.values() if row.reason == Reason.REFERENCE_MISMATCH]
    assert [(row.amount_minor, row.currency) for row in conflicts] == [(None, None)] * 2


def test_the_end_of_a_transfer_does_not_settle_money_that_did_not_fit() -> None:
    assert waits(DEPOSITS, *d.ENDED_SHORT) == [Reason.DEPOSIT_MISMATCH]


def test_a_deposit_that_fits_leaves_no_trace() -> None:
    assert after(DEPOSITS, *d.CONFIRMED) == {}


# --- payouts

UNKNOWN_AGAIN = replace(p.UNKNOWN, unknown_at=p.AT + HOUR)
REVIEWED = (*p.LOST, p.review("outcome unknown", p.AT + HOUR))
SETTLED: tuple[Any, ...] = (p.SENT, p.NOT_KNOWN, p.CONFIRMED)


def test_an_unknown_payout_waits_with_its_amount() -> None:
    row = only(PAYOUTS, *p.LOST)
    assert (row.reason, row.subject_id, row.transfer_id) == ("payout_unknown", p.PAYOUT, p.TRANSFER)
    assert (row.amount_minor, row.currency, row.opened_at) == (2_000_000, "ETB", p.AT)
    assert msgspec.json.decode(row.facts)["reason"] == "no answer"


@pytest.mark.parametrize("answer", SETTLED, ids=lambda each: type(each).__name__)
def test_an_unknown_payout_heals_when_the_bank_has_answered(answer: Any) -> None:
    assert waits(PAYOUTS, *p.LOST, answer) == []
    assert only(PAYOUTS, *p.LOST, answer).closed_by == answer.type


def test_what_has_healed_keeps_the_moment_in_which_it_did() -> None:
    later = replace(p.CONFIRMED, confirmed_at=p.AT + HOUR)
    row = only(PAYOUTS, *p.LOST, p.SENT, later)
    assert (row.closed_at, row.closed_by) == (p.AT, p.SENT.type)


def test_unknown_again_is_a_new_wait_of_the_same_item() -> None:
    row = only(PAYOUTS, *p.LOST, p.NOT_KNOWN, p.SUBMITTING, UNKNOWN_AGAIN)
    assert (row.closed_at, row.opened_at) == (None, p.AT + HOUR)


@pytest.mark.parametrize("stream", [p.REFUSED_ONCE, REVIEWED])
def test_a_payout_that_nothing_moves_any_more_waits_in_review(stream: tuple[Any, ...]) -> None:
    row = only(PAYOUTS, *stream)
    assert (row.reason, row.amount_minor, row.currency) == ("payout_in_review", 2_000_000, "ETB")


def test_the_wait_in_review_begins_when_the_asking_ends() -> None:
    assert only(PAYOUTS, *REVIEWED).opened_at == p.AT + HOUR


def test_a_refusal_of_what_is_in_review_is_the_same_wait() -> None:
    row = only(PAYOUTS, *REVIEWED, replace(p.REFUSED, refused_at=p.AT + 2 * HOUR))
    assert (row.opened_at, row.detail) == (p.AT + HOUR, "refused: AC04")


def test_a_confirmation_settles_a_review() -> None:
    assert waits(PAYOUTS, *REVIEWED, p.CONFIRMED) == []


def test_an_approval_that_nobody_gives_waits_until_it_is_given() -> None:
    assert waits(PAYOUTS, p.BY_HAND, p.OVERDUE) == [Reason.OVERDUE_STATE]
    assert waits(PAYOUTS, p.BY_HAND, p.OVERDUE, p.APPROVED) == []


def test_a_contradiction_waits_by_itself_whatever_becomes_of_the_payout() -> None:
    said = (p.contradiction("refused AC04", "CONFIRMED"), p.contradiction("settled 1.00 ETB", "CONFIRMED"))
    assert waits(PAYOUTS, *p.LOST, p.CONFIRMED, *said, p.CONFIRMED) == [Reason.PAYOUT_CONTRADICTED] * 2


def test_an_event_of_an_older_release_has_no_amount() -> None:
    row = only(PAYOUTS, replace(p.REFUSED, amount=None))
    assert (row.amount_minor, row.currency) == (None, None)


def test_a_payout_that_goes_well_leaves_no_trace() -> None:
    assert after(PAYOUTS, *p.DONE) == {}


# --- transfers

OVERDUE_LATE = replace(t.OVERDUE, state="EXPIRED", queue="late_funding", amount=t.LATE.received)


def test_a_transfer_that_waits_too_long_says_what_for_and_how_much() -> None:
    row = only(TRANSFERS, *t.PAID_IN, t.OVERDUE)
    assert (row.reason, row.amount_minor, row.currency) == ("overdue_state", 100_20, "GBP")
    assert row.detail == "FUNDING_CONFIRMED, queue payout"


@pytest.mark.parametrize("event", [t.INITIATED, t.REVIEWED, t.COMPLETED], ids=lambda each: type(each).__name__)
def test_it_heals_when_it_goes_on(event: Any) -> None:
    assert waits(TRANSFERS, *t.PAID_IN, t.OVERDUE, event) == []


def test_a_payout_in_review_is_not_a_second_item_of_its_transfer() -> None:
    assert after(TRANSFERS, *t.SENT) == {}


def test_late_money_waits_once_also_when_nobody_decides() -> None:
    assert waits(TRANSFERS, *t.OVER_PAID) == [Reason.LATE_FUNDING]
    row = only(TRANSFERS, *t.OVER_PAID, OVERDUE_LATE)
    assert (row.reason, row.amount_minor, row.opened_at, row.closed_at) == ("late_funding", 100_20, t.AT, None)


def test_a_transfer_that_goes_well_leaves_no_trace() -> None:
    assert after(TRANSFERS, *t.DONE) == {}


# --- issues of reconciliation

ISSUE = IssueOpened(
    issue_id=UUID(int=40), run_id=UUID(int=41), code="PAYOUT_MISSING_THERE", subject=str(t.TRANSFER_ID),
    transfer_id=t.TRANSFER_ID, currency="GBP", expected_minor=100, actual_minor=130, details="planted", opened_at=t.AT,
)  # fmt: skip
CLEARED = IssueCleared(
    issue_id=ISSUE.issue_id, run_id=UUID(int=42), code=ISSUE.code, transfer_id=t.TRANSFER_ID, cleared_at=t.AT + HOUR
)


def test_books_that_differ_wait_with_the_difference_until_they_do_not() -> None:
    row = only(ISSUES, ISSUE)
    assert (row.reason, row.amount_minor, row.currency) == ("reconciliation_issue", 30, "GBP")
    assert (row.transfer_id, row.closed_at) == (t.TRANSFER_ID, None)
    assert only(ISSUES, ISSUE, CLEARED).closed_at == t.AT + HOUR


def test_an_issue_that_comes_again_waits_again() -> None:
    again = replace(ISSUE, opened_at=t.AT + 2 * HOUR)
    row = only(ISSUES, ISSUE, CLEARED, again)
    assert (row.opened_at, row.closed_at) == (t.AT + 2 * HOUR, None)


def test_sums_that_differ_by_more_than_an_amount_can_be_are_still_an_item() -> None:
    row = only(ISSUES, replace(ISSUE, expected_minor=-(10**15), actual_minor=10**15))
    assert (row.amount_minor, row.closed_at) == (None, None)


def test_a_currency_that_only_a_partner_knows_is_still_an_item() -> None:
    row = only(ISSUES, replace(ISSUE, currency="XYZ"))
    assert (row.amount_minor, row.currency, row.closed_at) == (None, None, None)


def test_an_issue_without_two_amounts_has_none() -> None:
    assert only(ISSUES, replace(ISSUE, actual_minor=None)).amount_minor is None


# --- the tables


@pytest.mark.parametrize("projection", [DEPOSITS, PAYOUTS, TRANSFERS, ISSUES], ids=lambda each: each.name)
def test_the_migration_makes_the_columns_that_the_code_writes(projection: Projection) -> None:
    first = DEPOSITS.ddl(1)
    assert first in SQL
    assert projection.ddl(1) == first.replace(DEPOSITS.table(1), projection.table(1))
    like = f"CREATE TABLE {projection.table(1)} (LIKE deposit_items_v1 INCLUDING ALL)"
    assert projection is DEPOSITS or like in SQL
