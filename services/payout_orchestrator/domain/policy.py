"""The numbers and the rule of payouts, as data: how long, how often, how much without asking anybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from services.kernel.money import Currency, Money, iso4217


@dataclass(frozen=True, kw_only=True, slots=True)
class Deadlines:
    """How long each stage may last and how often a partner is bothered. Configuration; these are the defaults."""

    approval: timedelta = timedelta(hours=1)
    submission: timedelta = timedelta(hours=4)  # above an hour without the partner; the transfer calls after 10 minutes
    lease: timedelta = timedelta(seconds=60)  # above the rail's own timeout, so that no live call outlasts it
    first_poll: timedelta = timedelta(seconds=60)
    poll_max: timedelta = timedelta(minutes=15)
    settlement: timedelta = timedelta(hours=24)
    unknown_first_ask: timedelta = timedelta(seconds=5)
    unknown_ask_max: timedelta = timedelta(seconds=60)
    settling_delay: timedelta = timedelta(seconds=30)  # of the partner: NOT_FOUND earlier than this proves nothing
    unknown_deadline: timedelta = timedelta(hours=1)
    submit_attempts_max: int = 8  # that may have reached the partner; with the two below about ten minutes
    retry_first: timedelta = timedelta(seconds=5)
    retry_max: timedelta = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Rules:
    """Up to which amount of a currency nobody needs to approve; a currency that is not named always needs somebody."""

    automatic_up_to: Mapping[Currency, Money]

    def approve(self, amount: Money) -> bool:
        """Whether the rule approves by itself."""
        limit = self.automatic_up_to.get(amount.currency)
        return limit is not None and amount <= limit


def rules(limits_minor: Mapping[str, int]) -> Rules:
    """Rules from minor units by ISO 4217 code. Raises Invalid."""
    return Rules({iso4217(code): Money(minor, iso4217(code)) for code, minor in limits_minor.items()})


# About 5,000 GBP each, the sum from which most corridors ask for the source of funds.
DEFAULT_RULES = rules(
    {
        "ETB": 100_000_000, "KES": 85_000_000, "NGN": 1_000_000_000, "GHS": 9_500_000, "UGX": 23_000_000,
        "INR": 55_000_000, "NPR": 88_000_000, "PHP": 36_000_000, "XOF": 3_700_000, "JPY": 950_000,
        "EUR": 580_000, "USD": 630_000, "GBP": 500_000,
    }
)  # fmt: skip


def backoff(first: timedelta, longest: timedelta, attempt: int) -> timedelta:
    """`first`, doubled with each attempt from the second on, at most `longest`."""
    doublings = min(max(attempt - 1, 0), 20)  # a million times `first` is longer than any `longest`
    return min(first * (1 << doublings), longest)
