"""The page on production names what the services read: all that they must have, and nothing that nobody reads."""

import re
from importlib import import_module

import pytest

from scripts.migrate import ROOT
from scripts.system.installation import ROLES, SERVICES
from services.kernel.settings import Kernel, Unsafe, load
from tests.house.test_containers import variables_of

PAGE = (ROOT / "docs" / "fly_prod_setup.md").read_text(encoding="utf-8")
OF_SETUP = {"KAFKA_REPLICATION", "ONCALL_DB_PASSWORD", "SERVICE_DB_PASSWORD_"}


def settings_of(service: str) -> type[Kernel]:
    return getattr(import_module(f"services.{service}.__main__"), "Settings", Kernel)


@pytest.mark.parametrize("service", SERVICES)
def test_every_variable_that_a_service_must_have_is_in_its_row(service: str) -> None:
    (row,) = re.findall(rf"^\| `{service}` \| (.*)$", PAGE, re.MULTILINE)
    for_all = PAGE.partition("All of them: ")[2].partition("\n")[0]
    with pytest.raises(Unsafe) as refused:
        load(settings_of(service), service, {"ENV": "prod"})
    missing = {fault.partition(":")[0] for fault in refused.value.faults}
    assert missing - set(re.findall(r"`([A-Z_]+)`", row + for_all)) == set()
    assert f"`{ROLES[service]}`" in row


def test_every_variable_on_the_page_is_read_by_somebody() -> None:
    known = set().union(*(variables_of(settings_of(service)) for service in SERVICES)) | OF_SETUP
    setup = (ROOT / "scripts" / "setup.py").read_text(encoding="utf-8")
    assert all(name in setup for name in OF_SETUP)
    assert set(re.findall(r"\b[A-Z]{2,}(?:_[A-Z]+)+_?\b|`ENV`", PAGE)) - known - {"`ENV`"} == set()
