"""What people type."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.ops_cli.exits import Exit, OpsError
from services.ops_cli.values import instant, money, seconds, shown

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "minor", "currency"),
    [("125.50 GBP", 12_550, "GBP"), ("125 GBP", 12_500, "GBP"), ("125.5 GBP", 12_550, "GBP"), ("7 JPY", 7, "JPY"),
     ("1.234 KWD", 1_234, "KWD"), (" 0.01 USD ", 1, "USD"), ("5USD", 500, "USD")],
)  # fmt: skip
def test_amounts(text: str, minor: int, currency: str) -> None:
    assert (money(text).minor, money(text).currency) == (minor, currency)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("125.505 GBP", "2 digits"), ("7.5 JPY", "0 digits"), ("1,250.00 GBP", "not an amount"),
        ("GBP", "not an amount"),
        ("-5 GBP", "not an amount"), ("12 XXX", "no ISO 4217"), ("12 XAU", "no ISO 4217"), ("12 gbp", "no ISO 4217"),
        ("12.00", "not an amount"), ("9999999999999999 GBP", "more than"), ("1e3 GBP", "not an amount"),
        ("٣ GBP", "not an amount"),
    ],
)  # fmt: skip
def test_what_is_no_amount(text: str, words: str) -> None:
    with pytest.raises(OpsError, match=words) as refused:
        money(text)
    assert refused.value.code is Exit.USAGE


def test_a_currency_that_is_nearly_one_is_suggested() -> None:
    with pytest.raises(OpsError) as refused:
        money("12 gbp")
    assert refused.value.hint == "did you mean GBP?"


@pytest.mark.parametrize(
    ("text", "at"),
    [("-2h", NOW - timedelta(hours=2)), ("-90s", NOW - timedelta(seconds=90)), ("-1d", NOW - timedelta(days=1)),
     ("now", NOW), ("2026-01-31T13:00:00+01:00", NOW), ("2026-01-31T12:00:00Z", NOW)],
)  # fmt: skip
def test_times(text: str, at: datetime) -> None:
    assert instant(text, NOW) == at


@pytest.mark.parametrize("text", ["2026-01-31T12:00:00", "yesterday", "-2x", "-", "2026-13-01T00:00:00Z", "-1h30m"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(OpsError) as refused:
        instant(text, NOW)
    assert refused.value.code is Exit.USAGE


@pytest.mark.parametrize(("text", "number"), [("30", 30), ("30s", 30), ("5m", 300), ("2h", 7_200), ("1d", 86_400)])
def test_lengths_of_time(text: str, number: int) -> None:
    assert seconds(text) == number


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [(123_456_789, "GBP", "1,234,567.89 GBP"), (-5, "GBP", "-0.05 GBP"), (5_000, "JPY", "5,000 JPY"),
     (1, "KWD", "0.001 KWD"), (7, "???", "7 minor ???")],
)  # fmt: skip
def test_amounts_for_people(minor: int, currency: str, text: str) -> None:
    assert shown(minor, currency) == text
