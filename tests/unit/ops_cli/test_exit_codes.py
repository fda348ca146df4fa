"""Codes for scripts: each answer of the door has one, and it never changes."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable

import pytest

from services.ops_cli.exits import Exit
from tests.unit.ops_cli.conftest import Door, Ran

Ops = Callable[..., Ran]
PATH = "/v1/payouts/p1"


def test_the_codes_are_the_published_ones() -> None:
    assert {each.name: each.value for each in Exit} == {
        "DONE": 0, "FAILED": 1, "USAGE": 2, "PRECONDITION": 3, "NOT_ALLOWED": 4, "NOT_FOUND": 5, "ANSWER_IS_NO": 6,
        "WAITS_FOR_SECOND": 7, "TIMED_OUT": 8, "PARTLY_FAILED": 9, "UNAVAILABLE": 10, "INTERRUPTED": 130,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 2), (401, 4), (403, 4), (404, 5), (409, 3), (412, 3), (422, 2), (428, 3), (429, 10), (500, 1), (502, 10),
     (503, 10), (504, 8), (418, 1), (302, 1)],
)  # fmt: skip
def test_an_answer_has_its_code(door: Door, ops: Ops, status: int, code: int) -> None:
    door.problem("GET", PATH, status, "SOME_CODE")
    assert ops("payout", "get", "p1").code == code


def test_done_is_0_also_for_an_empty_list(door: Door, ops: Ops) -> None:
    door.on("GET", "/v1/payouts", {"items": [], "next_cursor": None})
    ran = ops("payout", "list")
    assert (ran.code, ran.out, ran.err) == (0, "", "no payouts\n")


def test_nobody_there_is_10_and_says_where(ops: Ops, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("OPS_BASE_URL", f"http://127.0.0.1:{port}")
    ran = ops("payout", "get", "p1")
    assert ran.code == 10
    assert f"http://127.0.0.1:{port}" in ran.err


def test_a_door_that_does_not_answer_is_8(ops: Ops, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OPS_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        read = ops("payout", "get", "p1", "--timeout", "1s")
        write = ops("quote", "create", "100.00 GBP", "--corridor", "GB-ET", "--timeout", "1s")
    assert (read.code, write.code) == (8, 8)
    assert "--idempotency-key" not in read.err
    assert "it may still be done" in write.err
    assert "--idempotency-key" in write.err


def test_a_door_that_hangs_up_is_10(ops: Ops, door: Door) -> None:
    def break_it(_: object) -> None:
        raise ConnectionResetError

    door.answers["GET", PATH] = break_it  # type: ignore[assignment]  # it answers nothing at all
    assert ops("payout", "get", "p1").code == 10


def test_no_token_is_4(ops: Ops, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPS_TOKEN")
    ran = ops("payout", "get", "p1")
    assert (ran.code, door.asked) == (4, [])
    assert "OPS_TOKEN" in ran.err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("payout gte p1", 'Did you mean "get"?'),
        ("payot list", 'Did you mean "payout"?'),
        ("payout list --stat SENT", "Did you mean --state?"),
        ("payout list --contxt x", "Did you mean --context?"),
        ("payout get", "PAYOUT_ID"),
        ("payout list -o xml", "jsonl"),
        ("payout list --limit 0", "from 1 to 200"),
        ("payout list --limit many", "many"),
        ("payout list --json -o csv", "contradict"),
        ("payout list --since 2026-01-31T12:00:00", "2026-01-31T12:00:00Z"),
        ("payout list --timeout soon", "30s, 5m"),
        ("payout list --dry-run", "--dry-run"),
    ],
)
def test_usage_is_2_and_nothing_is_asked(door: Door, ops: Ops, line: str, words: str) -> None:
    ran = ops(*line.split())
    assert (ran.code, ran.out, door.asked) == (2, "", [])
    assert words in ran.err


def test_another_environment_than_the_wanted_one_is_3(door: Door, ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_ENV", "prod")
    assert ops("payout", "get", "p1", "--env", "staging").code == 3
    assert door.asked == []


def test_a_fault_of_ours_is_1_without_a_traceback(door: Door, ops: Ops) -> None:
    door.on("GET", PATH, ["not", "an", "object"])
    ran = ops("payout", "get", "p1")
    assert ran.code == 1
    assert "Traceback" not in ran.err


def test_an_interrupt_is_130(door: Door, ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("services.ops_cli.client.Client.get", stop)
    assert ops("payout", "get", "p1").code == 130


def test_a_problem_is_told_in_its_own_words(door: Door, ops: Ops) -> None:
    door.problem("GET", PATH, 503, "TEMPORARILY_UNAVAILABLE", title="Away", detail="The bank is away.")
    ran = ops("payout", "get", "p1")
    for words in (
        "error: Away",
        "The bank is away.",
        "TEMPORARILY_UNAVAILABLE",
        "ab" * 16,
        "hint",
        "503 GET /v1/payouts",
    ):
        assert words in ran.err
    assert ran.out == ""


def test_a_program_gets_the_problem_as_json(door: Door, ops: Ops) -> None:
    door.problem("GET", PATH, 409, "QUOTE_EXPIRED", title="Quote expired")
    told = json.loads(ops("payout", "get", "p1", "--json").err)
    assert (told["error"], told["code"], told["exit"]) == ("Quote expired", "QUOTE_EXPIRED", 3)
    assert "quote create" in told["hint"]


def test_what_a_terminal_would_obey_is_not_passed_on(door: Door, ops: Ops) -> None:
    door.problem("GET", PATH, 409, "X", title="\x1b[2Jgone", detail="\x07bell")
    assert "\x1b" not in ops("payout", "get", "p1").err


def test_a_redirect_is_not_followed_with_a_token(door: Door, ops: Ops) -> None:
    door.on("GET", PATH, {}, 302, location=f"{door.url}/elsewhere")
    ops("payout", "get", "p1")
    assert [each.path for each in door.asked] == [PATH]
