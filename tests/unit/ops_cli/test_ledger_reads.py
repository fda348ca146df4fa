"""ops-cli ledger: accounts, statements, entries, as a person and as a script see them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.ops_cli.conftest import Asked, Door, Ran, Said

Ops = Callable[..., Ran]
AT = "2026-01-31T12:00:00Z"
BANK = "safeguarding:bank:GBP"
PATH = f"/v1/ledger/accounts/{BANK}"
ACCOUNT: dict[str, Any] = {
    "account_id": BANK, "kind": "safeguarding", "account_class": "asset", "normal_side": "debit", "owner": "partner",
    "currency": "GBP", "protected": False, "debit_minor": 570, "credit_minor": 70, "balance_minor": 500,
    "opened_at": AT,
}  # fmt: skip
CAUSE = {
    "entry_id": "e1", "entry_seq": 7, "kind": "deposit.observed", "cause_id": "c1", "transfer_id": "t1",
    "posted_at": AT, "links": {"entry": "/v1/ledger/entries/e1", "timeline": None},
}  # fmt: skip
STAND = {"entry_seq": 0, "posted_at": None, "debit_minor": 0, "credit_minor": 0, "balance_minor": 0}
LINE = CAUSE | {"line": 1, "side": "debit", "amount_minor": 500, "balance_minor": 500, "caused_at": AT}
PAGE = {
    "account_id": BANK, "currency": "GBP", "normal_side": "debit", "opening": STAND,
    "closing": STAND | {"entry_seq": 7, "balance_minor": 500}, "items": [LINE], "next_cursor": None,
}  # fmt: skip
ENTRY = CAUSE | {
    "caused_at": AT,
    "lines": [{"account_id": BANK, "side": "debit", "amount_minor": 500, "currency": "GBP"},
              {"account_id": "suspense:deposits:GBP", "side": "credit", "amount_minor": 500, "currency": "GBP"}],
}  # fmt: skip


def test_an_account_shows_its_balance_on_its_normal_side_and_the_event_that_made_it(ops: Ops, door: Door) -> None:
    door.on("GET", PATH, ACCOUNT | {"as_of": {"entry_seq": 7, "posted_at": AT}, "cause": CAUSE, "wallet": None})
    ran = ops("ledger", "account", "get", BANK)
    assert ran.code == 0
    for shown in (r"^balance +5\.00 GBP$", r"^normal side +debit$", r"^caused by event +c1$", r"^as of entry +7$"):
        assert re.search(shown, ran.out, re.MULTILINE), (shown, ran.out)


def test_a_customer_s_account_shows_what_is_available_and_held(ops: Ops, door: Door) -> None:
    wallet = {"available_minor": 300, "held_minor": 70}
    door.on("GET", PATH, ACCOUNT | {"as_of": STAND, "cause": None, "wallet": wallet})
    ran = ops("ledger", "account", "get", BANK)
    assert re.search(r"^available +3\.00 GBP$", ran.out, re.MULTILINE)
    assert re.search(r"^held +0\.70 GBP$", ran.out, re.MULTILINE)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("1234", "1234"),
        ("0195560f-2f3a-7c41-9d2e-5b7f0a8c1e0a", "0195560f-2f3a-7c41-9d2e-5b7f0a8c1e0a"),
        ("2026-01-31T13:00:00+01:00", "2026-01-31T12:00:00Z"),
    ],
)
def test_a_moment_is_a_time_a_number_or_an_id(ops: Ops, door: Door, given: str, sent: str) -> None:
    door.on("GET", PATH, ACCOUNT | {"as_of": STAND, "cause": None, "wallet": None})
    door.on("GET", "/v1/ledger/trial-balance", {"currencies": [], "kinds": [], "accounts": []})
    assert ops("ledger", "account", "get", BANK, "--as-of", given).code == 0
    assert ops("ledger", "trial-balance", "--as-of", given).code == 0
    assert [asked.query["as_of"] for asked in door.asked] == [[sent], [sent]]


def test_an_age_is_a_moment_too_and_nonsense_is_2(ops: Ops, door: Door) -> None:
    door.on("GET", f"{PATH}/statement", PAGE)
    assert ops("ledger", "account", "statement", BANK, "--since", "-2h").code == 0
    assert door.asked[0].query["since"][0].endswith("Z")
    assert ops("ledger", "account", "statement", BANK, "--since", "yesterday").code == 2


def test_accounts_are_listed_with_their_filters(ops: Ops, door: Door) -> None:
    door.on("GET", "/v1/ledger/accounts", {"items": [ACCOUNT], "next_cursor": "more"})
    ran = ops("ledger", "account", "list", "--kind", "safeguarding", "--owner", "partner", "--currency", "GBP")
    assert ran.code == 0
    assert "5.00 GBP" in ran.out
    assert "--cursor more" in ran.err
    assert door.asked[0].query == {
        "kind": ["safeguarding"], "owner": ["partner"], "currency": ["GBP"], "limit": ["50"]
    }  # fmt: skip


def test_a_statement_shows_opening_lines_and_closing(ops: Ops, door: Door) -> None:
    door.on("GET", f"{PATH}/statement", PAGE)
    ran = ops("ledger", "account", "statement", BANK)
    assert re.search(r"^opening +0\.00 GBP", ran.out, re.MULTILINE)
    assert re.search(r"deposit\.observed +Dr +5\.00 GBP +5\.00 GBP +c1", ran.out)
    assert re.search(r"^closing +5\.00 GBP", ran.out, re.MULTILINE)
    assert ops("ledger", "account", "statement", BANK, "--json").json == PAGE


def pages(asked: Asked) -> Said:
    if "cursor" not in asked.query:
        return Said(200, PAGE | {"next_cursor": "two"})
    return Said(200, PAGE | {"items": [LINE | {"entry_seq": 8}]})


def test_all_pages_of_a_statement_are_one(ops: Ops, door: Door) -> None:
    door.answers["GET", f"{PATH}/statement"] = pages
    told = ops("ledger", "account", "statement", BANK, "--all", "--json").json
    assert [each["entry_seq"] for each in told["items"]] == [7, 8]


HEAD, OPENING = "row,account_id,next_cursor", f"opening,{BANK},"
FIRST = f"{HEAD}\n{OPENING}\nline,{BANK},\nmore,{BANK},two\n"
SECOND = f"{HEAD}\nline,{BANK},\nclosing,{BANK},\n"


def exported(asked: Asked) -> Said:
    assert asked.headers["accept"] == "text/csv"
    body = SECOND if asked.query.get("cursor") == ["two"] else FIRST
    return Said(200, body.encode(), {"content-type": "text/csv"})


def test_a_whole_statement_is_written_as_it_comes_over_all_answers(ops: Ops, door: Door, tmp_path: Path) -> None:
    door.answers["GET", f"{PATH}/statement"] = exported
    ran = ops("ledger", "account", "statement", BANK, "--all", "-o", "csv")
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert [row["row"] for row in rows] == ["opening", "line", "line", "closing"]
    file = tmp_path / "statement.csv"
    assert ops("ledger", "account", "statement", BANK, "--all", "--output", str(file)).code == 0
    assert file.read_text() == ran.out


def test_a_statement_that_broke_off_is_no_file(ops: Ops, door: Door, tmp_path: Path) -> None:
    cut = f"{HEAD}\n{OPENING}\nline,{BANK},\n".encode()
    door.answers["GET", f"{PATH}/statement"] = lambda _: Said(200, cut, {"content-type": "text/csv"})
    file = tmp_path / "statement.csv"
    ran = ops("ledger", "account", "statement", BANK, "--all", "--output", str(file))
    assert ran.code == 1
    assert "broke off" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_an_account_that_is_not_there_is_5_also_for_a_whole_statement(ops: Ops, door: Door) -> None:
    door.problem("GET", PATH, 404, "ACCOUNT_NOT_FOUND")
    door.problem("GET", f"{PATH}/statement", 404, "ACCOUNT_NOT_FOUND")
    assert ops("ledger", "account", "get", BANK).code == 5
    assert ops("ledger", "account", "statement", BANK, "--all", "-o", "csv").code == 5


def test_entries_are_listed_without_a_transfer(ops: Ops, door: Door) -> None:
    found = iter([{"items": [], "next_cursor": "two"}, {"items": [ENTRY], "next_cursor": "three"}])
    door.answers["GET", "/v1/ledger/entries"] = lambda _: Said(200, next(found))
    ran = ops("ledger", "entries", "--account", BANK, "--kind", "deposit.observed", "--until", "9")
    assert re.search(rf"deposit\.observed +Dr +{BANK} +5\.00 GBP", ran.out)
    assert "--cursor three" in ran.err
    first, second = (asked.query for asked in door.asked)
    assert (first["account_id"], first["kind"], first["until"]) == ([BANK], ["deposit.observed"], ["9"])
    assert second["cursor"] == ["two"]


def test_a_transfer_s_entries_take_no_filter(ops: Ops, door: Door) -> None:
    assert ops("ledger", "entries", "t1", "--kind", "deposit.observed").code == 2
    assert door.asked == []


def test_an_entry_names_its_cause_and_the_event_that_says_it(ops: Ops, door: Door) -> None:
    said = {"event_id": "ev", "global_seq": 3, "correlation_id": "t1", "actor": "service:ledger", "reason": None,
            "recorded_at": AT, "hash": "ab" * 32}  # fmt: skip
    door.on("GET", "/v1/ledger/entries/e1", ENTRY | {"event": said})
    ran = ops("ledger", "entry", "e1")
    assert re.search(r"^caused by event +c1$", ran.out, re.MULTILINE)
    assert re.search(r"^says it +ev$", ran.out, re.MULTILINE)
    assert re.search(r"Cr +suspense:deposits:GBP +5\.00 GBP", ran.out)
