"""`make up`, kills, `make down`, `make reset`: what a developer's machine looks like before and after."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from scripts.stack import broker
from scripts.system import leftovers
from scripts.system.home import ROOT, Home
from scripts.system.system import NotReady, System

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

KEYS = {
    "base_url", "kafka_bootstrap", "oncall_database_url", "operations_database_url", "sandbox_url", "tokens",
    "webhooks", "processes",
}  # fmt: skip
NAMES = {
    "core_api", "quote", "transfer", "deposit_watcher", "payout_orchestrator", "ledger", "reconciliation", "review",
    "sandbox",
}  # fmt: skip
ROLES = {"core", "quote", "transfer", "deposit", "payout", "ledger", "recon", "review"}
# What would lead it to another server than its own.
FOREIGN = ("DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "PORT_BASE")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    found = Home(tmp_path_factory.mktemp("up") / "var")
    yield found
    leftovers.end_all(found)


def run(home: Home, command: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    argv = [sys.executable, "-m", "scripts.system", command]
    return subprocess.run(
        argv, cwd=ROOT, env=environment | {"CORRIDOR_VAR": str(home.path)} | more, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def facts(home: Home) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(home.facts.read_text())
    return content


def process_of(home: Home, name: str) -> dict[str, Any]:
    return next(each for each in facts(home)["processes"] if each["name"] == name)


def get(url: str, token: str | None = None) -> tuple[int, Any]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read())
    except OSError:
        return 0, None


def status(url: str) -> int:
    """Of a GET."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def ours(home: Home) -> list[psutil.Process]:
    """Whatever runs for this home: programs by their mark, servers by their command line."""
    processes = list(psutil.process_iter(["cmdline"]))
    named = [process for process in processes if str(home.path) in " ".join(process.info["cmdline"] or [])]
    return [*leftovers.marked(home), *named]


@pytest.fixture(scope="module")
def up(home: Home) -> Home:
    done = run(home, "up")
    assert done.returncode == 0, done.stdout + done.stderr
    return home


def test_it_says_where_everything_is_to_its_owner_alone(up: Home) -> None:
    assert stat.S_IMODE(up.facts.stat().st_mode) == 0o600
    assert set(facts(up)) == KEYS
    assert set(facts(up)["tokens"]) == {"customer", "operator", "second_operator", "admin"}
    assert [set(key) for key in facts(up)["webhooks"]] == [{"partner", "key_id", "secret"}]


def test_every_process_answers_its_probe(up: Home) -> None:
    assert {each["name"] for each in facts(up)["processes"]} == NAMES
    assert [each["name"] for each in facts(up)["processes"] if get(each["probe_url"])[0] != 200] == []


def test_metrics_are_beside_each_probe_and_not_on_the_public_port(up: Home) -> None:
    beside = {each["name"]: each["probe_url"].replace("/readyz", "/metrics") for each in facts(up)["processes"]}
    assert {name: status(url) for name, url in beside.items()} == dict.fromkeys(NAMES, 200)
    public = facts(up)["base_url"]
    assert [status(public + path) for path in ("/metrics", "/internal/profiles", "/readyz")] == [404, 404, 200]


def test_the_tokens_have_the_roles_that_they_are_named_after(up: Home) -> None:
    told = facts(up)
    roles = {name: get(f"{told['base_url']}/v1/me", token)[1]["roles"] for name, token in told["tokens"].items()}
    assert roles == {
        "customer": ["customer"], "operator": ["operator"], "second_operator": ["operator"], "admin": ["admin"],
    }  # fmt: skip


def test_services_are_no_superusers_and_the_on_call_only_reads(up: Home) -> None:
    async def ask() -> tuple[list[str], list[str]]:
        connection = await asyncpg.connect(facts(up)["oncall_database_url"])
        try:
            query = (
                "SELECT DISTINCT usename::text AS name FROM pg_stat_activity WHERE application_name LIKE 'corridor%'"
            )
            seen = [row["name"] for row in await connection.fetch(query)]
            supers = await connection.fetch("SELECT rolname FROM pg_roles WHERE rolsuper AND rolname LIKE 'corridor%'")
            with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError)):
                await connection.execute("DELETE FROM transfer.outbox")
            return seen, [row["rolname"] for row in supers]
        finally:
            await connection.close()

    seen, supers = asyncio.run(ask())
    assert set(seen) == {f"corridor_{name}" for name in ROLES}
    assert supers == []


def test_a_second_up_finds_the_first(up: Home) -> None:
    before = facts(up)
    done = run(up, "up")
    assert (done.returncode, facts(up)) == (0, before)


def test_it_cannot_be_wiped_while_it_is_up(up: Home) -> None:
    assert run(up, "reset", YES="1").returncode == 1
    assert up.facts.exists()


def test_a_killed_process_comes_back_and_the_file_knows_its_pid(up: Home) -> None:
    killed = process_of(up, "quote")
    os.kill(killed["pid"], signal.SIGKILL)
    until(lambda: process_of(up, "quote")["pid"] != killed["pid"])
    until(lambda: get(killed["probe_url"])[0] == 200)
    assert psutil.pid_exists(process_of(up, "quote")["pid"])


def test_down_leaves_nothing_behind_and_up_finds_its_state_again(up: Home) -> None:
    before = facts(up)
    assert run(up, "down").returncode == 0
    assert ours(up) == []
    assert not up.facts.exists()
    assert run(up, "up").returncode == 0
    after = facts(up)
    assert (after["base_url"], after["webhooks"]) == (before["base_url"], before["webhooks"])
    # Known to the database of before, not registered again.
    assert get(f"{after['base_url']}/v1/me", before["tokens"]["customer"])[0] == 200


def test_down_finds_everything_after_the_supervisor_was_killed(up: Home) -> None:
    supervisor = leftovers.recorded(up, leftovers.SUPERVISOR)
    assert supervisor is not None
    supervisor.kill()
    until(lambda: not supervisor.is_running() or supervisor.status() == psutil.STATUS_ZOMBIE)
    assert get(process_of(up, "ledger")["probe_url"])[0] == 200, "the services go on without their supervisor"
    assert run(up, "down").returncode == 0
    assert ours(up) == []


def test_reset_asks_and_wipes(up: Home) -> None:
    assert run(up, "down").returncode == 0  # a worker may have been given this test and not the ones before it
    assert run(up, "reset").returncode == 1, "nobody answered the question"
    assert up.postgres.exists()
    assert run(up, "reset", YES="1").returncode == 0
    assert [path for path in up.path.iterdir() if path.is_dir()] == []


def test_a_service_that_cannot_start_is_named_with_its_last_words(tmp_path: Path) -> None:
    home = Home(tmp_path / "var")
    done = run(home, "up", UNKNOWN_ROUTE_GRACE_SECONDS="soon")
    assert done.returncode == 1
    assert "deposit_watcher ends again and again" in done.stdout
    assert "UNKNOWN_ROUTE_GRACE_SECONDS" in done.stdout
    assert ours(home) == []


def test_a_system_in_the_foreground_stops_while_it_is_starting(tmp_path: Path) -> None:
    """Whoever holds it may give up at any moment; nothing stays behind."""

    async def give_up() -> None:
        system = System(Home(tmp_path / "var"), broker.kind())
        starting = asyncio.create_task(asyncio.to_thread(system.start))
        await asyncio.sleep(2)
        await asyncio.to_thread(system.stop)
        with pytest.raises(NotReady):
            await starting
        assert not system.home.is_occupied()
        assert list(system.home.pids.iterdir()) == []

    asyncio.run(give_up())
