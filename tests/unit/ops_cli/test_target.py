"""Which system, as whom."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from services.ops_cli.exits import Exit, OpsError
from services.ops_cli.target import find
from tests.unit.ops_cli.conftest import TOKEN, Door, Ran

Ops = Callable[..., Ran]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A system of this checkout and two contexts."""
    facts = tmp_path / "var" / "run" / "system.json"
    facts.parent.mkdir(parents=True)
    tokens = {"customer": "c", "operator": "o", "second_operator": "o2", "admin": "a"}
    facts.write_text(json.dumps({"base_url": "http://127.0.0.1:1", "tokens": tokens}))
    contexts = tmp_path / "config" / "corridor" / "contexts.toml"
    contexts.parent.mkdir(parents=True)
    contexts.write_text(
        '[contexts.staging]\nbase_url = "https://staging.example/"\nenv = "staging"\ntoken = "s"\n'
        '[contexts.prod]\nbase_url = "https://prod.example"\nenv = "prod"\n'
    )
    for path in (facts, contexts):
        path.chmod(0o600)
    return {"CORRIDOR_VAR": str(tmp_path / "var"), "XDG_CONFIG_HOME": str(tmp_path / "config")}


def test_this_checkout_s_own_system_unless_another_is_named(environ: dict[str, str]) -> None:
    target = find(None, environ | {"OPS_TOKEN": "x"})
    assert (target.name, target.env) == ("local", "dev")
    assert [target.bearer(role, chosen=False) for role in ("customer", "operator", "second_operator", "admin")] == [
        "c", "o", "o2", "a",
    ]  # fmt: skip


def test_a_context_of_the_file(environ: dict[str, str]) -> None:
    target = find("staging", environ)
    assert (target.base_url, target.env, target.bearer("admin", chosen=False)) == (
        "https://staging.example",
        "staging",
        "s",
    )
    assert find(None, environ | {"OPS_CONTEXT": "staging"}).name == "staging"


def test_a_token_of_the_environment_goes_to_a_context_that_has_none(environ: dict[str, str]) -> None:
    given = environ | {"OPS_TOKEN": "x"}
    assert find("prod", given).bearer("operator", chosen=False) == "x"
    assert find("staging", given).bearer("operator", chosen=False) == "s"


def test_the_flag_goes_before_the_environment(environ: dict[str, str]) -> None:
    given = environ | {"OPS_BASE_URL": "http://elsewhere:1", "OPS_CONTEXT": "prod"}
    assert find("staging", given).name == "staging"
    assert find(None, given).base_url == "http://elsewhere:1"


@pytest.mark.parametrize("path", ["var/run/system.json", "config/corridor/contexts.toml"])
def test_tokens_that_others_can_read_are_refused(environ: dict[str, str], tmp_path: Path, path: str) -> None:
    (tmp_path / path).chmod(0o644)
    with pytest.raises(OpsError) as refused:
        find("staging" if "contexts" in path else None, environ)
    assert refused.value.code is Exit.NOT_ALLOWED
    assert refused.value.hint.startswith("chmod 600")


def test_a_context_that_there_is_not_is_2_and_lists_the_others(environ: dict[str, str]) -> None:
    with pytest.raises(OpsError, match="no context 'stagin'") as refused:
        find("stagin", environ)
    assert (refused.value.code, refused.value.hint) == (Exit.USAGE, "it has: local, prod, staging")


def test_no_system_at_all_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(OpsError) as refused:
        find(None, {"CORRIDOR_VAR": str(tmp_path)})
    assert refused.value.code is Exit.UNAVAILABLE
    assert "make up" in refused.value.hint


def test_a_role_by_name_is_not_silently_another(environ: dict[str, str]) -> None:
    with pytest.raises(OpsError, match="no token of a admin"):
        find("staging", environ).bearer("admin", chosen=True)


@pytest.mark.parametrize("url", ["localhost:80", "ftp://x", "http://", "http://x?y=1"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(OpsError, match="not the address"):
        find(None, {"OPS_BASE_URL": url})


def test_a_target_does_not_show_its_secrets(environ: dict[str, str]) -> None:
    shown = repr(find("staging", environ)) + repr(
        find(None, environ | {"OPS_BASE_URL": "http://x", "OPS_TOKEN": TOKEN})
    )
    assert "'s'" not in shown
    assert TOKEN not in shown


def test_config_show_tells_what_there_is_and_not_what_it_is(door: Door, ops: Ops) -> None:
    ran = ops("config", "show", "--json")
    assert ran.json["base_url"] == door.url
    assert ran.json["tokens"] == {"token": "set"}
