"""The accounting of the loop, and what makes an entry an entry."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from contracts.deposit.v1 import DepositObserved
from contracts.ledger.v1 import EntryPosted, Posting
from contracts.payout.v1 import PayoutConfirmed
from contracts.transfer.v1 import FundingConfirmed, PayoutInitiated
from services.kernel.decider import Ask, Cause
from services.kernel.ids import derive
from services.kernel.money import Money, iso4217
from services.kernel.sealed import Sealed
from services.ledger.domain import chart, entries, templates
from services.ledger.handlers import CONSUMES, decider
from tests.support.spec import Spec

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPEC = Spec(decider(), AT)
given = SPEC.given
TRANSFER, CUSTOMER, ROUTE, PAYOUT = UUID(int=1), UUID(int=2), UUID(int=3), UUID(int=4)
BOX = Sealed(CUSTOMER, 1, "box")


def gbp(minor: int) -> Money:
    return Money(minor, iso4217("GBP"))


def etb(minor: int) -> Money:
    return Money(minor, iso4217("ETB"))


OBSERVED = DepositObserved(
    route_id=ROUTE, route="RF18", transfer_id=TRANSFER, arrival_id=UUID(int=5), partner="barclays", reference="B-1",
    amount=gbp(10_000), booked_at=AT, observed_at=AT,
)  # fmt: skip
FUNDED = FundingConfirmed(
    transfer_id=TRANSFER, customer_id=CUSTOMER, route_id=ROUTE, received=gbp(10_000), send=gbp(10_000),
    receive=etb(2_000_000), rail="bank", partner="dashen", creditor_name=BOX, creditor_account=BOX, confirmed_at=AT,
)  # fmt: skip
INITIATED = PayoutInitiated(
    transfer_id=TRANSFER, customer_id=CUSTOMER, payout_id=PAYOUT, send=gbp(10_000), fee=gbp(200), spread=gbp(50),
    converted=gbp(9_750), receive=etb(2_000_000), initiated_at=AT,
)  # fmt: skip
CONFIRMED = PayoutConfirmed(
    payout_id=PAYOUT, transfer_id=TRANSFER, customer_id=CUSTOMER, amount=etb(2_000_000), partner="dashen",
    partner_reference="P-1", settled_at=AT, confirmed_at=AT,
)  # fmt: skip
LOOP = (OBSERVED, FUNDED, INITIATED, CONFIRMED)
HELD = f"customer:{CUSTOMER}:held:GBP"


def cause(event: Any, number: int = 100) -> Cause:
    return Cause(UUID(int=number), type(event).type, TRANSFER, 1, "tenant", TRANSFER, AT)


def ask(event: Any) -> Ask:
    (only,) = CONSUMES[type(event)](event, cause(event))
    return only


def entry(event: Any) -> EntryPosted:
    (only,) = given().when(ask(event).command).decide()
    assert isinstance(only, EntryPosted)
    return only


def lines(event: Any) -> list[tuple[str, str, str]]:
    return [(line.side, line.account, str(line.amount)) for line in entry(event).lines]


def books(*events: Any) -> dict[str, int]:
    """Credits less debits in minor units by account; accounts at zero are left out."""
    sums: Counter[str] = Counter()
    for event in events:
        for line in entry(event).lines:
            sums[line.account] += line.amount.minor if line.side == "credit" else -line.amount.minor
    return {account: minor for account, minor in sums.items() if minor}


DONE = {
    "safeguarding:barclays:GBP": -10_000, "revenue:fees:GBP": 200, "revenue:fx:GBP": 50, "fx_position:GBP": 9_750,
    "fx_position:ETB": -2_000_000, "partner_float:dashen:ETB": 2_000_000,
}  # fmt: skip


# what each fact posts


def test_cash_that_arrives_is_ours_to_explain() -> None:
    assert lines(OBSERVED) == [
        ("debit", "safeguarding:barclays:GBP", "100.00 GBP"),
        ("credit", "suspense:deposits:GBP", "100.00 GBP"),
    ]


def test_confirmed_funding_is_held_for_the_customer() -> None:
    assert lines(FUNDED) == [("debit", "suspense:deposits:GBP", "100.00 GBP"), ("credit", HELD, "100.00 GBP")]


def test_what_is_short_inside_the_tolerance_is_our_loss() -> None:
    assert lines(replace(FUNDED, received=gbp(9_999))) == [
        ("debit", "suspense:deposits:GBP", "99.99 GBP"),
        ("debit", "loss:tolerance:GBP", "0.01 GBP"),
        ("credit", HELD, "100.00 GBP"),
    ]


def test_what_is_over_inside_the_tolerance_is_our_revenue() -> None:
    assert lines(replace(FUNDED, received=gbp(10_001))) == [
        ("debit", "suspense:deposits:GBP", "100.01 GBP"),
        ("credit", HELD, "100.00 GBP"),
        ("credit", "revenue:tolerance:GBP", "0.01 GBP"),
    ]


def test_an_initiated_payout_uses_what_is_held_and_shows_fee_spread_and_both_sides_of_the_exchange() -> None:
    assert lines(INITIATED) == [
        ("debit", HELD, "100.00 GBP"),
        ("credit", "revenue:fees:GBP", "2.00 GBP"),
        ("credit", "revenue:fx:GBP", "0.50 GBP"),
        ("credit", "fx_position:GBP", "97.50 GBP"),
        ("debit", "fx_position:ETB", "20000.00 ETB"),
        ("credit", "payout_clearing:ETB", "20000.00 ETB"),
    ]


def test_a_confirmed_payout_left_our_float() -> None:
    assert lines(CONFIRMED) == [
        ("debit", "payout_clearing:ETB", "20000.00 ETB"),
        ("credit", "partner_float:dashen:ETB", "20000.00 ETB"),
    ]


def test_lines_of_nothing_are_left_out() -> None:
    free = replace(INITIATED, fee=gbp(0), spread=gbp(0), converted=gbp(10_000))
    assert [account for _, account, _ in lines(free)] == [
        HELD, "fx_position:GBP", "fx_position:ETB", "payout_clearing:ETB",
    ]  # fmt: skip


def test_a_deposit_of_nothing_makes_no_entry() -> None:
    assert CONSUMES[DepositObserved](replace(OBSERVED, amount=gbp(0)), cause(OBSERVED)) == ()


def test_a_send_and_receive_in_one_currency_balances_too() -> None:
    assert books(OBSERVED, FUNDED, replace(INITIATED, receive=gbp(9_750)), replace(CONFIRMED, amount=gbp(9_750))) == {
        "safeguarding:barclays:GBP": -10_000, "revenue:fees:GBP": 200, "revenue:fx:GBP": 50,
        "partner_float:dashen:GBP": 9_750,
    }  # fmt: skip


# with numbers


@pytest.mark.parametrize("order", list(permutations(LOOP)))
def test_the_loop_ends_the_same_in_whatever_order_the_topics_are_read(order: tuple[Any, ...]) -> None:
    assert books(*order) == DONE


def test_each_currency_sums_to_zero_after_each_step() -> None:
    for step in range(1, 5):
        by_currency: Counter[str] = Counter()
        for account, minor in books(*LOOP[:step]).items():
            by_currency[account[-3:]] += minor
        assert not any(by_currency.values())


# ids


def test_one_cause_and_kind_is_one_entry() -> None:
    assert ask(OBSERVED).stream_id == derive("entry", UUID(int=100), "deposit.observed")
    given(entry(OBSERVED)).when(ask(OBSERVED).command).then_nothing()


def test_an_entry_names_its_cause_and_its_transfer() -> None:
    posted = entry(FUNDED)
    assert (posted.entry_id, posted.cause_id) == (ask(FUNDED).stream_id, UUID(int=100))
    assert (posted.transfer_id, posted.caused_at, posted.posted_at) == (TRANSFER, AT, AT)


def test_a_record_is_keyed_by_its_transfer_or_else_by_itself() -> None:
    key_of = decider().key_of
    assert key_of is not None
    stray = entry(replace(OBSERVED, transfer_id=None))
    assert (key_of(entry(OBSERVED)), key_of(stray)) == (TRANSFER, stray.entry_id)


def test_the_table_of_states_is_what_is_decided() -> None:
    ((before, event, after, deadline),) = entries.TRANSITIONS
    assert (before, event, after, deadline) == ("-", EntryPosted, entries.Posted.state, "")


# what is no entry


DEBIT = Posting(account="safeguarding:x:GBP", side="debit", amount=gbp(5))
CREDIT = Posting(account="suspense:deposits:GBP", side="credit", amount=gbp(5))


def test_two_lines_that_balance_are_an_entry() -> None:
    entries.check((DEBIT, CREDIT))


@pytest.mark.parametrize(
    "wrong",
    [
        (),
        (DEBIT,),
        (DEBIT, replace(CREDIT, amount=gbp(4))),
        (DEBIT, replace(CREDIT, side="debit")),
        (DEBIT, CREDIT, replace(DEBIT, amount=gbp(0))),
        (DEBIT, replace(CREDIT, account="suspense:deposits:ETB", amount=etb(5))),
        (DEBIT, replace(CREDIT, account="suspense:deposits:ETB")),
        (replace(DEBIT, account="safeguarding:x:ETB", amount=etb(5)), replace(CREDIT, amount=gbp(5))),
    ],
)
def test_what_does_not_balance_in_each_currency_is_our_bug(wrong: tuple[Posting, ...]) -> None:
    with pytest.raises(AssertionError):
        given().when(replace(ask(OBSERVED).command, lines=wrong)).decide()


def test_an_account_outside_the_chart_is_our_bug() -> None:
    with pytest.raises(KeyError):
        entries.check((DEBIT, replace(CREDIT, account="pocket:GBP")))


# the chart


@pytest.mark.parametrize("account", [leg.account for legs in templates.POSTINGS.values() for leg in legs])
def test_every_account_that_is_posted_to_is_in_the_chart(account: str) -> None:
    assert chart.account_kind(account.format(partner="p", customer="c") + ":GBP") in chart.CHART


def test_customers_money_is_protected_and_nothing_else_is() -> None:
    assert [line.kind for line in chart.CHART if line.protected] == ["customer"]
    assert chart.account_kind(HELD).protected


# whatever the amounts

MINOR = st.integers(0, 10**12)


@hypothesis_given(received=MINOR, send=MINOR, fee=MINOR, spread=MINOR, converted=MINOR, receive=MINOR)
def test_every_entry_balances_in_each_currency(
    received: int, send: int, fee: int, spread: int, converted: int, receive: int
) -> None:
    priced = replace(INITIATED, fee=gbp(fee), spread=gbp(spread), converted=gbp(converted))
    events = (
        replace(OBSERVED, amount=gbp(received)),
        replace(FUNDED, received=gbp(received), send=gbp(send)),
        replace(priced, send=gbp(fee + spread + converted), receive=etb(receive)),
        replace(CONFIRMED, amount=etb(receive)),
    )
    for event in events:
        for made in CONSUMES[type(event)](event, cause(event)):
            (posted,) = given().when(made.command).decide()
            assert not any(entries.imbalance(posted.lines).values())
            assert all(line.amount for line in posted.lines)
