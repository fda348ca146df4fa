"""Figures mean what their names say."""

import math

import pytest

from scripts.bench.numbers import completed, milliseconds, percentile, ratios, rounded, within
from scripts.bench.plan import Outcome, Plan, Window, decode_plan, decode_said, encode
from scripts.bench.profile import top
from scripts.bench.report import BASELINES, GOALS, missed, reached, whole


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1), (0.991, 100)])
def test_a_percentile_is_a_value_that_was_measured(share: float, expected: float) -> None:
    assert percentile([float(n) for n in range(100, 0, -1)], share) == expected


def test_nothing_measured_has_no_percentile() -> None:
    assert math.isnan(percentile([], 0.99))
    assert rounded(milliseconds("quote", [])) == {}


def test_latencies_are_given_in_milliseconds() -> None:
    assert milliseconds("quote", [0.25]) == {"quote_p50_ms": 250.0, "quote_p99_ms": 250.0}


def test_a_loop_is_complete_when_it_is_settled_and_posted_whichever_comes_last() -> None:
    settled, posted = {"a": 10.0, "b": 12.0, "unposted": 1.0}, {"a": 11.0, "b": 11.0, "unsettled": 1.0}
    assert completed(settled, posted) == {"a": 11.0, "b": 12.0}


def test_a_window_has_its_first_instant_and_not_its_last() -> None:
    assert within({"a": 9.999, "b": 10.0, "c": 19.999, "d": 20.0}, 10.0, 20.0) == 2


def test_a_ratio_needs_both_sides() -> None:
    baselines = {"relay": "bare", "rebuild": "missing", "absent": "bare", "zero": "nothing"}
    figures = {"relay": 5.0, "rebuild": 5.0, "bare": 10.0, "zero": 1.0, "nothing": 0.0}
    assert ratios(figures, baselines) == {"relay_ratio": 0.5}


def test_figures_have_four_digits_and_large_ones_no_fraction() -> None:
    found = rounded({"a": 1234.567, "b": 12.34567, "c": 0.00123456, "d": math.nan, "e": math.inf})
    assert found == {"a": 1235.0, "b": 12.35, "c": 0.001235}


def test_every_figure_of_the_baseline_that_is_named_can_be_measured() -> None:
    measured = {"events_per_loop": 19.0, "baseline_insert_rows_per_second": 19_000.0,
                "baseline_kafka_records_per_second": 19_000.0, "baseline_kafka_produced_records_per_second": 40_000.0,
                "baseline_kafka_consumed_records_per_second": 40_000.0, "baseline_commit_p99_ms": 2.0,
                "baseline_kafka_round_trip_p99_ms": 1.0, "baseline_ledger_entries_per_second": 9_000.0}  # fmt: skip
    figures = whole(measured | dict.fromkeys(BASELINES, 100.0))
    assert figures["baseline_loops_per_second"] == 500.0
    assert figures["loops_per_second_bulk_ratio"] == 0.2
    assert figures["baseline_path_p99_ms"] == 5 * 2.0 + 4 * 1.0
    assert {f"{name}_ratio" for name in BASELINES} <= figures.keys()


def test_figures_are_one_flat_object_of_numbers() -> None:
    assert all(isinstance(value, float) for value in whole({"loops_per_second_bulk": 401.0, "fsync_on": 1.0}).values())


def test_a_goal_is_met_on_its_limit_and_missed_beyond_it() -> None:
    for name, (side, limit) in GOALS.items():
        beyond = limit - 1 if side == ">=" else limit + 1
        assert reached(name, limit)
        assert not reached(name, beyond)
        assert missed({name: beyond, "nobody_asked": 0.0}) == [name]
    assert missed({}) == []


def test_a_profile_counts_where_the_samples_were_taken() -> None:
    stacks = "main (a.py:1);run (b.py:2);encode (c.py:3) 30\nmain (a.py:1);encode (c.py:3) 45\nmain (a.py:1) 25\n"
    assert top(stacks) == [("encode (c.py:3)", 75.0), ("main (a.py:1)", 25.0)]
    assert top("") == []


def test_plan_and_what_is_said_survive_the_pipe() -> None:
    plan = Plan(mode="single", system={"base_url": "http://x"}, seconds=1.0, warm_up_seconds=0.5, drain_seconds=2.0)
    assert decode_plan(encode(plan)) == plan
    outcome = Outcome(
        begin=1.0, end=2.0, funded=3, drained_seconds=0.5, drained=True, retries=0, retried={}, refused={},
        seconds={"quote": [0.1]}, intended={},
    )  # fmt: skip
    assert decode_said(encode(outcome)) == outcome
    assert decode_said(encode(Window(at=5.0))) == Window(at=5.0)
