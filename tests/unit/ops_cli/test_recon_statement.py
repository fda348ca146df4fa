"""ops-cli recon statement: a file is sent as it is, once; what is wrong with it decides how the command ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.unit.ops_cli.conftest import Asked, Door, Ran, Said

PATH = "/v1/reconciliation/statements"
ID = str(UUID(int=5))
Ops = Callable[..., Ran]
WHY = ("--partner", "bank", "--reason", "statement of the day")


def taken(**more: Any) -> dict[str, Any]:
    one = {
        "statement_id": ID, "partner": "bank", "account": "X", "reference": "S1", "currency": "GBP", "lines": 3,
        "repeated": 0, "parked": 0, "not_booked": 0, "difference_minor": 0,
    } | more  # fmt: skip
    return {"state": "complete", "file_sha256": "ab", "statements": [one], "receiving": []}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "s.csv"
    made.write_bytes(b"a;b\r\n\xe4;1\r\n")
    return made


@pytest.mark.parametrize(("more", "code"), [({}, 0), ({"parked": 1}, 6), ({"difference_minor": -5}, 6)])
def test_it_is_sent_byte_for_byte(door: Door, ops: Ops, file: Path, more: dict[str, Any], code: int) -> None:
    door.on("POST", PATH, taken(**more), 201)
    ran = ops("recon", "statement", "import", str(file), *WHY, "--json")
    assert (ran.code, ran.json["statements"][0]["lines"]) == (code, 3)
    (asked,) = door.asked
    assert (asked.body, asked.headers["content-type"]) == (file.read_bytes(), "text/csv")
    assert asked.query == {"partner": ["bank"], "reason": ["statement of the day"]}
    assert str(UUID(asked.headers["idempotency-key"])) == asked.headers["idempotency-key"]


@pytest.mark.parametrize(
    ("name", "format_", "media"),
    [("x.xml", None, "application/xml"), ("x.txt", "camt054", "application/xml"), ("x.txt", "csv", "text/csv")],
)
def test_the_media_type_follows(
    door: Door, ops: Ops, tmp_path: Path, name: str, format_: str | None, media: str
) -> None:
    (tmp_path / name).write_bytes(b"x")
    door.on("POST", PATH, taken(), 201)
    more = ("--format", format_) if format_ else ()
    assert ops("recon", "statement", "import", str(tmp_path / name), *WHY, *more).code == 0
    assert door.asked[0].headers["content-type"] == media


def test_a_long_one_is_followed_to_its_end_under_one_key(
    door: Door, ops: Ops, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.ops_cli.commands.recon_statement.LOOK_SECONDS", 0)
    looks: list[dict[str, Any] | None] = [
        None, {"state": "receiving", "recorded": 1, "lines": 3}, {"state": "complete", "recorded": 3, "lines": 3}
    ]  # fmt: skip

    def post(_asked: Asked) -> Said:
        posts = [each for each in door.asked if each.method == "POST"]
        return Said(201, taken()) if len(posts) > 1 else Said(202, {"state": "receiving", "receiving": [ID]})

    def look(_asked: Asked) -> Said:
        found = looks.pop(0)
        return Said(200, found) if found else Said(404, {"title": "x", "code": "STATEMENT_NOT_FOUND", "status": 404})

    door.answers["POST", PATH] = post
    door.answers["GET", f"{PATH}/{ID}"] = look
    assert ops("recon", "statement", "import", str(file), *WHY).code == 0
    keys = {each.headers["idempotency-key"] for each in door.asked if each.method == "POST"}
    assert (len(keys), looks) == (1, [])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("gone.csv", *WHY), "cannot read"),
        (("s.csv", "--partner", "bank"), "a reason is needed"),
        (("s.txt", *WHY), "cannot tell"),
    ],
)
def test_nothing_is_sent_when_it_cannot_be_right(
    door: Door, ops: Ops, file: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(file.parent)
    ran = ops("recon", "statement", "import", *arguments)
    assert (ran.code, door.asked) == (2, [])
    assert words in ran.err


def test_a_dry_run_sends_nothing(door: Door, ops: Ops, file: Path) -> None:
    assert ops("recon", "statement", "import", str(file), *WHY, "--dry-run").code == 0
    assert door.asked == []


def test_a_day_of_the_book(door: Door, ops: Ops) -> None:
    door.on("POST", PATH, taken(), 201)
    assert ops("recon", "statement", "fetch", *WHY, "--day", "2026-03-02").code == 0
    assert (door.asked[0].body, door.asked[0].headers["content-type"]) == (b'{"day": "2026-03-02"}', "application/json")


def test_a_statement_and_what_is_parked_of_it(door: Door, ops: Ops) -> None:
    door.on("GET", f"{PATH}/{ID}", taken(parked=1)["statements"][0] | {"state": "complete"})
    bad = {
        "position": "line 4", "code": "AMOUNT_INVALID", "reason": "3 decimals", "entry_reference": None, "raw": "x",
    }  # fmt: skip
    door.on("GET", f"{PATH}/{ID}/parked", {"items": [bad], "next_cursor": None})
    assert ops("recon", "statement", "get", ID).code == 6
    ran = ops("recon", "statement", "get", ID, "--parked", "--json")
    assert (ran.code, [each["position"] for each in ran.json["items"]]) == (6, ["line 4"])


def test_the_list_says_when_there_is_none(door: Door, ops: Ops) -> None:
    door.on("GET", PATH, {"items": [], "next_cursor": None})
    ran = ops("recon", "statement", "list", "--partner", "bank")
    assert (ran.code, door.asked[0].query["partner"]) == (0, ["bank"])
    assert "no statement yet" in ran.out + ran.err
