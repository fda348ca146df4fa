"""ops-cli recon run: the literal line of the runbook, and every way in which it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from services.ops_cli.commands import recon
from tests.unit.ops_cli.conftest import Asked, Door, Ran, Said

Ops = Callable[..., Ran]
RUNS = "/v1/recon/runs"
RUN_ID = "2b1d7c3e-0c52-5f2b-8f7e-6a1d0f9b3c44"
RUN = {"run_id": RUN_ID, "status": "completed", "issues_by_code": {}, "reason": "daily reconciliation"}
REASON = ("--reason", "daily reconciliation")
HEAD = b"code,transfer_id\n"


def run_with(door: Door, pages: list[bytes], **more: object) -> None:
    """The door runs it, and gives its differences in pages."""
    door.on("POST", RUNS, RUN | more, 201)

    def issues(asked: Asked) -> Said:
        assert asked.headers["accept"] == "text/csv"
        number = int(asked.query.get("cursor", ["0"])[0])
        following = {"x-next-cursor": str(number + 1)} if number + 1 < len(pages) else {}
        return Said(200, HEAD + pages[number], {"content-type": "text/csv; charset=utf-8", **following})

    door.answers["GET", f"{RUNS}/{RUN_ID}/issues"] = issues


def test_the_line_of_the_runbook(door: Door, ops: Ops, tmp_path: Path) -> None:
    place = tmp_path / "recon.csv"
    run_with(door, [b"AMOUNT,a\n", b"MISSING,b\nMISSING,c\n"], issues_by_code={"AMOUNT": 1, "MISSING": 2})
    ran = ops("recon", "run", *REASON, "--output", str(place))
    assert ran.code == 6, "there are differences"
    assert place.read_bytes() == HEAD + b"AMOUNT,a\nMISSING,b\nMISSING,c\n"
    assert RUN_ID in ran.out
    assert [line.split() for line in ran.out.splitlines()[-2:]] == [["AMOUNT", "1"], ["MISSING", "2"]]
    posted = door.asked[0]
    assert json.loads(posted.body) == {"reason": "daily reconciliation"}
    assert posted.headers["idempotency-key"]
    assert list(tmp_path.iterdir()) == [place]


def test_no_difference_is_0_with_a_file_that_has_only_its_head(door: Door, ops: Ops, tmp_path: Path) -> None:
    run_with(door, [b""])
    ran = ops("recon", "run", *REASON, "--output", str(tmp_path / "recon.csv"))
    assert (ran.code, (tmp_path / "recon.csv").read_bytes()) == (0, HEAD)
    assert "no difference" in ran.out


def test_counts_may_come_as_a_list(door: Door, ops: Ops) -> None:
    run_with(door, [b""], issues_by_code=[{"code": "AMOUNT", "count": 2}])
    assert ops("recon", "run", *REASON).code == 6


@pytest.mark.parametrize("reason", [[], ["--reason", ""], ["--reason", "   "], ["--reason", "short"]])
def test_without_a_reason_nothing_is_asked(door: Door, ops: Ops, tmp_path: Path, reason: list[str]) -> None:
    ran = ops("recon", "run", *reason, "--output", str(tmp_path / "recon.csv"))
    assert (ran.code, door.asked, list(tmp_path.iterdir())) == (2, [], [])
    assert "reason" in ran.err


@pytest.mark.parametrize("place", ["no/such/directory/recon.csv", ".", "/proc/recon.csv"])  # there root may not either
def test_a_place_that_cannot_be_written_is_found_before_the_run(
    door: Door, ops: Ops, tmp_path: Path, place: str
) -> None:
    ran = ops("recon", "run", *REASON, "--output", str(tmp_path / place))
    assert (ran.code, door.asked) == (2, [])
    assert "cannot write" in ran.err


def test_a_run_that_failed_is_1_and_named(door: Door, ops: Ops, tmp_path: Path) -> None:
    run_with(door, [b""], status="failed", error="the bank's book cannot be had")
    ran = ops("recon", "run", *REASON, "--output", str(tmp_path / "recon.csv"))
    assert (ran.code, list(tmp_path.iterdir())) == (1, [])
    assert RUN_ID in ran.err
    assert "the bank's book cannot be had" in ran.err


@pytest.mark.parametrize(("status", "code"), [(503, 10), (500, 1), (403, 4), (409, 3)])
def test_a_run_that_did_not_begin(door: Door, ops: Ops, tmp_path: Path, status: int, code: int) -> None:
    door.problem("POST", RUNS, status, "SOME_CODE")
    ran = ops("recon", "run", *REASON, "--output", str(tmp_path / "recon.csv"))
    assert (ran.code, list(tmp_path.iterdir())) == (code, [])


def test_a_page_that_does_not_come_leaves_no_half_of_a_file(door: Door, ops: Ops, tmp_path: Path) -> None:
    place = tmp_path / "recon.csv"
    place.write_text("of yesterday")
    run_with(door, [b"AMOUNT,a\n", b""], issues_by_code={"AMOUNT": 2})
    first = door.answers["GET", f"{RUNS}/{RUN_ID}/issues"]

    def breaks(asked: Asked) -> Said:
        assert callable(first)
        return Said(503, {}) if "cursor" in asked.query else first(asked)

    door.answers["GET", f"{RUNS}/{RUN_ID}/issues"] = breaks
    assert ops("recon", "run", *REASON, "--output", str(place)).code == 10
    assert place.read_text() == "of yesterday"
    assert list(tmp_path.iterdir()) == [place]


def test_a_long_run_is_waited_for(door: Door, ops: Ops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recon, "LOOK_SECONDS", 0.01)
    run_with(door, [b"AMOUNT,a\n"])
    door.on("POST", RUNS, RUN | {"status": "running"}, 202)
    told = iter([RUN | {"status": "running"}, RUN | {"issues_by_code": {"AMOUNT": 1}}])
    door.answers["GET", f"{RUNS}/{RUN_ID}"] = lambda _: Said(200, next(told))
    assert ops("recon", "run", *REASON, "--output", str(tmp_path / "recon.csv")).code == 6
    assert (tmp_path / "recon.csv").read_bytes() == HEAD + b"AMOUNT,a\n"


def test_a_run_that_goes_on_for_too_long_is_8_and_named(
    door: Door, ops: Ops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recon, "LOOK_SECONDS", 0.01)
    door.on("POST", RUNS, RUN | {"status": "running"}, 202)
    door.on("GET", f"{RUNS}/{RUN_ID}", RUN | {"status": "running"})
    ran = ops("recon", "run", *REASON, "--timeout", "1s", "--output", str(tmp_path / "recon.csv"))
    assert (ran.code, list(tmp_path.iterdir())) == (8, [])
    assert f"ops-cli recon get {RUN_ID}" in ran.err


def test_a_key_and_a_ticket_go_along(door: Door, ops: Ops) -> None:
    run_with(door, [b""])
    ops("recon", "run", *REASON, "--ticket", "OPS-7", "--idempotency-key", "nightly-1")
    assert json.loads(door.asked[0].body) == {"reason": "daily reconciliation [OPS-7]"}
    assert door.asked[0].headers["idempotency-key"] == "nightly-1"


def test_a_dry_run_asks_nothing_and_writes_nothing(door: Door, ops: Ops, tmp_path: Path) -> None:
    ran = ops("recon", "run", *REASON, "--dry-run", "--output", str(tmp_path / "recon.csv"))
    assert (ran.code, door.asked, list(tmp_path.iterdir())) == (0, [], [])
    assert "daily reconciliation" in ran.out


def test_a_program_gets_the_run_as_json(door: Door, ops: Ops, tmp_path: Path) -> None:
    run_with(door, [b""])
    ran = ops("recon", "run", *REASON, "--json", "--output", str(tmp_path / "recon.csv"))
    assert ran.json["run_id"] == RUN_ID
