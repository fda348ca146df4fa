"""Each command: an example in its help, and what it makes of an answer."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator

import pytest
from cyclopts import App

from services.kernel.settings import Secret, SharedKey
from services.ops_cli import watching
from services.ops_cli.app import app
from services.ops_cli.service_settings import SERVICES, described, masked
from tests.unit.ops_cli.conftest import Asked, Door, Ran, Said

Ops = Callable[..., Ran]
TRANSFER = {
    "transfer_id": "t1", "state": "AWAITING_FUNDING", "version": 1, "corridor": "GB-ET", "send_minor": 9_900,
    "send_currency": "GBP", "receive_minor": 1_979_645, "receive_currency": "ETB", "route": "RF18X", "payout_id": None,
}  # fmt: skip
GLOBALS = (
    "--context", "--env", "--as", "-o", "--json", "--fields", "--output", "--timeout", "-q", "-v", "--trace", "--yes",
    "--no-input", "--no-color",
)  # fmt: skip


def leaves(found: App, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command that does something."""
    commands = {name: each for name, each in found.resolved_commands().items() if not name.startswith("-")}
    if found.default_command is not None and path:
        yield path
    for name, each in commands.items():
        yield from leaves(each, (*path, name))


LEAVES = list(leaves(app))


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_has_an_example_of_itself(path: tuple[str, ...], ops: Ops, door: Door) -> None:
    ran = ops(*path, "--help")
    assert ran.code == 0
    assert f"Example: ops-cli {' '.join(path)}" in " ".join(ran.out.split())
    assert [each for each in GLOBALS if not re.search(rf"(?m)^│ [^│]*{each}\b", ran.out)] == []


def test_the_verbs_that_were_promised_are_there() -> None:
    promised = """
        status; triage; doctor; quote create; quote get; transfer create; transfer get; transfer list;
        transfer timeline; transfer state; transfer inspect; transfer watch; transfer cancel; deposit list;
        deposit get; deposit simulate; payout list; payout get; ledger account list; ledger account get;
        ledger account statement; ledger entries; ledger entry;
        ledger trial-balance; review list; review get; recon run; recon list; recon get; webhook sign;
        webhook trigger; webhook verify; webhook listen; idempotency lookup; config show; completion; version"""
    assert {tuple(each.split()) for each in promised.split(";")} - set(LEAVES) == set()


def test_help_tells_the_exit_codes(ops: Ops, door: Door) -> None:
    words = " ".join(ops("--help").out.split())
    assert "6 the answer is no" in words
    assert "130 interrupted" in words


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_the_nouns(ops: Ops, door: Door, shell: str) -> None:
    ran = ops("completion", shell)
    assert ran.code == 0
    assert "trial-balance" in ran.out
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=ran.out, text=True, check=False).returncode == 0


def test_a_cancel_needs_a_reason_and_a_yes(ops: Ops, door: Door) -> None:
    door.on("POST", "/v1/transfers/t1/cancel", TRANSFER | {"state": "CANCELLED"})
    assert ops("transfer", "cancel", "t1").code == 2
    assert ops("transfer", "cancel", "t1", "--reason", "customer asked us", "--no-input").code == 3
    assert door.asked == []
    ran = ops("transfer", "cancel", "t1", "--reason", "customer asked us", "--yes", "--idempotency-key", "c-1")
    assert ran.code == 0
    assert door.asked[0].headers["idempotency-key"] == "c-1"


def test_a_cancel_of_another_version_is_3(ops: Ops, door: Door) -> None:
    door.on("GET", "/v1/transfers/t1", TRANSFER | {"version": 4})
    ran = ops("transfer", "cancel", "t1", "--reason", "customer asked us", "--yes", "--if-match", "3")
    assert (ran.code, [each.method for each in door.asked]) == (3, ["GET"])


def test_a_state_of_the_past(ops: Ops, door: Door) -> None:
    door.on("GET", "/v1/transfers/t1", TRANSFER)
    ran = ops("transfer", "state", "t1", "--as-of", "2026-01-31T12:00:00Z")
    assert (ran.code, ran.out) == (0, "AWAITING_FUNDING\n")
    assert door.asked[0].query == {"as_of": ["2026-01-31T12:00:00Z"]}
    assert ops("transfer", "get", "t1", "--as-of", "-2h").code == 0


@pytest.mark.parametrize(
    ("states", "code"),
    [(["AWAITING_FUNDING", "PAYOUT_COMPLETED"], 0), (["AWAITING_FUNDING", "CANCELLED"], 6),
     (["FUNDING_CONFIRMED", "PAYOUT_REVIEW_REQUIRED"], 6), (["AWAITING_FUNDING"], 8)],
)  # fmt: skip
def test_watching_ends_when_there_is_nothing_left_to_see(
    ops: Ops, door: Door, monkeypatch: pytest.MonkeyPatch, states: list[str], code: int
) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.01)
    told = iter([*states, *[states[-1]] * 1_000])
    door.answers["GET", "/v1/transfers/t1"] = lambda _: Said(200, TRANSFER | {"state": next(told)})
    ran = ops("transfer", "watch", "t1", "--timeout", "1s")
    assert ran.code == code
    assert [line.split()[2] for line in ran.out.splitlines()] == states


def test_watching_outlives_a_door_that_is_away_for_a_moment(
    ops: Ops, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.01)
    told = iter(
        [Said(200, TRANSFER), Said(503, {}), Said(503, {}), Said(200, TRANSFER | {"state": "PAYOUT_COMPLETED"})]
    )
    door.answers["GET", "/v1/transfers/t1"] = lambda _: next(told)
    assert ops("transfer", "watch", "t1").code == 0


def test_a_transfer_is_inspected_also_while_a_part_is_away(ops: Ops, door: Door) -> None:
    line = {"account_id": "suspense:GBP", "side": "debit", "amount_minor": 9_900, "currency": "GBP"}
    entry = {"entry_id": "e1", "kind": "deposit.observed", "cause_id": "c1", "posted_at": "2026-01-31T12:00:00Z"}
    door.on("GET", "/v1/transfers/t1", TRANSFER | {"payout_id": "p1"})
    door.on("GET", "/v1/transfers/t1/timeline", {"events": []})
    door.on("GET", "/v1/ledger/transfers/t1/entries", {"entries": [entry | {"lines": [line]}]})
    door.problem("GET", "/v1/payouts/p1", 503, "TEMPORARILY_UNAVAILABLE")
    ran = ops("transfer", "inspect", "t1")
    assert ran.code == 0
    assert "the page is incomplete" in ran.err
    assert re.search(r"deposit\.observed +Dr +suspense:GBP +99\.00 GBP", ran.out)


def test_books_that_do_not_balance_are_6(ops: Ops, door: Door) -> None:
    total = {"currency": "GBP", "debit_minor": 5, "credit_minor": 3, "difference_minor": 2}
    account = {"account_id": "a", "class": "asset", "currency": "GBP", "debit_minor": 5, "credit_minor": 3}
    door.on("GET", "/v1/ledger/trial-balance", {"currencies": [total], "kinds": [], "accounts": [account]})
    ran = ops("ledger", "trial-balance")
    assert ran.code == 6
    assert "the books do not balance" in ran.out
    assert ops("ledger", "trial-balance", "--json").json["currencies"] == [total]


def test_a_key_that_nobody_has_used_is_5_unless_somebody_did_not_answer(ops: Ops, door: Door) -> None:
    door.on("GET", "/v1/admin/idempotency-keys", {"items": [], "unanswered": []})
    assert ops("idempotency", "lookup", "k").code == 5
    door.on("GET", "/v1/admin/idempotency-keys", {"items": [], "unanswered": ["ledger"]})
    assert ops("idempotency", "lookup", "k").code == 10


def test_a_simulated_deposit_needs_a_sandbox(ops: Ops, door: Door) -> None:
    door.on("GET", "/v1/transfers/t1", TRANSFER)
    assert ops("deposit", "simulate", "t1").code == 3


def serve_a_moving_system(door: Door) -> None:
    door.on("GET", "/readyz", {"status": "ok", "dependencies": {"postgres": "ok"}})
    transfers = {"items": [TRANSFER | {"opened_at": "2026-01-31T12:00:00Z"}], "next_cursor": None}
    door.on("GET", "/v1/transfers", transfers)
    door.on("GET", "/v1/deposits/waiting", {"deposits": []})
    door.on("GET", "/v1/reviews", {"items": [], "next_cursor": None, "counts": {}})
    door.on("GET", "/v1/recon/runs", {"items": [{"run_id": "r", "status": "completed", "issues_by_code": {},
                                                "completed_at": "2026-01-31T12:00:00Z"}]})  # fmt: skip
    door.on("GET", "/v1/ledger/trial-balance", {"currencies": [], "accounts": []})
    door.on("GET", "/v1/ledger/halts", {"halts": []})


def test_status_says_that_money_moves(ops: Ops, door: Door) -> None:
    serve_a_moving_system(door)
    ran = ops("status")
    assert ran.code == 0
    assert ran.out.startswith("Money is moving")
    verdicts = {each["name"]: each["verdict"] for each in ops("status", "--json").json["checks"]}
    assert verdicts["door"] == verdicts["transfers"] == verdicts["books"] == verdicts["recon"] == "ok"


def test_status_is_6_when_the_books_differ(ops: Ops, door: Door) -> None:
    serve_a_moving_system(door)
    door.on("GET", "/v1/ledger/trial-balance", {"currencies": [{"currency": "GBP", "difference_minor": 1}]})
    ran = ops("status")
    assert (ran.code, ran.out.splitlines()[0].startswith("Money may not be moving: books")) == (6, True)


def test_a_queue_that_is_away_does_not_stop_money(ops: Ops, door: Door) -> None:
    serve_a_moving_system(door)
    door.problem("GET", "/v1/reviews", 503, "TEMPORARILY_UNAVAILABLE")
    ran = ops("status")
    assert ran.code == 0
    assert "to look at: processes" in ran.out
    assert "review" in ran.out.splitlines()[0]


def test_what_was_paid_in_long_ago_and_is_not_out_is_looked_at(ops: Ops, door: Door) -> None:
    serve_a_moving_system(door)
    stuck = TRANSFER | {"state": "FUNDING_CONFIRMED", "opened_at": "2026-01-31T12:00:00Z"}
    door.on("GET", "/v1/transfers", {"items": [stuck], "next_cursor": None})
    assert "ops-cli transfer inspect t1" in ops("status").out


def test_triage_answers_the_four_questions_in_order(ops: Ops, door: Door) -> None:
    serve_a_moving_system(door)
    door.on("GET", "/health/ready", {"status": "ok", "dependencies": {"postgres": "ok"}})
    names = [each["name"] for each in ops("triage", "--json").json["checks"]]
    assert [each for each in names if each[0].isdigit()] == ["1 ready", "2 logs", "3 workers", "4 affected"]
    assert door.asked[-1].headers


def test_version_is_told_also_when_nobody_is_there(ops: Ops, door: Door) -> None:
    found = {"service": "core_api", "release_id": "7", "git_sha": "s", "colour": "blue", "environment": "dev"}
    door.on("GET", "/version", found)
    assert ops("version", "--json").json["items"][1] == found
    assert ops("version", "--local").code == 0


@pytest.mark.parametrize("service", SERVICES)
def test_settings_are_shown_without_their_secrets(service: str) -> None:
    canary = "canary-" + "0123456789" * 5
    key = "A" * 43 + "="
    environ = {
        "ENV": "dev", "DATABASE_URL": f"postgresql://u:{canary}@h/d", "KAFKA_BOOTSTRAP_SERVERS": "h:1",
        "JWT_SECRET": canary, "CORRIDOR_KEK": key, "DEPOSIT_WEBHOOK_SECRETS": f"p:k1:{canary}",
        "PAYOUT_WEBHOOK_SECRETS": f"p:k1:{canary}", "BANK_API_KEY": canary, "CORRIDORS_FILE": "deploy/corridors.json",
        **{f"{name}_URL": "http://h:1" for name in
           ("QUOTE", "TRANSFER", "DEPOSIT", "PAYOUT", "LEDGER", "RECON", "REVIEW", "CORE", "BANK", "RATES")},
    }  # fmt: skip
    shown = {row["name"]: row["value"] for row in described(service, environ)}
    assert canary not in str(shown)
    assert key not in str(shown)
    assert shown["DATABASE_URL"] == "postgresql://u:***@h/d"
    assert shown["ENV"] == "dev"


def test_a_shared_key_shows_its_id_alone() -> None:
    assert masked((SharedKey("bank", "k1", Secret("x" * 32)),)) == "bank:k1:***"


def test_a_review_shows_what_to_do_and_the_story(ops: Ops, door: Door) -> None:
    entry = {"at": "2026-01-31T12:00:00Z", "lane": "deposit", "summary": "Deposit observed", "service": "d"}
    door.on("GET", "/v1/reviews/r1", {
        "review_id": "r1", "reason": "deposit_mismatch", "amount_minor": 5, "currency": "GBP",
        "what_to_do": "Call them.",
        "opened_at": "2026-01-31T12:00:00Z", "detail": "short", "link": "/v1/x", "timeline": [entry],
    })  # fmt: skip
    ran = ops("review", "get", "r1")
    assert "Call them." in ran.out
    assert "Deposit observed" in ran.out


def test_asked_as_whom(ops: Ops, door: Door) -> None:
    ran = ops("payout", "get", "p1", "--as", "admin")
    assert ran.code == 4, "the token of the environment is of whoever it is"
    asked: list[Asked] = door.asked
    assert asked == []
