"""compose.yaml without containers: each command with its own environment, host names led to ports of this machine."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from scripts.migrate import ROOT
from scripts.stack import process
from scripts.stack.ports import free_port
from scripts.stack.postgres import EmbeddedPostgres
from scripts.system.installation import SERVICES
from tests.house.test_containers import compose

READY_SECONDS = COMMAND_SECONDS = 60
PASSWORD = "a password of the first operator"
PROXIED = {"http_proxy": "http://127.0.0.1:1"}  # Docker's own settings put one into every container
Places = Mapping[str, str]  # "quote:8080" -> "127.0.0.1:34567"


class Rehearsal:
    """The containers as processes."""

    def __init__(self, places: Places, data: Path) -> None:
        self.services = compose()
        self.places = places
        self.data = data

    def environment(self, name: str) -> dict[str, str]:
        found = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
        for variable, value in self.services[name]["environment"].items():
            found[variable] = self.led(str(value))
        for variable in ("PORT", "INTERNAL_PORT", "SANDBOX_PORT"):
            place = self.places.get(f"{name}:{found.get(variable)}")
            if place:
                found[variable] = place.rpartition(":")[2]
        if "HEALTH_URL" in found:
            found["HEALTH_URL"] = f"http://{self.places[f'{name}:8090']}/readyz"
        if "SANDBOX_DATA" in found:
            found["SANDBOX_DATA"] = str(self.data)
        return found

    def led(self, value: str) -> str:
        """With the host names of containers replaced."""
        return re.sub(r"(?<=[/@])[a-z_]+:\d+|^kafka:9092$", lambda at: self.places.get(at[0], at[0]), value)

    def run(self, name: str, *command: str, text: str = "") -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, *(command or self.services[name]["command"][1:])]
        return subprocess.run(
            argv, cwd=ROOT, env=self.environment(name) | PROXIED, input=text, capture_output=True, text=True,
            timeout=COMMAND_SECONDS, check=False,
        )  # fmt: skip

    def start(self, name: str, log: Path) -> subprocess.Popen[bytes]:
        argv = [sys.executable, *self.services[name]["command"][1:]]
        with log.open("wb") as out:
            return subprocess.Popen(argv, cwd=ROOT, env=self.environment(name), stdout=out, stderr=subprocess.STDOUT)


@pytest.fixture(scope="module")
def rehearsal(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """Everything that compose.yaml starts, up; roles belong to a whole cluster, so PostgreSQL is one of its own."""
    home = tmp_path_factory.mktemp("rehearsal")
    postgres = EmbeddedPostgres(home=home / "postgres")
    with ExitStack() as opened:
        opened.callback(process.wipe, home)
        address = postgres.start().address
        whole = Rehearsal(_places(address, broker), home / "sandbox")
        _make_owner(address)
        done = whole.run("setup")
        assert done.returncode == 0, done.stderr + done.stdout
        running = {name: whole.start(name, home / f"{name}.log") for name in (*SERVICES, "sandbox")}
        for each in running.values():
            opened.callback(_ended, each)
        for each in running.values():  # all at once, and politely: the broker has other tests after this one
            opened.callback(each.terminate)
        for name, each in running.items():
            _wait(whole, name, each, home / f"{name}.log")
        yield whole


def _ended(running: subprocess.Popen[bytes]) -> None:
    """Was told to end, and has."""
    try:
        running.wait(READY_SECONDS)
    finally:
        running.kill()
        running.wait()


def _places(postgres: str, kafka: str) -> dict[str, str]:
    """127.0.0.1 with a free port for each place of compose.yaml."""
    inside = [f"{name}:8080" for name in SERVICES] + ["core_api:8081", "sandbox:8090"]
    taken: set[int] = set()
    while len(taken) < len(inside):
        taken.add(free_port())
    places = {place: f"127.0.0.1:{port}" for place, port in zip(inside, taken, strict=True)}
    return places | {"postgres:5432": postgres.rpartition("@")[2].partition("/")[0], "kafka:9092": kafka}


def _make_owner(address: str) -> None:
    """What the PostgreSQL image makes of POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB."""

    async def make() -> None:
        connection = await asyncpg.connect(address)
        environment = compose()["postgres"]["environment"]
        user, password = environment["POSTGRES_USER"], environment["POSTGRES_PASSWORD"]
        await connection.execute(f"CREATE ROLE {user} SUPERUSER LOGIN PASSWORD '{password}'")
        await connection.execute(f"CREATE DATABASE {environment['POSTGRES_DB']} OWNER {user}")
        await connection.close()

    asyncio.run(make())


def _wait(whole: Rehearsal, name: str, running: subprocess.Popen[bytes], log: Path) -> None:
    """Until its readiness says 200."""
    port = "8090" if name == "sandbox" else "8080"
    place, deadline = whole.places[f"{name}:{port}"], time.monotonic() + READY_SECONDS
    while _answer(place, "GET", "/readyz")[0] != 200:
        late = running.poll() is not None or time.monotonic() > deadline
        assert not late, f"{name}: {log.read_text()[-2_000:]}"
        time.sleep(0.1)


def _answer(
    place: str, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Any]:
    """Status and JSON; 0 when nobody answers."""
    connection = http.client.HTTPConnection(place, timeout=10)
    try:
        connection.request(
            method, path, json.dumps(body) if body else None, {"Content-Type": "application/json", **(headers or {})}
        )
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except OSError:
        return 0, None
    finally:
        connection.close()


def test_the_first_operator_logs_in_and_a_quote_is_priced(rehearsal: Rehearsal) -> None:
    door = rehearsal.places["core_api:8080"]
    for login in ("admin", "customer"):
        add = ["-m", "services.core_api", "users", "add", "--login", login, "--role", login]
        assert rehearsal.run("core_api", *add, text=PASSWORD).returncode == 0

    status, _ = _answer(door, "POST", "/v1/auth/login", {"login": "admin", "password": PASSWORD})
    assert status == 200
    _, session = _answer(door, "POST", "/v1/auth/login", {"login": "customer", "password": PASSWORD})
    headers = {"Authorization": f"Bearer {session['access_token']}", "Idempotency-Key": "rehearsal"}
    wish = {"corridor": "GB-ET", "send_minor": 10_000, "send_currency": "GBP"}
    status, quote = _answer(door, "POST", "/v1/quotes", wish, headers)
    assert status == 201
    assert quote["receive_currency"] == "ETB"


@pytest.mark.parametrize("name", [*SERVICES, "sandbox"])
def test_its_health_check_says_so(rehearsal: Rehearsal, name: str) -> None:
    assert rehearsal.run(name, "-m", "scripts.healthcheck").returncode == 0


def test_one_more_payout_worker_is_started_by_the_name_of_the_runbook(rehearsal: Rehearsal, tmp_path: Path) -> None:
    place = f"127.0.0.1:{free_port()}"
    environment = rehearsal.environment("payout_orchestrator") | {"PORT": place.rpartition(":")[2]}
    with (tmp_path / "log").open("wb") as log:
        argv = [sys.executable, "-m", "app.workers.payout_worker"]
        more = subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + READY_SECONDS
        while _answer(place, "GET", "/readyz")[0] != 200:
            assert more.poll() is None, (tmp_path / "log").read_text()[-2_000:]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        more.terminate()
        assert more.wait(timeout=READY_SECONDS) == 0
    finally:
        more.kill()
        more.wait()


def test_a_dead_container_is_seen_by_its_health_check(rehearsal: Rehearsal) -> None:
    environment = rehearsal.environment("quote") | {"PORT": str(free_port())}
    checked = [sys.executable, "-m", "scripts.healthcheck"]
    assert subprocess.run(checked, cwd=ROOT, env=environment, capture_output=True, check=False).returncode == 1


def test_setup_may_be_repeated(rehearsal: Rehearsal) -> None:
    again = rehearsal.run("setup")
    assert again.returncode == 0
    assert "0 topics made" in again.stdout
