"""The command line against a system that runs: from a quote to a reconciled payout, by the words of its own help."""

from __future__ import annotations

import csv
import json
import os
import shlex
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from scripts.stack import broker
from scripts.system.home import ROOT, Home
from scripts.system.system import System
from tests.support import stack

pytestmark = [
    pytest.mark.slow, pytest.mark.timeout(300),
    pytest.mark.skipif(stack.in_containers(), reason="a whole system has its own servers"),
]  # fmt: skip
LAUNCHER = f"""#!/bin/sh
PYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.quote(sys.executable)} -P -m services.ops_cli "$@"
"""
UNSET = ("DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "PORT_BASE", "OPS_TOKEN", "OPS_CONTEXT", "OPS_BASE_URL")


@dataclass(frozen=True)
class Live:
    """A system, and a shell that finds `ops-cli` by its name."""

    system: System
    environment: dict[str, str]
    folder: Path

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", line], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip

    def json(self, line: str, *codes: int) -> Any:
        done = self.shell(f"ops-cli {line} --json")
        assert done.returncode in (codes or (0,)), done.stdout + done.stderr
        return json.loads(done.stdout)

    def post(self, path: str, body: dict[str, Any], who: str) -> Any:
        facts = self.system.facts
        headers = {
            "Authorization": f"Bearer {facts.tokens[who]}", "Content-Type": "application/json",
            "Idempotency-Key": str(uuid4()),
        }  # fmt: skip
        request = urllib.request.Request(facts.base_url + path, json.dumps(body).encode(), headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.loads(answer.read())

    def profile(self, **wish: str) -> str:
        profile_id = str(self.post("/v1/profiles", wish, "customer")["profile_id"])
        self.post(f"/v1/profiles/{profile_id}/kyc", {"verdict": "approved", "reason": "documents seen"}, "operator")
        return profile_id


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("ops-cli")
    launcher = folder / "bin" / "ops-cli"
    launcher.parent.mkdir()
    launcher.write_text(LAUNCHER)
    launcher.chmod(0o755)
    with pytest.MonkeyPatch.context() as patched:
        for name in UNSET:
            patched.delenv(name, raising=False)
        system = System(Home(folder / "var"), broker.kind())
        system.start()
        paths = {"CORRIDOR_VAR": str(folder / "var"), "PATH": f"{launcher.parent}:{os.environ['PATH']}"}
        yield Live(system, os.environ | paths, folder)
        system.stop()


@pytest.fixture(scope="module")
def people(live: Live) -> tuple[str, str]:
    return (
        live.profile(kind="sender", country="GB", name="Grace Hopper"),
        live.profile(kind="receiver", country="ET", name="Abebe Bikila", account="ET100200300400"),
    )


@pytest.fixture(scope="module")
def opened(live: Live, people: tuple[str, str]) -> Callable[..., Any]:
    sender, receiver = people

    def call(*more: str) -> Any:
        quote = live.json('quote create "125.50 GBP" --corridor GB-ET')["quote_id"]
        return live.json(f"transfer create {quote} --sender {sender} --receiver {receiver} {' '.join(more)}")

    return call


@pytest.fixture(scope="module")
def paid(live: Live, opened: Callable[..., Any]) -> str:
    transfer_id = str(opened("--idempotency-key order-4711")["transfer_id"])
    done = live.shell(f"ops-cli webhook trigger --transfer {transfer_id} --wait --timeout 60s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PAYOUT_COMPLETED" in done.stdout
    return transfer_id


def test_the_set_up_is_sound(live: Live) -> None:
    told = live.json("doctor", 0)
    found = {each["name"]: each["verdict"] for each in told["checks"]}
    wanted = ("Python", "context", "door", "clock", "tokens", "release", "processes", "database", "schema",
              "connections", "database clock", "Kafka", "topics")  # fmt: skip
    assert {name: found.get(name) for name in wanted} == dict.fromkeys(wanted, "ok")


def test_a_transfer_is_seen_by_every_command(live: Live, paid: str) -> None:
    shown = live.shell(f"ops-cli transfer inspect {paid}").stdout
    for words in ("PAYOUT_COMPLETED", "CONFIRMED", "safeguarding:", "125.50 GBP"):
        assert words in shown
    assert paid in {each["transfer_id"] for each in live.json("transfer list --state PAYOUT_COMPLETED")["items"]}
    assert [each["transfer_id"] for each in live.json(f"payout list --transfer {paid}")["items"]] == [paid]
    assert len(live.json(f"deposit list --transfer {paid}")["items"]) == 1
    assert live.shell(f"ops-cli transfer state {paid}").stdout == "PAYOUT_COMPLETED\n"
    joined = {each["lane"] for each in live.json(f"transfer timeline {paid} --joined")["items"]}
    assert {"transfer", "deposit", "payout", "ledger"} <= joined


def test_its_state_in_the_past(live: Live, paid: str) -> None:
    opened_at = live.json(f"transfer get {paid}")["opened_at"]
    assert live.shell(f"ops-cli transfer state {paid} --as-of {opened_at}").stdout == "AWAITING_FUNDING\n"
    assert live.shell(f"ops-cli transfer state {paid} --as-of -2h").returncode == 5


def test_the_books_balance(live: Live, paid: str) -> None:
    assert {each["difference_minor"] for each in live.json("ledger trial-balance")["currencies"]} == {0}
    lines = live.json(f"ledger entries {paid}")["items"]
    account = lines[0]["account_id"]
    assert live.json(f"ledger account get {account}")["account_id"] == account


def test_a_key_is_found_again(live: Live, paid: str) -> None:
    assert {each["service"] for each in live.json("idempotency lookup order-4711")["items"]} == {"transfer"}
    assert live.shell("ops-cli idempotency lookup never-used").returncode in {5, 10}


def test_the_runbook_s_line_for_reconciliation(live: Live, paid: str) -> None:
    place = live.folder / "recon.csv"
    line = f'ops-cli recon run --reason "daily reconciliation" --output {place}'
    done = live.shell(line)
    assert done.returncode == 0, done.stdout + done.stderr
    assert next(csv.reader(place.open()))[:4] == ["issue_id", "run_id", "transfer_id", "code"]
    runs = live.json("recon list")["items"]
    assert runs[0]["run_id"] in done.stdout
    assert runs[0]["reason"] == "daily reconciliation"
    assert live.json(f"recon get {runs[0]['run_id']}")["status"] == "completed"


def test_a_run_without_a_reason_is_no_run(live: Live, paid: str) -> None:
    before = live.json("recon list")["items"]
    assert live.shell("ops-cli recon run --output x.csv").returncode == 2
    assert live.shell('ops-cli recon run --reason "daily reconciliation" --output /no/such/place.csv').returncode == 2
    assert live.json("recon list")["items"] == before
    assert not (live.folder / "x.csv").exists()


def test_money_that_does_not_fit_waits_for_a_person(live: Live, opened: Callable[..., Any]) -> None:
    transfer_id = opened()["transfer_id"]
    assert live.shell(f'ops-cli deposit simulate {transfer_id} --amount "20 GBP"').returncode == 0
    told = live.shell(f"ops-cli transfer watch {transfer_id} --timeout 3s")
    assert told.returncode == 8, "still waiting for its money"
    (item,) = live.json("review list --reason deposit_mismatch")["items"]
    assert (item["transfer_id"], item["amount_minor"]) == (transfer_id, 2_000)
    assert "what to do" in live.shell(f"ops-cli review get {item['review_id']}").stdout


def test_a_customer_withdraws(live: Live, opened: Callable[..., Any]) -> None:
    transfer_id = opened()["transfer_id"]
    line = f'ops-cli transfer cancel {transfer_id} --reason "changed their mind" --if-match'
    assert live.shell(f"{line} 7 --yes").returncode == 3
    assert live.shell(f"{line} 1 --yes").returncode == 0
    assert live.shell(f"ops-cli transfer state {transfer_id}").stdout == "CANCELLED\n"


def test_money_is_moving(live: Live, paid: str) -> None:
    checks = {each["name"]: each["verdict"] for each in live.json("status")["checks"]}
    money = ("door", "processes", "publishing", "consuming", "transfers", "books")
    assert {name: checks[name] for name in money} == dict.fromkeys(money, "ok")
    assert live.shell("ops-cli triage").returncode == 0


def test_roles(live: Live, paid: str) -> None:
    assert live.shell("ops-cli ledger trial-balance --as customer").returncode == 4
    assert live.shell(f"ops-cli transfer get {paid} --as customer").returncode == 0
    assert live.shell("ops-cli quote create '5 GBP' --corridor GB-ET --as operator").returncode == 4


def test_nothing_secret_is_shown(live: Live) -> None:
    secrets = [*live.system.facts.tokens.values(), live.system.facts.webhooks[0]["secret"],
               live.system.installation.jwt_secret, live.system.installation.kek]  # fmt: skip
    lines = ["config show", "config show core_api", "config show deposit_watcher", "doctor", "status -v --trace"]
    shown = "".join(done.stdout + done.stderr for done in (live.shell(f"ops-cli {line}") for line in lines))
    assert [each for each in secrets if each in shown] == []
    assert "***" in shown


def test_a_door_that_is_away_is_10(live: Live) -> None:
    elsewhere = {"OPS_BASE_URL": "http://127.0.0.1:9", "OPS_TOKEN": "x"}
    away = Live(live.system, live.environment | elsewhere, live.folder)
    assert away.shell("ops-cli transfer list").returncode == 10


def test_a_context_of_the_caller_s_own(live: Live) -> None:
    contexts = live.folder / "config" / "corridor" / "contexts.toml"
    contexts.parent.mkdir(parents=True)
    contexts.write_text(f'[contexts.mine]\nbase_url = "{live.system.facts.base_url}"\nenv = "dev"\n')
    contexts.chmod(stat.S_IRUSR | stat.S_IWUSR)
    own = {"XDG_CONFIG_HOME": str(live.folder / "config"), "OPS_TOKEN": live.system.facts.tokens["operator"]}
    mine = Live(live.system, live.environment | own, live.folder)
    assert mine.shell("ops-cli --context mine --env dev ledger trial-balance").returncode == 0
    assert mine.shell("ops-cli --context mine --env prod ledger trial-balance").returncode == 3
