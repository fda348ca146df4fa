"""S3-03 to S3-06: with what core_api does not start."""

from __future__ import annotations

import base64

import pytest

from services.core_api.__main__ import Settings
from services.kernel.settings import Unsafe, load

PASSWORD = "q7Zt2mWx"
BEHIND = ("QUOTE", "TRANSFER", "DEPOSIT", "PAYOUT", "LEDGER")
PROD = {
    "ENV": "prod",
    "RELEASE_SHA": "f00",
    "DATABASE_URL": f"postgresql://core:{PASSWORD}@db/corridor",
    "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
    "JWT_SECRET": "Zq8rT2vXw5yB7nM4",
    "CORRIDOR_KEK": base64.b64encode(bytes(range(32))).decode(),
    "CORS_ALLOW_ORIGINS": "https://app.corridor.money",
    **{f"{name}_URL": f"http://{name.lower()}:8080" for name in BEHIND},
}


def faults(**change: str) -> list[str]:
    with pytest.raises(Unsafe) as refused:
        load(Settings, "core_api", PROD | change)
    return refused.value.faults


def test_these_settings_are_sound() -> None:
    settings = load(Settings, "core_api", PROD)
    assert (settings.review_url, settings.login_rate, settings.user_rate, settings.proxies) == (None, 60, 0, 0)


@pytest.mark.parametrize("origins", ["", "*", "https://app.corridor.money,*"])
def test_s3_04_in_prod_any_origin_and_none_at_all_are_refused(origins: str) -> None:
    assert all(fault.startswith("CORS_ALLOW_ORIGINS") for fault in faults(CORS_ALLOW_ORIGINS=origins))


@pytest.mark.parametrize(
    "origin", ["https://a.example/", "a.example", "null", "https://a.example/x", "ftp://a.example"]
)
def test_s3_04_what_no_browser_sends_is_no_origin(origin: str) -> None:
    assert faults(CORS_ALLOW_ORIGINS=origin)


def test_s3_04_in_dev_nobody_or_everybody_may_be_named() -> None:
    for origins in ("", "*"):
        load(Settings, "core_api", PROD | {"ENV": "dev", "CORS_ALLOW_ORIGINS": origins})


def test_s3_03_an_unknown_environment_is_refused() -> None:
    assert faults(ENV="production")


def test_s3_05_a_missing_database_is_refused_and_a_password_is_never_shown() -> None:
    assert faults(DATABASE_URL="") == ["DATABASE_URL: is missing"]
    assert PASSWORD not in str(faults(DATABASE_URL=f"mysql://core:{PASSWORD}@db/corridor"))
    assert PASSWORD not in repr(load(Settings, "core_api", PROD))


@pytest.mark.parametrize("secret", ["", "fifteen-chars-x", "changeme-changeme"])
def test_s3_06_a_missing_short_or_default_token_secret_is_refused(secret: str) -> None:
    assert all(fault.startswith("JWT_SECRET") for fault in faults(JWT_SECRET=secret))
