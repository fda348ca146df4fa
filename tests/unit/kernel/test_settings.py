"""A process with unsafe settings does not start, and says every reason without showing a value."""

from __future__ import annotations

import base64
import subprocess
import sys
from dataclasses import dataclass
from typing import Annotated

import pytest

from services.kernel.settings import Kernel, Secret, SharedKey, Unsafe, Var, is_key_32, load

SOUND = {
    "ENV": "dev",
    "DATABASE_URL": "postgresql://app:hunter2@db/corridor",
    "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
    "JWT_SECRET": "0f9d1c3b5a7e8842",
}
IN_PROD = SOUND | {"ENV": "prod", "RELEASE_SHA": "abc1234"}


def refused(environ: dict[str, str], cls: type[Kernel] = Kernel) -> list[str]:
    with pytest.raises(Unsafe) as caught:
        load(cls, "quote", environ)
    return [fault.split(":")[0] for fault in caught.value.faults]


@dataclass(frozen=True, kw_only=True)
class Extended(Kernel):
    max_age_seconds: Annotated[int, Var("MAX_AGE_SECONDS", at_least=1, at_most=60)] = 30
    kek: Annotated[Secret, Var("CORRIDOR_KEK", check=is_key_32)]
    webhooks: Annotated[tuple[SharedKey, ...], Var("WEBHOOK_SECRETS")] = ()


KEK = {"CORRIDOR_KEK": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}


def test_sound_settings_are_read() -> None:
    settings = load(Kernel, "quote", SOUND)
    assert (settings.service, settings.env, settings.tenant, settings.partitions) == ("quote", "dev", "corridor", 4)
    assert settings.database_url.reveal() == SOUND["DATABASE_URL"]


def test_everything_that_is_missing_is_said_at_once() -> None:
    assert refused({}) == ["ENV", "DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "JWT_SECRET"]


def test_a_variable_of_blanks_is_missing() -> None:
    assert refused(SOUND | {"DATABASE_URL": "  "}) == ["DATABASE_URL"]


@pytest.mark.parametrize("env", ["production", "PROD", "local"])
def test_an_unknown_environment_is_refused(env: str) -> None:
    assert refused(SOUND | {"ENV": env}) == ["ENV"]


def test_a_database_that_is_not_postgresql_is_refused() -> None:
    assert refused(SOUND | {"DATABASE_URL": "sqlite:///x"}) == ["DATABASE_URL"]


def test_a_token_secret_of_15_characters_is_refused() -> None:
    assert refused(SOUND | {"JWT_SECRET": "0f9d1c3b5a7e884"}) == ["JWT_SECRET"]


@pytest.mark.parametrize("env", ["staging", "prod"])
def test_an_example_secret_is_refused_where_money_is_real(env: str) -> None:
    assert refused(IN_PROD | {"ENV": env, "JWT_SECRET": "Test-secret-0123456789"}) == ["JWT_SECRET"]


def test_an_example_secret_serves_in_dev() -> None:
    load(Kernel, "quote", SOUND | {"JWT_SECRET": "test-secret-0123456789"})


def test_rotation_to_the_same_secret_is_refused() -> None:
    assert refused(SOUND | {"JWT_SECRET_PREVIOUS": SOUND["JWT_SECRET"]}) == ["JWT_SECRET_PREVIOUS"]


def test_an_example_as_the_previous_secret_is_refused_where_money_is_real() -> None:
    assert refused(IN_PROD | {"JWT_SECRET_PREVIOUS": "Test-secret-0123456789"}) == ["JWT_SECRET_PREVIOUS"]


def test_two_token_secrets_under_one_key_id_are_refused() -> None:
    """The id says which secret a token was signed with: under one id the old tokens would be refused."""
    same = {"JWT_KEY_ID": "a", "JWT_SECRET_PREVIOUS": "7e5b3a1c9d0f2846", "JWT_KEY_ID_PREVIOUS": "a"}
    assert refused(SOUND | same) == ["JWT_KEY_ID_PREVIOUS"]
    load(Kernel, "quote", SOUND | same | {"JWT_KEY_ID_PREVIOUS": "b"})


def test_any_origin_is_refused_in_prod() -> None:
    assert refused(IN_PROD | {"CORS_ALLOW_ORIGINS": "https://a.example, *"}) == ["CORS_ALLOW_ORIGINS"]


def test_origins_are_a_list() -> None:
    origins = load(Kernel, "core_api", IN_PROD | {"CORS_ALLOW_ORIGINS": "https://a.example, https://b.example"})
    assert origins.cors_allow_origins == ("https://a.example", "https://b.example")


def test_prod_needs_to_know_what_it_runs() -> None:
    assert refused(IN_PROD | {"RELEASE_SHA": ""}) == ["RELEASE_SHA"]


@pytest.mark.parametrize(("text", "fine"), [("0", False), ("1", True), ("60", True), ("61", False), ("1_0", False)])
def test_the_edges_of_a_number_hold(text: str, fine: bool) -> None:
    environ = SOUND | KEK | {"MAX_AGE_SECONDS": text}
    if fine:
        assert load(Extended, "quote", environ).max_age_seconds == int(text)
    else:
        assert refused(environ, Extended) == ["MAX_AGE_SECONDS"]


@pytest.mark.parametrize("text", ["", "short", "MDEyMzQ1Njc4OWFiY2RlZg==", "%" * 44])
def test_a_key_that_is_not_32_bytes_is_refused(text: str) -> None:
    assert refused(SOUND | {"CORRIDOR_KEK": text}, Extended) == ["CORRIDOR_KEK"]


@pytest.mark.parametrize("env", ["staging", "prod"])
def test_a_key_of_32_equal_bytes_is_refused_where_money_is_real(env: str) -> None:
    equal = {"CORRIDOR_KEK": base64.b64encode(bytes(32)).decode()}
    assert refused(IN_PROD | equal | {"ENV": env}, Extended) == ["CORRIDOR_KEK"]
    load(Extended, "quote", SOUND | equal)
    load(Extended, "quote", IN_PROD | KEK | {"ENV": env})


def test_shared_keys_name_partner_and_key() -> None:
    secret = "s" * 24
    settings = load(
        Extended, "deposit_watcher", SOUND | KEK | {"WEBHOOK_SECRETS": f"acme:k1:{secret}, zed:k2:{secret}"}
    )
    assert settings.webhooks == (SharedKey("acme", "k1", Secret(secret)), SharedKey("zed", "k2", Secret(secret)))


@pytest.mark.parametrize("text", ["acme:k1:", "acme:k1:" + "s" * 23, "acme::" + "s" * 24, "s" * 40])
def test_an_empty_or_short_webhook_secret_is_refused(text: str) -> None:
    assert refused(SOUND | KEK | {"WEBHOOK_SECRETS": text}, Extended) == ["WEBHOOK_SECRETS"]


def test_one_key_id_for_two_shared_keys_is_refused() -> None:
    """One of them would never be tried."""
    text = f"acme:k1:{'s' * 24},zed:k1:{'t' * 24}"
    assert refused(SOUND | KEK | {"WEBHOOK_SECRETS": text}, Extended) == ["WEBHOOK_SECRETS"]


def test_a_secret_is_never_shown() -> None:
    settings = load(Kernel, "quote", SOUND)
    shown = f"{settings} {settings!r} {settings.jwt_secret} {settings.jwt_secret!r} {[settings.database_url]}"
    assert "hunter2" not in shown
    assert SOUND["JWT_SECRET"] not in shown


def test_a_refusal_never_shows_a_value() -> None:
    with pytest.raises(Unsafe) as caught:
        load(Kernel, "quote", {"JWT_SECRET": "hunter2", "DATABASE_URL": "mysql://hunter2"})
    assert "hunter2" not in str(caught.value)


def test_unsafe_settings_end_the_process_with_code_2() -> None:
    script = "from services.kernel.settings import *; load_or_exit(Kernel, 'quote')"
    ended = subprocess.run([sys.executable, "-c", script], env={"ENV": "dev"}, capture_output=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.decode().splitlines()[1:] == [
        "  DATABASE_URL: is missing", "  KAFKA_BOOTSTRAP_SERVERS: is missing", "  JWT_SECRET: is missing",
    ]  # fmt: skip
