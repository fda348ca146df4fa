"""How old the oldest record is that nobody has taken, from what a consumer sees."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from services.kernel.lag import Lag

AT = ("jars", 0)
NOW = 1_000_000.0


def record(offset: int, came: float, partition: int = 0) -> Any:
    return SimpleNamespace(topic="jars", partition=partition, offset=offset, timestamp=int(came * 1_000))


def test_who_has_taken_all_is_not_behind() -> None:
    lag = Lag()
    lag.took([record(4, NOW - 500)], NOW)
    assert lag.look({AT: 5}, {AT: 5}, NOW) == {"jars": (0, 0.0)}
    assert lag.look({AT: 5}, {}, NOW) == {"jars": (0, 0.0)}


def test_behind_a_record_that_was_taken_comes_one_that_is_as_old() -> None:
    lag = Lag()
    lag.took([record(3, NOW - 700), record(4, NOW - 600)], NOW)
    assert lag.look({AT: 5}, {AT: 9}, NOW) == {"jars": (4, 600.0)}


def test_what_comes_after_a_quiet_time_is_as_old_as_the_last_look() -> None:
    lag = Lag()
    lag.took([record(4, NOW - 3_600)], NOW - 3_600)
    lag.look({AT: 5}, {AT: 5}, NOW - 5)
    assert lag.look({AT: 5}, {AT: 6}, NOW) == {"jars": (1, 5.0)}


def test_a_consumer_that_is_stuck_gets_older_although_no_fetch_tells_it_more() -> None:
    lag = Lag()
    lag.look({AT: 5}, {AT: 5}, NOW)
    assert [lag.look({AT: 5}, {AT: 6}, NOW + later)["jars"] for later in (10, 20)] == [(1, 10.0), (1, 20.0)]


def test_what_waited_for_a_start_is_as_old_as_its_own_time_says() -> None:
    lag = Lag()
    assert lag.look({AT: 0}, {AT: 1_000}, NOW) == {"jars": (1_000, 0.0)}
    lag.took([record(9, NOW - 7_200)], NOW)
    assert lag.look({AT: 10}, {AT: 1_000}, NOW + 1) == {"jars": (990, 7_201.0)}


def test_what_was_given_back_was_not_taken() -> None:
    lag = Lag()
    lag.look({AT: 5}, {AT: 5}, NOW)
    lag.took([record(8, NOW + 30)], NOW + 30)
    assert lag.look({AT: 5}, {AT: 9}, NOW + 40) == {"jars": (4, 40.0)}


def test_a_clock_ahead_of_ours_is_not_believed_and_the_oldest_partition_speaks_for_its_topic() -> None:
    lag, other = Lag(), ("jars", 1)
    lag.took([record(4, NOW + 9_999), record(1, NOW - 30, 1)], NOW)
    assert lag.look({AT: 5, other: 2}, {AT: 6, other: 4}, NOW + 1) == {"jars": (3, 31.0)}


def test_a_partition_that_went_away_is_forgotten() -> None:
    lag = Lag()
    lag.took([record(4, NOW - 600)], NOW)
    lag.look({AT: 5}, {AT: 9}, NOW)
    assert lag.look({}, {}, NOW) == {}
    assert lag.look({AT: 5}, {AT: 9}, NOW) == {"jars": (4, 0.0)}
