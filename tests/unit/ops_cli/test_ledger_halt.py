"""ops-cli ledger halt: what stands still is seen at once, and it takes two people to let it go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.unit.ops_cli.conftest import Door, Ran
from tests.unit.ops_cli.test_commands import serve_a_moving_system

Ops = Callable[..., Ran]
PATH = "/v1/ledger/halts"
HALTED: dict[str, Any] = {
    "currency": "ETB", "state": "HALTED", "halted_at": "2026-01-31T12:00:00Z", "difference_minor": 500,
    "journals": ["9c1f7a52-3b64-5d0e-8f21-7a6b5c4d3e2f"], "lift_requested_by": None, "lift_requested_at": None,
    "reason": None, "resumed_at": None,
}  # fmt: skip
RESUMED = HALTED | {"currency": "GBP", "state": "RESUMED", "halted_at": None, "difference_minor": None, "journals": []}
WHY = ("--reason", "posting restored from its event")


def test_what_stands_still_is_6_with_its_journals(ops: Ops, door: Door) -> None:
    door.on("GET", PATH, {"halts": [HALTED, RESUMED]})
    ran = ops("ledger", "halt", "list")
    assert ran.code == 6
    assert "HALTED" in ran.out
    assert "5.00 ETB" in ran.out
    assert ops("ledger", "halt", "list", "--json").json["items"][0]["journals"] == HALTED["journals"]


def test_what_goes_on_is_0(ops: Ops, door: Door) -> None:
    door.on("GET", PATH, {"halts": [RESUMED]})
    assert ops("ledger", "halt", "list").code == 0
    door.on("GET", PATH, {"halts": []})
    assert "nothing was ever found" in ops("ledger", "halt", "list").err


def test_one_person_asks_and_another_one_approves(ops: Ops, door: Door) -> None:
    door.on("POST", f"{PATH}/ETB/lift-requests", HALTED | {"state": "LIFT_REQUESTED"})
    door.on("POST", f"{PATH}/ETB/lift-approvals", RESUMED)
    assert ops("ledger", "halt", "lift", "etb", *WHY, "--ticket", "OPS-1").code == 0
    assert ops("ledger", "halt", "lift", "ETB", "--approve", *WHY).code == 0
    assert [each.path.rpartition("/")[2] for each in door.asked] == ["lift-requests", "lift-approvals"]
    assert json.loads(door.asked[0].body) == {"reason": "posting restored from its event [OPS-1]"}


def test_a_reason_is_needed(ops: Ops, door: Door) -> None:
    assert ops("ledger", "halt", "lift", "ETB").code == 2
    assert ops("ledger", "halt", "lift", "ETB", *WHY, "--dry-run").code == 0
    assert door.asked == []


def test_status_says_where_no_money_moves(ops: Ops, door: Door) -> None:
    serve_a_moving_system(door)
    door.on("GET", PATH, {"halts": [HALTED | {"state": "LIFT_REQUESTED"}, RESUMED]})
    ran = ops("status")
    assert ran.code == 6
    assert "no new money moves in ETB" in ran.out
