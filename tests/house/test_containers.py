"""compose.yaml and the Dockerfile name only what exists, and every service starts with the settings that they give."""

import dataclasses
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args, get_type_hints
from urllib.parse import urlsplit

import pytest
import yaml

from scripts import setup
from scripts.migrate import ROOT
from scripts.system.installation import ROLES, SERVICES
from services.kernel.settings import Kernel, Unsafe, Var, load

COMPOSE = ROOT / "compose.yaml"
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
BIN = Path(sys.executable).parent
SERVERS = {"postgres": 5432, "kafka": 9092}
FOR_ALL = {"CORRIDOR_KEK"}  # in the common environment; a service without persons or partners does not read it
PARAMETER = re.compile(r"\$\{(\w+)(?::-([^}]*))?}")


def compose(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """As Compose reads it: merged, and with variables replaced by `environment` or their defaults."""
    given = environment or {}
    text = PARAMETER.sub(lambda found: given.get(found[1]) or found[2] or "", COMPOSE.read_text(encoding="utf-8"))
    return dict(yaml.safe_load(text)["services"])


def settings_of(service: str) -> type[Kernel]:
    """The settings class that its __main__ loads."""
    return getattr(import_module(f"services.{service}.__main__"), "Settings", Kernel)


def variables_of(settings: type[Kernel]) -> set[str]:
    hints = get_type_hints(settings, include_extras=True)
    named = (get_args(hints[one.name])[1:] for one in dataclasses.fields(settings) if one.name != "service")
    return {var.name for found in named for var in found if isinstance(var, Var)}


def test_compose_is_valid_by_its_schema() -> None:
    check = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    assert subprocess.run(check, check=False).returncode == 0


def test_hadolint_finds_nothing() -> None:
    assert subprocess.run([BIN / "hadolint", DOCKERFILE], check=False).returncode == 0


def test_every_service_of_the_system_is_there() -> None:
    assert set(compose()) == {*SERVICES, *SERVERS, "setup", "sandbox"}


@pytest.mark.parametrize("name", [*SERVICES, "setup", "sandbox"])
def test_its_command_is_a_module_of_ours(name: str) -> None:
    python, flag, module = compose()[name]["command"]
    assert (python, flag) == ("python", "-m")
    assert find_spec(module) is not None
    assert name == "setup" or find_spec(f"{module}.__main__") is not None


@pytest.mark.parametrize("service", SERVICES)
def test_it_starts_with_the_settings_that_compose_gives(service: str) -> None:
    load(settings_of(service), service, compose()[service]["environment"])


@pytest.mark.parametrize("service", SERVICES)
def test_every_variable_is_one_that_it_reads(service: str) -> None:
    assert set(compose()[service]["environment"]) <= variables_of(settings_of(service)) | FOR_ALL


@pytest.mark.parametrize("service", SERVICES)
def test_production_refuses_the_examples(service: str) -> None:
    environment = compose({"ENV": "prod"})[service]["environment"]
    with pytest.raises(Unsafe) as refused:
        load(settings_of(service), service, environment)
    said = "\n".join(refused.value.faults)
    examples = {"JWT_SECRET", "DATABASE_URL", "BANK_API_KEY", "PAYOUT_WEBHOOK_SECRETS", "DEPOSIT_WEBHOOK_SECRETS"}
    for name in (examples | {"CORRIDOR_KEK"}) & set(environment) & variables_of(settings_of(service)):
        assert name in said


@pytest.mark.parametrize("service", SERVICES)
def test_it_logs_in_as_a_role_whose_password_setup_sets(service: str) -> None:
    everything = compose()
    set_by_setup = setup.passwords(everything["setup"]["environment"])
    url = urlsplit(everything[service]["environment"]["DATABASE_URL"])
    assert (url.username, url.password) == (ROLES[service], set_by_setup[ROLES[service]])
    assert (url.hostname, url.port) == ("postgres", SERVERS["postgres"])


def test_addresses_lead_to_a_port_that_somebody_listens_on() -> None:
    everything = compose()
    for service in everything.values():
        for name, value in service["environment"].items() if isinstance(service.get("environment"), dict) else ():
            if name.endswith("_URL") and value.startswith("http") and name != "HEALTH_URL":
                url = urlsplit(value)
                assert url.port in ports_of(everything[url.hostname or ""]), f"{name}={value}"


def ports_of(service: Mapping[str, Any]) -> set[int]:
    environment = service["environment"]
    names = ("PORT", "INTERNAL_PORT", "SANDBOX_PORT")
    return {int(environment[name]) for name in names if name in environment}


def test_published_ports_are_on_this_machine_alone_and_listened_on() -> None:
    everything = compose()
    for name in ("core_api", "sandbox"):
        for published in everything[name]["ports"]:
            host, _, inside = published.split(":")
            assert host == "127.0.0.1"
            assert int(inside) in ports_of(everything[name])
    assert all("ports" not in everything[name] for name in SERVICES if name != "core_api")


@pytest.mark.parametrize("name", [*SERVICES, "setup", "sandbox"])
def test_containers_of_ours_write_nowhere_and_may_nothing(name: str) -> None:
    container = compose()[name]
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]


def test_the_image_runs_as_nobody_in_particular_and_has_a_health_check() -> None:
    last = DOCKERFILE.read_text(encoding="utf-8").split("\nFROM ")[-1]
    assert re.search(r"^USER [1-9]\d+$", last, re.MULTILINE)
    assert "pip uninstall --yes pip setuptools wheel" in last
    check = re.search(r"^HEALTHCHECK .*CMD \[(.*)\]$", last, re.MULTILINE)
    assert check is not None
    assert find_spec(shlex.split(check[1].replace(",", " "))[2]) is not None


def test_what_the_dockerfile_copies_is_there_and_not_ignored() -> None:
    copied = re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) == kept
    assert all((ROOT / path).exists() for path in copied)


def test_the_broker_is_the_one_that_the_suite_runs_on() -> None:
    pom = (ROOT / "deploy" / "kafka" / "pom.xml").read_text(encoding="utf-8")
    version = compose()["kafka"]["image"].removeprefix("apache/kafka:")
    assert f"<version>{version}</version>" in pom


def test_what_gives_way_has_fewer_shares_since_a_nice_value_ends_at_its_container() -> None:
    yielding = {service for service in SERVICES if _niceness(service)}
    assert yielding == {"reconciliation", "review"}
    assert {name for name, each in compose().items() if each.get("cpu_shares", 1024) < 1024} == yielding


def _niceness(service: str) -> int:
    (found,) = (one for one in dataclasses.fields(settings_of(service)) if one.name == "niceness")
    return int(str(found.default))


def test_the_database_is_not_healthy_while_it_is_being_made() -> None:
    """The image's first server, which runs its scripts, listens on the socket alone."""
    assert "-h 127.0.0.1" in compose()["postgres"]["healthcheck"]["test"][1]
