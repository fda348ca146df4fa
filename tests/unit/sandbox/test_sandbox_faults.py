"""The fault switches: what they hit, how often, and what they may not be."""

from random import Random
from typing import Any

import pytest

from services.sandbox.faults import Faults, parse_rules

ITEMS = [{"currency": "ETB"}, {"currency": "XOF"}, {"currency": "ETB"}]


def faults(**rule: Any) -> Faults:
    return Faults(Random(7), parse_rules(rule))


def test_an_answer_fault_hits_once_however_many_items_match() -> None:
    switches = faults(on="submit", fault="error_500", times=2)

    hits = [len(switches.strike("submit", ITEMS).whole) for _ in range(3)]

    assert hits == [1, 1, 0]


def test_an_item_fault_is_counted_by_item() -> None:
    switches = faults(on="submit", fault="refuse", times=2, match={"currency": ["ETB", "KWD"]})

    assert list(switches.strike("submit", ITEMS).items) == [0, 2]
    assert not switches.strike("submit", ITEMS).hit


def test_a_rule_for_another_place_never_hits() -> None:
    assert not faults(on="status", fault="error_500").strike("submit", ITEMS).hit


def test_probability_is_rolled_for_the_answer_and_not_for_each_item() -> None:
    switches = faults(on="submit", fault="error_500", probability=0.01)

    hits = sum(switches.strike("submit", ITEMS * 166).hit for _ in range(1_000))

    assert 1 <= hits <= 30


@pytest.mark.parametrize(
    "rule",
    [
        {"on": "submit", "fault": "no_callback"},
        {"on": "submit", "fault": "error_500", "probability": 2},
        {"on": "submit", "fault": "error_500", "times": "once"},
        {"on": "submit", "fault": "error_500", "typo": 1},
        {"on": "callback", "fault": "duplicate_callback", "n": 1_000_000},
        "error_500",
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the sentence is for people
        parse_rules([rule])
