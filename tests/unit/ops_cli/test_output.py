"""A table for people, JSON, JSON lines and CSV for programs; stdout holds answers and nothing else."""

from __future__ import annotations

import csv
import io
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from services.ops_cli.tables import Column, table
from services.ops_cli.views import TRANSFERS, amount
from tests.unit.ops_cli.conftest import Asked, Door, Ran, Said

Ops = Callable[..., Ran]
TRANSFER = {
    "transfer_id": "7a4f0c52-8a53-5f0e-9a35-2f8f4a8be611", "state": "PAYOUT_COMPLETED", "version": 4,
    "corridor": "GB-ET", "send_minor": 123_456_789, "send_currency": "GBP", "receive_minor": 5_000,
    "receive_currency": "JPY", "opened_at": "2026-01-31T12:00:00.5Z", "route": "RF18X",
}  # fmt: skip


@pytest.fixture
def one(door: Door) -> Door:
    door.on("GET", "/v1/transfers", {"items": [TRANSFER], "next_cursor": None})
    return door


def test_a_pipe_gets_a_plain_table(one: Door, ops: Ops) -> None:
    ran = ops("transfer", "list")
    head, row = ran.out.splitlines()
    assert head.split()[:3] == ["transfer", "state", "sends"]
    assert "1,234,567.89 GBP" in row
    assert "5,000 JPY" in row
    assert "2026-01-31 12:00:00Z" in row
    assert "\x1b" not in ran.out
    assert [line for line in ran.out.splitlines() if line != line.rstrip()] == []


@pytest.mark.parametrize(
    ("environment", "option", "coloured"),
    [({"FORCE_COLOR": "1"}, [], True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, [], False), ({}, [], False),
     ({"FORCE_COLOR": "1"}, ["--no-color"], False)],
)  # fmt: skip
def test_colour(
    one: Door, ops: Ops, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], option: list[str], coloured: bool
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b[" in ops("transfer", "list", *option).out) is coloured


def test_json_is_what_the_door_said(one: Door, ops: Ops) -> None:
    assert ops("transfer", "list", "-o", "json").json == {"items": [TRANSFER], "next_cursor": None}
    assert ops("transfer", "list", "--json").json["items"] == [TRANSFER]


def test_json_lines_have_one_item_each(one: Door, ops: Ops) -> None:
    assert [json.loads(line) for line in ops("transfer", "list", "-o", "jsonl").out.splitlines()] == [TRANSFER]


def test_csv_has_every_member(one: Door, ops: Ops) -> None:
    (row,) = csv.DictReader(io.StringIO(ops("transfer", "list", "-o", "csv").out))
    assert row == {name: str(value) for name, value in TRANSFER.items()}


def test_fields_narrow_every_form(one: Door, ops: Ops) -> None:
    assert (
        ops("transfer", "list", "--fields", "state,version", "-o", "csv").out == "state,version\nPAYOUT_COMPLETED,4\n"
    )
    assert ops("transfer", "list", "--fields", "state", "--json").json["items"] == [{"state": "PAYOUT_COMPLETED"}]
    assert ops("transfer", "list", "--fields", "state").out == "state\nPAYOUT_COMPLETED\n"


def test_a_field_that_there_is_not_is_named(one: Door, ops: Ops) -> None:
    ran = ops("transfer", "list", "--fields", "stat")
    assert ran.code == 2
    assert "did you mean state?" in ran.err


def test_the_file_is_whole_and_tells_its_form_by_its_name(one: Door, ops: Ops, tmp_path: Path) -> None:
    place = tmp_path / "transfers.csv"
    ran = ops("transfer", "list", "--output", str(place))
    assert (ran.code, ran.out) == (0, "")
    assert place.read_text().startswith("transfer_id,state")
    assert list(tmp_path.iterdir()) == [place]


def test_a_failure_leaves_the_file_as_it_was(door: Door, ops: Ops, tmp_path: Path) -> None:
    place = tmp_path / "transfers.csv"
    place.write_text("of yesterday")
    door.problem("GET", "/v1/transfers", 503, "TEMPORARILY_UNAVAILABLE")
    assert ops("transfer", "list", "--output", str(place)).code == 10
    assert place.read_text() == "of yesterday"
    assert list(tmp_path.iterdir()) == [place]


def test_a_file_keeps_its_mode(one: Door, ops: Ops, tmp_path: Path) -> None:
    place = tmp_path / "transfers.csv"
    place.write_text("")
    place.chmod(0o640)
    ops("transfer", "list", "--output", str(place))
    assert stat.S_IMODE(place.stat().st_mode) == 0o640


def test_all_follows_every_page(door: Door, ops: Ops) -> None:
    def page(asked: Asked) -> Said:
        number = int(asked.query.get("cursor", ["0"])[0])
        more: Any = str(number + 1) if number < 3 else None
        return Said(200, {"items": [TRANSFER | {"version": number}], "next_cursor": more})

    door.answers["GET", "/v1/transfers"] = page
    ran = ops("transfer", "list", "--all", "--fields", "version", "-o", "jsonl", "-q")
    assert [json.loads(line)["version"] for line in ran.out.splitlines()] == [0, 1, 2, 3]


def test_more_is_said_with_the_cursor_that_gets_it(door: Door, ops: Ops) -> None:
    door.on("GET", "/v1/transfers", {"items": [TRANSFER], "next_cursor": "abc"})
    assert "--cursor abc" in ops("transfer", "list").err
    assert ops("transfer", "list", "-q").err == ""


def test_filters_go_along_and_states_may_be_repeated(one: Door, ops: Ops) -> None:
    ops("transfer", "list", "--state", "A", "--state", "B", "--since", "2026-01-31T12:00:00+01:00", "--limit", "7")
    assert one.asked[0].query == {"state": ["A", "B"], "created_from": ["2026-01-31T11:00:00Z"], "limit": ["7"]}


def test_trace_shows_what_the_logs_are_searched_by(one: Door, ops: Ops) -> None:
    ran = ops("transfer", "list", "--trace", "-o", "json")
    assert one.asked[0].headers["traceparent"] in ran.err
    assert ran.json["items"]


def terminal(width: int, items: list[dict[str, Any]], columns: list[Column]) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    with console.capture() as captured:
        console.print(table(items, columns, console))
    return captured.get()


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_ids_and_amounts_are_never_cut(width: int) -> None:
    shown = terminal(width, [TRANSFER], TRANSFERS)
    assert str(TRANSFER["transfer_id"]) in shown
    assert "1,234,567.89 GBP" in shown
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= width
    assert ("too narrow for: " in shown) is (width in {80, 120})


def test_a_long_name_folds_beside_an_amount() -> None:
    item = {"account": "customer:" + "x" * 80, "amount_minor": 99, "currency": "GBP"}
    shown = terminal(60, [item], [Column("account", "account", fold=True), amount("amount")])
    assert "0.99 GBP" in shown
    assert shown.count("x") == 80


def test_a_closed_pipe_ends_quietly(one: Door, ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("services.ops_cli.output.Output.rows", closed)
    monkeypatch.setattr("os.dup2", lambda *_: 0)
    assert ops("transfer", "list").code == 0
