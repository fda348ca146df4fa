"""Lists of the books, page by page: statements, entries, accounts."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest

from services.kernel import book_entries
from services.ledger.api import statement
from tests.integration.ledger.reading import (
    BANK,
    HELD,
    SUSPENSE,
    Desk,
    close_block,
    deposit,
    funded,
    line,
    lines_of,
    opened,
)


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Desk]:
    async with opened(database) as made:
        yield made


# statements


async def test_a_statement_runs_from_its_opening_to_its_closing_over_all_pages(desk: Desk, database: str) -> None:
    await desk.post(*(lines_of("many", minor) for minor in range(1, 8)))
    await close_block(database)
    await desk.post(*(lines_of("use", minor) for minor in range(1, 4)))
    whole = await desk.json(f"/accounts/{BANK}/statement", limit=200)
    assert len(whole["items"]) == 7 * 4 + 3
    assert whole["opening"] == {
        "entry_seq": 0,
        "posted_at": None,
        "debit_minor": 0,
        "credit_minor": 0,
        "balance_minor": 0,
    }
    assert whole["items"][-1]["balance_minor"] == whole["closing"]["balance_minor"]
    for limit in (1, 2, 3, 31):
        assert await desk.walk(f"/accounts/{BANK}/statement", limit=limit) == whole["items"]
    running = 0
    for each in whole["items"]:
        running += each["amount_minor"] if each["side"] == "debit" else -each["amount_minor"]
        assert each["balance_minor"] == running


async def test_statements_behind_each_other_leave_nothing_out(desk: Desk) -> None:
    for minor in range(1, 8):
        await desk.post(deposit(minor))
    cuts = [0, 2, 5, 7]
    parts = [await desk.json(f"/accounts/{SUSPENSE}/statement", since=since, until=until)
             for since, until in pairwise(cuts)]  # fmt: skip
    assert [each["amount_minor"] for part in parts for each in part["items"]] == [1, 2, 3, 4, 5, 6, 7]
    assert [part["opening"] for part in parts[1:]] == [part["closing"] for part in parts[:-1]]
    times = [part["closing"]["posted_at"] for part in parts]
    by_time = await desk.json(f"/accounts/{SUSPENSE}/statement", since=times[0], until=times[1])
    assert (by_time["opening"], by_time["closing"]) == (parts[1]["opening"], parts[1]["closing"])


async def test_what_is_posted_between_two_pages_is_on_none_of_them(desk: Desk) -> None:
    await desk.post(deposit(1), deposit(2), deposit(3))
    page = await desk.json(f"/accounts/{BANK}/statement", limit=2)
    await desk.post(deposit(1000))
    rest = await desk.json(f"/accounts/{BANK}/statement", limit=2, cursor=page["next_cursor"])
    assert [each["amount_minor"] for each in page["items"] + rest["items"]] == [1, 2, 3]
    assert rest["closing"] == page["closing"]
    assert rest["next_cursor"] is None


async def test_a_cursor_is_for_its_account_caller_and_filter_alone(desk: Desk) -> None:
    await desk.post(deposit(1), deposit(2))
    page = await desk.json(f"/accounts/{BANK}/statement", limit=1)
    asked: dict[str, Any] = {"cursor": page["next_cursor"]}
    for path, who, more in (
        (f"/accounts/{SUSPENSE}/statement", "olga", {}),
        (f"/accounts/{BANK}/statement", "adam", {}),
        (f"/accounts/{BANK}/statement", "olga", {"since": "1"}),
        ("/entries", "olga", {}),
        ("/accounts", "olga", {}),
    ):
        answer = await desk.get(path, who=who, **asked, **more)
        assert (answer.status, answer.json["code"]) == (400, "CURSOR_INVALID")


async def test_a_whole_statement_comes_as_csv(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statement, "CSV_LINES", 3)
    await desk.post(*(deposit(minor) for minor in range(1, 9)))
    parts = await desk.stream(f"/accounts/{BANK}/statement", since=1)
    assert max(part.count(b"\n") for part in parts) == 3
    rows = rows_of(parts)
    assert [row["row"] for row in rows] == ["opening", *["line"] * 7, "closing"]
    assert [int(row["balance_minor"]) for row in rows] == [1, 3, 6, 10, 15, 21, 28, 36, 36]
    items = (await desk.json(f"/accounts/{BANK}/statement", since=1))["items"]
    assert [(row["entry_id"], row["cause_id"], row["line"]) for row in rows[1:-1]] == [
        (each["entry_id"], each["cause_id"], str(each["line"])) for each in items
    ]


async def test_a_csv_that_is_too_long_says_where_it_goes_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statement.Statement.rows, "__defaults__", (4,))
    await desk.post(*(deposit(1) for _ in range(10)))
    found: list[dict[str, str]] = []
    cursor: dict[str, str] = {}
    for _ in range(3):
        rows = rows_of(await desk.stream(f"/accounts/{BANK}/statement", **cursor))
        found += [row for row in rows if row["row"] != "more"]
        cursor = {"cursor": rows[-1]["next_cursor"]}
    assert [row["row"] for row in found] == ["opening", *["line"] * 10, "closing"]
    assert [int(row["balance_minor"]) for row in found] == [*range(11), 10]


async def test_one_whole_statement_at_a_time(desk: Desk) -> None:
    await desk.post(deposit(1))
    async with desk.books.exports:
        answer = await desk.get(f"/accounts/{BANK}/statement", accept="text/csv")
    assert (answer.status, answer.json["code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    assert len(rows_of(await desk.stream(f"/accounts/{BANK}/statement"))) == 3


def rows_of(parts: list[bytes]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(b"".join(parts).decode())))


# entries


async def test_an_entry_comes_with_its_lines_and_the_event_that_says_it(desk: Desk) -> None:
    transfer, cause = uuid4(), uuid4()
    (entry_id,) = await desk.post(funded("c", 5), cause=cause, transfer=transfer)
    found = await desk.json(f"/entries/{entry_id}")
    assert (found["entry_seq"], found["cause_id"], found["transfer_id"]) == (1, str(cause), str(transfer))
    assert [(each["side"], each["account_id"], each["amount_minor"]) for each in found["lines"]] == [
        ("debit", SUSPENSE, 5), ("credit", HELD, 5)
    ]  # fmt: skip
    ((event_id, stored),) = await desk.store.fetch("SELECT event_id, hash FROM event WHERE stream_id = $1", entry_id)
    assert (found["event"]["event_id"], found["event"]["hash"]) == (str(event_id), stored.hex())
    assert found["event"]["correlation_id"] == str(transfer)


async def test_entries_are_listed_newest_first_by_what_they_have(desk: Desk) -> None:
    transfer, cause = uuid4(), uuid4()
    await desk.post(deposit(1), deposit(2), deposit(3))
    await desk.post(funded("c", 4), cause=cause, transfer=transfer, kind="transfer.funding_confirmed")
    await desk.post(deposit(5))
    for limit in (1, 2, 50):
        for query, wanted in (
            ({}, [5, 4, 3, 2, 1]),
            ({"transfer_id": transfer}, [4]),
            ({"cause_id": cause}, [4]),
            ({"kind": "deposit.observed"}, [5, 3, 2, 1]),
            ({"account_id": BANK}, [5, 3, 2, 1]),
            ({"account_id": HELD}, [4]),
            ({"account_id": BANK, "kind": "transfer.funding_confirmed"}, []),
            ({"since": 1, "until": 4}, [4, 3, 2]),
            ({"account_id": SUSPENSE, "since": 3}, [5, 4]),
        ):
            found = await desk.walk("/entries", limit=limit, **query)
            assert [each["entry_seq"] for each in found] == wanted, (query, limit)


async def test_a_page_looks_at_so_many_entries_and_no_more(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_entries, "SCANNED_MAX", 3)
    await desk.post(*(deposit(1) for _ in range(4)))
    await desk.post(funded("c", 1), kind="transfer.funding_confirmed")
    await desk.post(*(deposit(1) for _ in range(5)))
    for query in ({}, {"account_id": SUSPENSE}):
        page = await desk.json("/entries", kind="transfer.funding_confirmed", **query)
        assert (page["items"], page["next_cursor"] is None) == ([], False)
        found = await desk.walk("/entries", kind="transfer.funding_confirmed", **query)
        assert [each["entry_seq"] for each in found] == [5]
        assert [each["entry_seq"] for each in await desk.walk("/entries", **query)] == list(range(10, 0, -1))


# accounts


async def test_accounts_are_listed_by_kind_owner_and_currency(desk: Desk) -> None:
    etb = (line("debit", "fx_position:ETB", 9), line("credit", "payout_clearing:ETB", 9))
    await desk.post(deposit(5), *(funded(f"c{number}", 1) for number in range(3)), etb)
    held = [f"customer:c{number}:held:GBP" for number in range(3)]
    for limit in (1, 2, 50):
        for query, wanted in (
            ({}, [*held, "fx_position:ETB", "payout_clearing:ETB", BANK, SUSPENSE]),
            ({"kind": "customer"}, held),
            ({"owner": "customer"}, held),
            ({"owner": "partner"}, [BANK]),
            ({"owner": "corridor"}, ["fx_position:ETB", "payout_clearing:ETB", SUSPENSE]),
            ({"owner": "corridor", "currency": "GBP"}, [SUSPENSE]),
            ({"kind": "customer", "owner": "partner"}, []),
            ({"currency": "ETB"}, ["fx_position:ETB", "payout_clearing:ETB"]),
        ):
            found = await desk.walk("/accounts", limit=limit, **query)
            assert [each["account_id"] for each in found] == wanted, (query, limit)
    listed = (await desk.json("/accounts", kind="customer"))["items"][0]
    one = await desk.json(f"/accounts/{held[0]}")
    assert listed == {name: one[name] for name in listed}
