"""Ports, secrets and pid files of an installation."""

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from scripts.stack.ports import free_port
from scripts.system import leftovers
from scripts.system.home import Home, Occupied, read_json, write_json
from scripts.system.installation import (
    INTERNAL,
    PORTS,
    PROGRAMS,
    Installation,
    Mismatched,
    PortTaken,
    choose_ports,
    opened,
)
from scripts.system.keeper import write_pid
from scripts.system.programs import MARK, Servers, dsn_of, programs


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "var")
    found.make()
    return found


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        yield taken.getsockname()[1]


def test_ports_are_free_ones_and_all_different() -> None:
    assert len(set(choose_ports({}, {}).values())) == len(PORTS)


def test_ports_stay_while_they_are_free() -> None:
    first = choose_ports({}, {})
    assert choose_ports(first, {}) == first


def test_a_port_that_somebody_took_meanwhile_is_replaced(listener: int) -> None:
    assert choose_ports({"quote": listener}, {})["quote"] != listener


def test_a_base_gives_each_program_its_own_port() -> None:
    base = free_port(adjacent=len(PORTS))
    assert list(choose_ports({}, {"PORT_BASE": str(base)}).values()) == list(range(base, base + len(PORTS)))


def test_a_program_s_own_port_wins() -> None:
    port = free_port()
    assert choose_ports({}, {"CORE_API_PORT": str(port)})["core_api"] == port


def test_a_port_that_was_asked_for_and_is_taken_is_refused(listener: int) -> None:
    with pytest.raises(PortTaken):
        choose_ports({}, {"LEDGER_PORT": str(listener)})


def test_secrets_are_made_once_and_for_their_owner_alone(home: Home) -> None:
    first = opened(home, "embedded")
    assert opened(home, "embedded").jwt_secret == first.jwt_secret
    assert stat.S_IMODE(home.installation.stat().st_mode) == 0o600


def test_two_installations_share_no_secret() -> None:
    one, two = Installation.make("embedded"), Installation.make("embedded")
    assert not set(one.passwords.values()) & set(two.passwords.values())
    assert one.kek != two.kek


def test_another_broker_is_refused_for_its_topics_would_be_empty(home: Home) -> None:
    opened(home, "embedded")
    with pytest.raises(Mismatched):
        opened(home, "apache")


def test_an_installation_shows_no_secret(home: Home) -> None:
    installation = opened(home, "embedded")
    assert installation.webhook_secret not in repr(installation)


def test_each_service_has_a_role_and_a_password_of_its_own(home: Home) -> None:
    installation = opened(home, "embedded")
    servers = Servers(postgres="postgresql://postgres:secret@127.0.0.1:5432/corridor", kafka="127.0.0.1:9092")
    made = programs(home, installation, servers, {}, None)
    urls = [program.environment.get("DATABASE_URL", "") for program in made]
    assert not any("secret" in url for url in urls)
    assert len(set(urls)) == len(PROGRAMS)  # the sandbox has none
    assert dsn_of("corridor_oncall", installation, servers).endswith("@127.0.0.1:5432/corridor")


def test_the_internal_port_of_the_door_is_probed_and_asked_but_is_not_its_address(home: Home) -> None:
    installation = opened(home, "embedded")
    servers = Servers(postgres="postgresql://postgres:x@127.0.0.1:5432/corridor", kafka="127.0.0.1:9092")
    made = {program.name: program for program in programs(home, installation, servers, {}, None)}
    internal, door = installation.url(INTERNAL), made["core_api"]
    assert door.url == installation.url("core_api") != internal
    assert door.probe_url == f"{internal}/readyz"
    assert made["transfer"].environment["CORE_URL"] == internal
    assert made["quote"].probe_url == f"{installation.url('quote')}/readyz"


def test_overrides_reach_their_program_alone(home: Home) -> None:
    servers = Servers(postgres="postgresql://postgres:x@127.0.0.1:5432/corridor", kafka="127.0.0.1:9092")
    made = programs(home, opened(home, "embedded"), servers, {"ledger": {"LOG_LEVEL": "debug"}}, None)
    assert [program.name for program in made if program.environment.get("LOG_LEVEL") == "debug"] == ["ledger"]


def test_a_home_has_one_holder(home: Home) -> None:
    with home.occupied():
        assert home.is_occupied()
        with pytest.raises(Occupied), home.occupied():
            pass
    assert not home.is_occupied()


def test_a_file_is_replaced_whole_and_private(home: Home) -> None:
    write_json(home.facts, {"a": 1})
    write_json(home.facts, {"b": 2})
    assert json.loads(home.facts.read_text()) == {"b": 2}
    assert [path.name for path in home.run.glob(".*")] == []
    assert read_json(home.run / "missing.json") is None


@pytest.fixture
def sleeper(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_DFL); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {MARK: str(home.path)})
    yield child
    child.kill()
    child.wait()


def test_a_recorded_process_is_ended(home: Home, sleeper: subprocess.Popen[bytes]) -> None:
    write_pid(home, "quote", sleeper.pid)
    assert leftovers.end_all(home) == ["quote"]
    assert sleeper.wait(1) != 0


def test_a_process_that_no_file_knows_is_found_by_its_mark(home: Home, sleeper: subprocess.Popen[bytes]) -> None:
    assert leftovers.end_all(home) == [f"pid {sleeper.pid}"]
    assert sleeper.wait(1) != 0


def test_a_reused_pid_is_left_alone(home: Home) -> None:
    started = psutil.Process().create_time() - 100
    write_json(home.pids / "quote.json", {"pid": os.getpid(), "started": started, "restarts": 0})
    assert leftovers.end_all(home) == []


def test_down_says_nothing_runs_when_nothing_does(home: Home) -> None:
    assert leftovers.end_all(home) == []
