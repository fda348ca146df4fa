"""What the books answer: balances now and as of any moment, statements, entries, lists, the trial balance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.kernel import book_moments
from services.kernel.book_balances import balances, position
from services.kernel.book_moments import BEGINNING, Moment, moment
from services.kernel.book_trial import trial
from services.ledger.domain.chart import CHART
from tests.integration.ledger.reading import (
    AVAILABLE,
    BANK,
    FX,
    HELD,
    SUSPENSE,
    Desk,
    close_block,
    deposit,
    funded,
    lines_of,
    opened,
    owner,
)

ACCOUNTS = (BANK, SUSPENSE, HELD, AVAILABLE, FX)


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Desk]:
    async with opened(database) as made:
        yield made


# moments


async def test_the_books_before_the_first_entry(desk: Desk) -> None:
    assert await moment(desk.store, None) == BEGINNING
    assert await moment(desk.store, datetime.fromisoformat("2026-01-01T00:00Z")) == BEGINNING
    found = await desk.json("/trial-balance")
    assert found == {"as_of": {"entry_seq": 0, "posted_at": None}, "currencies": [], "kinds": [], "accounts": []}


async def test_a_moment_is_found_by_number_entry_cause_and_the_entry_s_own_event(desk: Desk) -> None:
    cause = uuid4()
    await desk.post(deposit(1))
    (entry_id,) = await desk.post(deposit(2), cause=cause)
    await desk.post(deposit(3))
    ((event_id,),) = await desk.store.fetch("SELECT event_id FROM event WHERE stream_id = $1", entry_id)
    for wanted in (2, cause, entry_id, event_id):
        found = await moment(desk.store, wanted)
        assert found is not None
        assert found.entry_seq == 2
    for unknown in (4, uuid4()):
        assert await moment(desk.store, unknown) is None


async def test_an_event_that_caused_several_entries_means_the_last_of_them(desk: Desk) -> None:
    cause = uuid4()
    await desk.post(deposit(1), cause=cause)
    await desk.post(deposit(1), cause=cause, kind="ledger.adjusted")
    assert (await desk.json(f"/accounts/{BANK}", as_of=cause))["debit_minor"] == 2


async def test_every_time_names_the_last_entry_posted_at_or_before_it(desk: Desk) -> None:
    for number in range(9):
        await desk.post(*[deposit(1)] * (number % 3 + 1))
    rows = await desk.store.fetch("SELECT entry_seq, posted_at FROM entry ORDER BY 1")
    assert len(rows) == 18
    for _, at in rows:
        for wanted in (at - timedelta(microseconds=1), at, at + timedelta(microseconds=1)):
            last = max((seq for seq, posted in rows if posted <= wanted), default=0)
            found = await moment(desk.store, wanted)
            assert found is not None
            assert found.entry_seq == last


async def test_an_entry_whose_lane_committed_late_is_not_left_out(desk: Desk, database: str) -> None:
    for _ in range(6):
        await desk.post(deposit(1))
    late = "UPDATE entry SET posted_at = (SELECT posted_at FROM entry WHERE entry_seq = {}) WHERE entry_seq = {}"
    unguarded = "SET session_replication_role = replica; ALTER TABLE entry DISABLE TRIGGER ALL"
    await owner(database, f"{unguarded}; {late.format(2, 5)}; ALTER TABLE entry ENABLE TRIGGER ALL")
    ((at,),) = await desk.store.fetch("SELECT posted_at FROM entry WHERE entry_seq = 2")
    found = await moment(desk.store, at)
    assert found == Moment(entry_seq=5, posted_at=at)


# balances as of, and what they are made of

MOVES = st.lists(
    st.tuples(st.sampled_from(["deposit", "held", "available", "use", "many"]), st.integers(1, 10**9), st.booleans()),
    min_size=1, max_size=25,
)  # fmt: skip


@given(moves=MOVES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_as_of_every_prefix_a_balance_is_the_sum_of_the_postings_up_to_there(database: str, moves: Any) -> None:
    asyncio.run(_every_prefix(database, moves))


async def _every_prefix(dsn: str, moves: list[tuple[str, int, bool]]) -> None:
    async with opened(dsn) as desk:
        for move, minor, closes in moves:
            await desk.post(lines_of(move, minor))
            if closes:
                await close_block(dsn)
        postings = await desk.store.fetch("SELECT * FROM posting ORDER BY entry_seq, line")
        for number in range(len(moves) + 1):
            await _as_summed(desk, postings, number)
        for each in postings:
            behind = (each["entry_seq"], each["line"])
            up_to = [row for row in postings if (row["entry_seq"], row["line"]) <= behind]
            assert await position(desk.store, BANK, *behind) == summed(up_to, BANK)


async def _as_summed(desk: Desk, postings: list[Any], number: int) -> None:
    up_to = [row for row in postings if row["entry_seq"] <= number]
    at = Moment(entry_seq=number, posted_at=None)
    found = await balances(desk.store, ACCOUNTS, at)
    for account in ACCOUNTS:
        assert sides(found.get(account)) == summed(up_to, account)
    books = await trial(desk.store, at)
    assert {one.currency: (one.debit_minor, one.credit_minor) for one in books.totals} == (
        {"GBP": summed(up_to)} if up_to else {}
    )
    assert {row.account_id: (row.debit_minor, row.credit_minor) for row in books.rows if row.account_id} == {
        account: summed(up_to, account)
        for account in (BANK, SUSPENSE, FX) if any(row["account_id"] == account for row in up_to)
    }  # fmt: skip
    customers = [row for row in up_to if row["account_id"].startswith("customer:")]
    assert [(one.debit_minor, one.credit_minor, one.accounts) for one in books.kinds if one.kind == "customer"] == (
        [(*summed(customers), len({row["account_id"] for row in customers}))] if customers else []
    )


def sides(found: Any) -> tuple[int, int]:
    return (found.debit_minor, found.credit_minor) if found else (0, 0)


def summed(postings: list[Any], account: str | None = None) -> tuple[int, int]:
    of = [row for row in postings if account in {None, row["account_id"]}]
    return (
        sum(row["amount_minor"] for row in of if row["side"] == "debit"),
        sum(row["amount_minor"] for row in of if row["side"] == "credit"),
    )


async def test_now_and_as_of_the_last_entry_are_the_same(desk: Desk, database: str) -> None:
    await desk.post(deposit(500), funded("c", 300), funded("d", 50, "available"))
    await close_block(database)
    await desk.post(deposit(70), funded("c", 7))
    head = (await desk.json("/trial-balance"))["as_of"]["entry_seq"]
    assert head == 5
    assert await desk.json("/trial-balance") == await desk.json("/trial-balance", as_of=head)
    for account in (BANK, SUSPENSE, HELD):
        assert await desk.json(f"/accounts/{account}") == await desk.json(f"/accounts/{account}", as_of=head)


async def test_a_checkpoint_is_what_an_as_of_begins_from(desk: Desk, database: str) -> None:
    await desk.post(deposit(500))
    await close_block(database)
    await desk.post(deposit(70))
    await owner(database, "SET session_replication_role = replica; ALTER TABLE balance_at DISABLE TRIGGER ALL;"
                "UPDATE balance_at SET debit_minor = debit_minor + 1000000")  # fmt: skip
    assert (await desk.json(f"/accounts/{BANK}", as_of=2))["debit_minor"] == 1_000_570


# an account


async def test_an_account_says_its_side_its_balance_and_the_event_that_made_it_so(desk: Desk) -> None:
    transfer, cause = uuid4(), uuid4()
    await desk.post(deposit(500))
    (entry_id,) = await desk.post(funded("c", 300), cause=cause, transfer=transfer, kind="transfer.funding_confirmed")
    found = await desk.json(f"/accounts/{SUSPENSE}")
    assert (found["normal_side"], found["debit_minor"], found["credit_minor"], found["balance_minor"]) == (
        "credit", 300, 500, 200
    )  # fmt: skip
    assert (found["kind"], found["owner"], found["wallet"]) == ("suspense:deposits", "corridor", None)
    assert found["cause"] == {
        "entry_id": str(entry_id), "entry_seq": 2, "kind": "transfer.funding_confirmed", "cause_id": str(cause),
        "transfer_id": str(transfer), "posted_at": found["as_of"]["posted_at"],
        "links": {"entry": f"/v1/ledger/entries/{entry_id}",
                  "timeline": f"/v1/reviews/transfers/{transfer}/timeline"},
    }  # fmt: skip
    before = await desk.json(f"/accounts/{SUSPENSE}", as_of=1)
    assert (before["balance_minor"], before["cause"]["entry_seq"], before["as_of"]["entry_seq"]) == (500, 1, 1)
    never = await desk.json(f"/accounts/{SUSPENSE}", as_of=0)
    assert (never["balance_minor"], never["cause"]) == (0, None)


async def test_a_customer_s_account_shows_what_is_available_and_what_is_held(desk: Desk) -> None:
    await desk.post(funded("c", 300, "available"), funded("c", 70), funded("d", 9))
    for account in (HELD, AVAILABLE):
        assert (await desk.json(f"/accounts/{account}"))["wallet"] == {"available_minor": 300, "held_minor": 70}
    assert (await desk.json(f"/accounts/{HELD}", as_of=1))["wallet"] == {"available_minor": 300, "held_minor": 0}
    assert (await desk.json("/accounts/customer:d:held:GBP"))["wallet"] == {"available_minor": 0, "held_minor": 9}


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        ("/accounts/nobody:GBP", {}, 404, "ACCOUNT_NOT_FOUND"),
        ("/accounts/a%00b", {}, 404, "ACCOUNT_NOT_FOUND"),
        ("/accounts/nobody:GBP/statement", {}, 404, "ACCOUNT_NOT_FOUND"),
        (f"/accounts/{BANK}", {"as_of": "99"}, 404, "MOMENT_NOT_FOUND"),
        (f"/accounts/{BANK}", {"as_of": str(UUID(int=9))}, 404, "MOMENT_NOT_FOUND"),
        (f"/accounts/{BANK}", {"as_of": "yesterday"}, 400, "INVALID_QUERY"),
        (f"/accounts/{BANK}", {"as_of": "2026-03-01T12:00:00"}, 400, "INVALID_QUERY"),
        (f"/accounts/{BANK}", {"as_of": "9" * 16}, 400, "INVALID_QUERY"),
        (f"/accounts/{BANK}/statement", {"since": "2", "until": "1"}, 400, "INVALID_QUERY"),
        (f"/accounts/{BANK}/statement", {"limit": "201"}, 400, "INVALID_QUERY"),
        (f"/accounts/{BANK}/statement", {"cursor": "x"}, 400, "CURSOR_INVALID"),
        ("/accounts", {"kind": "no_such"}, 400, "INVALID_QUERY"),
        ("/entries", {"until": "99"}, 404, "MOMENT_NOT_FOUND"),
        (f"/entries/{UUID(int=9)}", {}, 404, "ENTRY_NOT_FOUND"),
        ("/trial-balance", {"as_of": "99"}, 404, "MOMENT_NOT_FOUND"),
    ],
)
async def test_what_is_not_there_is_said_by_name(desk: Desk, path: str, query: Any, status: int, code: str) -> None:
    await desk.post(deposit(1), deposit(2))
    answer = await desk.get(path, **query)
    assert (answer.status, answer.json["code"]) == (status, code)


PATHS = ["/accounts", f"/accounts/{BANK}", f"/accounts/{BANK}/statement", "/entries", f"/entries/{UUID(int=9)}",
         f"/transfers/{UUID(int=9)}/entries", "/trial-balance"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
async def test_no_customer_reads_the_books(desk: Desk, path: str) -> None:
    assert (await desk.get(path, who="anna")).status == 403


# the trial balance


async def test_the_trial_balance_writes_its_zero_out_and_keeps_customers_together(desk: Desk) -> None:
    await desk.post(deposit(500), *(funded(f"c{number}", 10) for number in range(3)))
    found = await desk.json("/trial-balance")
    assert found["currencies"] == [{"currency": "GBP", "debit_minor": 530, "credit_minor": 530, "difference_minor": 0}]
    assert [each["account_id"] for each in found["accounts"]] == [BANK, SUSPENSE]
    (customers,) = [each for each in found["kinds"] if each["kind"] == "customer"]
    assert (customers["accounts"], customers["credit_minor"], customers["balance_minor"]) == (3, 30, 30)
    for side in ("debit_minor", "credit_minor"):
        assert sum(each[side] for each in found["kinds"]) == 530


async def test_a_broken_balance_shows_in_the_trial_balance(desk: Desk, database: str) -> None:
    await desk.post(deposit(500))
    await owner(database, f"UPDATE balance SET debit_minor = debit_minor + 7 WHERE account_id = '{BANK}'")  # noqa: S608 - ours
    assert [each["difference_minor"] for each in (await desk.json("/trial-balance"))["currencies"]] == [7]


def test_a_kind_of_customers_is_one_word_as_the_trial_balance_believes() -> None:
    assert [line.kind for line in CHART if line.owner == "customer" and ":" in line.kind] == []


def test_stragglers_are_looked_for_behind_more_than_all_lanes_have_in_hand() -> None:
    assert book_moments.STRAGGLERS_MAX >= 500 * 4
