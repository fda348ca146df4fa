"""The settings of the payout orchestrator: no live call may outlast a lease, and what is configured is what decides."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scripts.chaos.__main__ import SHORTENED as IN_CHAOS
from scripts.demo.__main__ import SHORTENED as IN_THE_DEMO
from services.kernel.settings import Unsafe, load
from services.payout_orchestrator.__main__ import Settings, deadlines_of
from services.payout_orchestrator.domain.policy import Deadlines

SOUND = {
    "ENV": "dev",
    "DATABASE_URL": "postgresql://app:hunter2@db/corridor",
    "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
    "JWT_SECRET": "0f9d1c3b5a7e8842",
    "BANK_URL": "http://bank",
    "BANK_API_KEY": "0f9d1c3b5a7e8842",
    "PAYOUT_WEBHOOK_SECRETS": "bank:one:0f9d1c3b5a7e88420f9d1c3b",
    "CORRIDOR_KEK": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
}


def read(**environment: str) -> Settings:
    return load(Settings, "payout_orchestrator", SOUND | environment)


def refused(**environment: str) -> list[str]:
    with pytest.raises(Unsafe) as caught:
        read(**environment)
    return [fault.split(":")[0] for fault in caught.value.faults]


def test_what_is_not_configured_is_the_policys_own() -> None:
    assert deadlines_of(read()) == Deadlines()


def test_a_payout_that_is_not_submitted_waits_as_long_as_is_configured() -> None:
    assert deadlines_of(read(PAYOUT_SUBMISSION_SECONDS="60")).submission == timedelta(seconds=60)


def test_a_payouts_lease_must_be_above_the_time_of_a_call() -> None:
    read(BANK_TIMEOUT_SECONDS="20", PAYOUT_LEASE_SECONDS="21")
    assert refused(BANK_TIMEOUT_SECONDS="20", PAYOUT_LEASE_SECONDS="20") == ["PAYOUT_LEASE_SECONDS"]


def test_a_batchs_lease_must_be_above_the_time_of_a_question_and_a_submission() -> None:
    read(BANK_TIMEOUT_SECONDS="20", CORRIDOR_EFFECT_LEASE_SECONDS="41")
    assert refused(BANK_TIMEOUT_SECONDS="20", CORRIDOR_EFFECT_LEASE_SECONDS="40") == ["CORRIDOR_EFFECT_LEASE_SECONDS"]


@pytest.mark.parametrize("shortened", [IN_CHAOS, IN_THE_DEMO], ids=["chaos", "demo"])
def test_what_chaos_and_the_demo_shorten_is_sound(shortened: dict[str, dict[str, str]]) -> None:
    settings = read(**shortened["*"], **shortened["payout_orchestrator"])
    assert settings.effect_lease_seconds < 90
