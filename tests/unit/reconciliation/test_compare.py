"""Each code by a planted difference: that one issue and no other. And everything that is no difference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.reconciliation.domain.codes import OF_THE_WHOLE, Code
from services.reconciliation.domain.compare import compare, compare_route, parked, stray_payment, unattributed
from services.reconciliation.domain.facts import DepositSaid, Facts, Issue, Payment, Route
from tests.unit.reconciliation.samples import (
    CUSTOMER,
    CUTOFFS,
    DEPOSITED,
    JUST_NOW,
    LONG_AGO,
    OPENED,
    OTHER_PAYOUT,
    PAID_OUT,
    PAYMENT,
    ROUTE,
    TRANSFER,
    booked,
    facts,
)

HELD = f"customer:{CUSTOMER}:held:GBP"
WAITING = replace(
    OPENED, state="AWAITING_FUNDING", received_minor=None, received_currency=None, funded=False, payout_id=None
)
FUNDED = replace(OPENED, state="FUNDING_CONFIRMED", payout_id=None)
INITIATED = replace(OPENED, state="PAYOUT_INITIATED")
REVIEWED = replace(OPENED, state="PAYOUT_REVIEW_REQUIRED", payout_id=None)
REQUESTED = replace(
    PAID_OUT, state="REQUESTED", submitted=False, sent=False, confirmed_minor=None, confirmed_currency=None
)
SUBMITTING = replace(REQUESTED, state="SUBMITTING", submitted=True)
SENT = replace(SUBMITTING, state="SENT", sent=True)
UNKNOWN = replace(SENT, state="UNKNOWN")
REFUSED = replace(SUBMITTING, state="MANUAL_REVIEW")
IN_PROGRESS = replace(PAYMENT, status="ACSP", settled_at=None)
REJECTED = replace(PAYMENT, status="RJCT")
SECOND = replace(PAYMENT, payment_id=str(OTHER_PAYOUT))


def codes(issues: tuple[Issue, ...]) -> list[Code]:
    return [issue.code for issue in issues]


PLANTED: dict[str, tuple[Facts, Code, int | None, int | None]] = {
    "the transfer service has no such transfer": (
        facts(transfer=None), Code.TRANSFER_UNKNOWN, None, None,
    ),
    "funded with other money than was confirmed": (
        facts(deposit=replace(DEPOSITED, confirmed_minor=99_50)),
        Code.FUNDING_DIFFERS, 99_50, 100_00,
    ),
    "funded without a confirmed deposit": (
        facts(deposit=replace(DEPOSITED, confirmed_minor=None, confirmed_currency=None)),
        Code.FUNDING_DIFFERS, 0, 100_00,
    ),
    "confirmed and never funded": (
        facts(transfer=WAITING, payouts=(), payments=()), Code.FUNDING_DIFFERS, 100_00, 0,
    ),
    "cash that the ledger does not have": (
        facts(deposit=replace(DEPOSITED, observed={"bank:GBP": 150_00}), booked=facts().booked),
        Code.LEDGER_DEPOSIT_DIFFERS, 150_00, 100_00,
    ),
    "the entry of the deposit is missing": (
        facts(booked={k: v for k, v in facts().booked.items() if k != "deposit.observed"}),
        Code.LEDGER_DEPOSIT_DIFFERS, 100_00, 0,
    ),
    "held for somebody else": (
        facts(booked=booked("transfer.funding_confirmed", **{HELD: 0, "customer:other:held:GBP": -100_00})),
        Code.LEDGER_FUNDING_DIFFERS, 100_00, 0,
    ),
    "the funding posted twice": (
        facts(booked=booked("transfer.funding_confirmed", **{HELD: -200_00, "suspense:deposits:GBP": 200_00})),
        Code.LEDGER_FUNDING_DIFFERS, 100_00, 200_00,
    ),
    "another fee": (
        facts(booked=booked("transfer.payout_initiated", **{"revenue:fees:GBP": -1_00, "fx_position:GBP": -98_50})),
        Code.LEDGER_FEES_DIFFER, 2_00, 1_00,
    ),
    "another exchange": (
        facts(booked=booked(
            "transfer.payout_initiated", **{"fx_position:ETB": 19_999_00, "payout_clearing:ETB": -19_999_00}
        )),
        Code.LEDGER_INITIATION_DIFFERS, 20_000_00, 19_999_00,
    ),
    "the settlement is not booked": (
        facts(booked={k: v for k, v in facts().booked.items() if k != "payout.confirmed"}),
        Code.LEDGER_SETTLEMENT_DIFFERS, 20_000_00, 0,
    ),
    "an entry that nobody caused": (
        facts(booked=booked("payout.returned", **{"payout_clearing:ETB": -5, "partner_float:bank:ETB": 5})),
        Code.LEDGER_UNEXPECTED_ENTRY, 0, 5,
    ),
    "debits that differ from credits": (
        facts(booked=booked("deposit.observed", **{"safeguarding:bank:GBP": 100_01})), Code.LEDGER_UNBALANCED, 0, 1,
    ),
    "funded and no payout": (
        facts(transfer=FUNDED, payouts=(), payments=()), Code.PAYOUT_MISSING, 20_000_00, 0,
    ),
    "a payout of a transfer that was never funded": (
        facts(
            transfer=WAITING, deposit=None, payouts=(REQUESTED,), payments=(),
        ), Code.PAYOUT_NOT_FUNDED, 0, 20_000_00,
    ),
    "a payout of another amount": (
        facts(
            payouts=(replace(PAID_OUT, amount_minor=1, confirmed_minor=20_000_00),),
            payments=(replace(PAYMENT, amount_minor=1),),
        ),
        Code.PAYOUT_AMOUNT_DIFFERS, 20_000_00, 1,
    ),
    "confirmed in another amount": (
        facts(payouts=(replace(PAID_OUT, confirmed_minor=19_000_00),)),
        Code.PAYOUT_AMOUNT_DIFFERS, 20_000_00, 19_000_00,
    ),
    "confirmed, and the transfer does not know": (
        facts(transfer=INITIATED), Code.PAYOUT_STATE_DIFFERS, None, None,
    ),
    "sent, and the transfer does not know": (
        facts(transfer=FUNDED, payouts=(SENT,), payments=(IN_PROGRESS,)), Code.PAYOUT_STATE_DIFFERS, None, None,
    ),
    "completed, and the payout is not": (
        facts(payouts=(SENT,), payments=(IN_PROGRESS,)), Code.PAYOUT_STATE_DIFFERS, None, None,
    ),
    "two payouts that money may have left on": (
        facts(
            payouts=(PAID_OUT, replace(UNKNOWN, payout_id=OTHER_PAYOUT)), payments=(PAYMENT,),
        ), Code.PAYOUT_TWICE, 20_000_00, 40_000_00,
    ),
    "the provider does not have what it confirmed": (
        facts(payments=()), Code.PROVIDER_MISSING, 20_000_00, 0,
    ),
    "the provider does not have what it accepted": (
        facts(transfer=INITIATED, payouts=(SENT,), payments=()), Code.PROVIDER_MISSING, 20_000_00, 0,
    ),
    "the provider has paid another amount": (
        facts(payments=(replace(PAYMENT, amount_minor=20_000_01),)), Code.PROVIDER_AMOUNT_DIFFERS, 20_000_00, 20_000_01,
    ),
    "the provider has paid in another currency": (
        facts(payments=(replace(PAYMENT, currency="KES"),)), Code.PROVIDER_AMOUNT_DIFFERS, 20_000_00, 20_000_00,
    ),
    "confirmed, and rejected in the provider's book": (
        facts(payments=(REJECTED,)), Code.PROVIDER_STATE_DIFFERS, None, None,
    ),
    "settled long ago, and we do not know": (
        facts(transfer=INITIATED, payouts=(SENT,)), Code.PROVIDER_STATE_DIFFERS, None, None,
    ),
    "settled long ago, and a person is asked whether": (
        facts(transfer=REVIEWED, payouts=(REFUSED,)), Code.PROVIDER_STATE_DIFFERS, None, None,
    ),
    "rejected long ago, and we wait for it": (
        facts(transfer=INITIATED, payouts=(SENT,), payments=(REJECTED,)), Code.PROVIDER_STATE_DIFFERS, None, None,
    ),
    "paid twice in the provider's book": (
        facts(payments=(PAYMENT, SECOND)), Code.PROVIDER_PAID_TWICE, 20_000_00, 40_000_00,
    ),
    "paid what was never submitted": (
        facts(transfer=FUNDED, payouts=(REQUESTED,), payments=(IN_PROGRESS,)),
        Code.PROVIDER_UNKNOWN_PAYMENT, 0, 20_000_00,
    ),
    "paid for a transfer without a payout": (
        facts(transfer=WAITING, deposit=None, payouts=(), payments=(PAYMENT,)),
        Code.PROVIDER_UNKNOWN_PAYMENT, 0, 20_000_00,
    ),
    "paid for a transfer that nobody has": (
        Facts(transfer_id=TRANSFER, payments=(PAYMENT,)), Code.PROVIDER_UNKNOWN_PAYMENT, 0, 20_000_00,
    ),
}  # fmt: skip


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_difference_is_that_one_issue_and_no_other(planted: str) -> None:
    said, code, expected, actual = PLANTED[planted]
    (issue,) = compare(said, CUTOFFS)
    assert (issue.code, issue.expected_minor, issue.actual_minor) == (code, expected, actual)
    assert (issue.subject, issue.transfer_id) == (str(TRANSFER), TRANSFER)


AGREEING: dict[str, Facts] = {
    "completed": facts(),
    "opened": facts(transfer=WAITING, deposit=None, payouts=(), payments=()),
    "cancelled": facts(transfer=replace(WAITING, state="CANCELLED"), deposit=None, payouts=(), payments=()),
    "short, so still waiting": facts(
        transfer=WAITING,
        deposit=DepositSaid(observed={"bank:GBP": 90_00}, confirmed_minor=None, confirmed_currency=None),
        payouts=(), payments=(),
    ),
    "late": facts(
        transfer=replace(WAITING, state="EXPIRED", received_minor=100_00, received_currency="GBP"),
        payouts=(), payments=(),
    ),
    "funded with less, inside the tolerance": facts(
        transfer=replace(OPENED, received_minor=99_50),
        deposit=replace(DEPOSITED, observed={"bank:GBP": 99_50}, confirmed_minor=99_50),
    ),
    "funded with more, inside the tolerance": facts(
        transfer=replace(OPENED, received_minor=100_50),
        deposit=replace(DEPOSITED, observed={"bank:GBP": 100_50}, confirmed_minor=100_50),
    ),
    "a surplus that stays in suspense": facts(deposit=replace(DEPOSITED, observed={"bank:GBP": 130_00})),
    "paid in before the transfer was known": facts(deposit=replace(DEPOSITED, observed={})),
    "without a fee and a spread": facts(transfer=replace(OPENED, fee_minor=0, spread_minor=0, converted_minor=100_00)),
    "in one currency": facts(
        transfer=replace(OPENED, receive_minor=97_50, receive_currency="GBP"),
        payouts=(
            replace(PAID_OUT, amount_minor=97_50, currency="GBP", confirmed_minor=97_50, confirmed_currency="GBP"),
        ),
        payments=(replace(PAYMENT, amount_minor=97_50, currency="GBP"),),
    ),
    "requested": facts(transfer=FUNDED, payouts=(REQUESTED,), payments=()),
    "submitting, and the provider has it": facts(transfer=FUNDED, payouts=(SUBMITTING,), payments=(IN_PROGRESS,)),
    "submitting, and the provider does not have it": facts(transfer=FUNDED, payouts=(SUBMITTING,), payments=()),
    "sent": facts(transfer=INITIATED, payouts=(SENT,), payments=(IN_PROGRESS,)),
    "settled just now, and the callback is on its way": facts(
        transfer=INITIATED, payouts=(SENT,), payments=(replace(PAYMENT, settled_at=JUST_NOW),)
    ),
    "unknown, and the provider has it": facts(transfer=INITIATED, payouts=(UNKNOWN,), payments=(IN_PROGRESS,)),
    "unknown, and the provider does not have it": facts(transfer=INITIATED, payouts=(UNKNOWN,), payments=()),
    "to be sent again after the partner denied it": facts(
        transfer=INITIATED, payouts=(replace(UNKNOWN, state="APPROVED"),), payments=()
    ),
    "refused, and rejected there": facts(transfer=REVIEWED, payouts=(REFUSED,), payments=(REJECTED,)),
    "refused, and never there": facts(transfer=REVIEWED, payouts=(REFUSED,), payments=()),
    "completed by a late word, reviewed before": facts(),
    "a payment just accepted whose submission we have not read": facts(
        transfer=FUNDED, payouts=(REQUESTED,), payments=(replace(IN_PROGRESS, accepted_at=JUST_NOW),)
    ),
    "a second payment that was rejected": facts(payments=(PAYMENT, replace(SECOND, status="RJCT"))),
}  # fmt: skip


@pytest.mark.parametrize("agreeing", AGREEING)
def test_what_agrees_is_no_issue(agreeing: str) -> None:
    assert compare(AGREEING[agreeing], CUTOFFS) == ()


def route(**changed: Any) -> Route:
    amounts = {"bank:GBP": 100_00}
    said = Route(route_id=ROUTE, transfer_id=TRANSFER, observed=amounts, collected=amounts, collected_before=amounts)
    return replace(said, **changed)


def test_a_route_whose_books_agree_is_no_issue() -> None:
    assert compare_route(route()) == ()
    assert compare_route(route(observed={}, collected_before={})) == (), "its report is on its way"


def test_money_that_was_collected_and_never_reported() -> None:
    (issue,) = compare_route(route(observed={"bank:GBP": 40_00}))
    assert (issue.code, issue.expected_minor, issue.actual_minor) == (Code.COLLECTED_NOT_OBSERVED, 100_00, 40_00)
    assert (issue.subject, issue.transfer_id, issue.currency) == (str(ROUTE), TRANSFER, "GBP")


def test_money_that_was_reported_and_never_collected() -> None:
    (issue,) = compare_route(route(observed={"bank:GBP": 150_00}))
    assert (issue.code, issue.expected_minor, issue.actual_minor) == (Code.OBSERVED_NOT_COLLECTED, 100_00, 150_00)


def test_a_payment_that_names_no_transfer() -> None:
    issue = stray_payment(
        Payment(payment_id="x", amount_minor=5, currency="ETB", status="ACSC", accepted_at=LONG_AGO, settled_at=None)
    )
    assert (issue.code, issue.actual_minor, issue.transfer_id) == (Code.PROVIDER_UNKNOWN_PAYMENT, 5, None)


def test_deposits_of_nobody_are_compared_with_the_ledger_by_partner_and_currency() -> None:
    booked = {"deposit.observed": {"safeguarding:a:GBP": 5, "suspense:deposits:GBP": -5, "safeguarding:a:USD": 0}}
    assert unattributed({"a:GBP": 5}, booked) == ()
    (found,) = unattributed({"a:GBP": 5, "b:GBP": 1}, booked)
    assert (found.code, found.subject, found.expected_minor, found.actual_minor) == (
        Code.UNATTRIBUTED_DIFFERS, "b:GBP", 1, 0,
    )  # fmt: skip


def test_an_entry_of_nobody_that_nothing_explains_is_said() -> None:
    settled = {"payout_clearing:ETB": 7, "partner_float:bank:ETB": -7}
    (found,) = unattributed({}, {"payout.confirmed": settled})
    assert (found.code, found.subject, found.currency) == (Code.UNATTRIBUTED_DIFFERS, "payout.confirmed", "ETB")
    assert unattributed({}, {"payout.confirmed": {"payout_clearing:ETB": 0}}) == ()  # reversed
    taken = {"safeguarding:a:GBP": 5, "revenue:fees:GBP": -5}
    (found,) = unattributed({"a:GBP": 5}, {"deposit.observed": taken})
    assert (found.subject, found.details.count("; ")) == ("deposit.observed", 1)


def test_a_parked_reader_is_said() -> None:
    assert parked("reconciliation.payouts.v1", 2).code is Code.READER_PARKED


def test_the_same_difference_is_the_same_issue_and_another_is_another() -> None:
    first, again = (compare(facts(payments=()), CUTOFFS)[0] for _ in range(2))
    other = compare(facts(payments=(replace(PAYMENT, amount_minor=7),)), CUTOFFS)[0]
    third = compare(facts(payments=(replace(PAYMENT, amount_minor=8),)), CUTOFFS)[0]
    assert first.issue_id == again.issue_id
    assert len({first.issue_id, other.issue_id, third.issue_id}) == 3


def test_every_code_has_been_planted() -> None:
    planted = {code for _, code, _, _ in PLANTED.values()}
    routes = {Code.COLLECTED_NOT_OBSERVED, Code.OBSERVED_NOT_COLLECTED}
    statements = {Code.STATEMENT_DOES_NOT_ADD_UP, Code.STATEMENT_LINES_PARKED, Code.STATEMENT_GAP}  # intake finds them
    assert planted | routes | statements | OF_THE_WHOLE == set(Code)
