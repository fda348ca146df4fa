"""Who may wait gives way while the machine is full, and not for ever."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from services.kernel.bus import HOLD_SECONDS, POLL_RECORDS_MAX, _apart
from services.kernel.pressure import Pressure
from services.kernel.service import LATE_SECONDS_MAX
from tests.unit.kernel.test_lanes import runtime


def told(path: Path, percent: float) -> Path:
    path.write_text(f"some avg10={percent:.2f} avg60=1.00 avg300=0.00 total=9\nfull avg10=0.00 avg60=0.00\n")
    return path


@pytest.mark.parametrize(("percent", "full"), [(0.0, False), (30.0, False), (30.01, True), (99.5, True)])
def test_a_machine_is_full_when_somebody_waits_much_of_the_time(tmp_path: Path, percent: float, full: bool) -> None:
    assert Pressure(told(tmp_path / "cpu", percent)).is_full() is full


@pytest.mark.parametrize("text", [None, "", "some avg10=much avg60=0", "nothing"])
def test_a_machine_that_does_not_tell_is_never_full(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "cpu"
    if text is not None:
        path.write_text(text)
    assert Pressure(path).is_full() is False


def test_it_is_looked_at_once_a_second(tmp_path: Path) -> None:
    now = 100.0
    pressure = Pressure(told(tmp_path / "cpu", 99.0), lambda: now)
    assert pressure.is_full()
    told(tmp_path / "cpu", 0.0)
    now = 100.9
    assert pressure.is_full()
    now = 101.0
    assert not pressure.is_full()


def assignment(behind: int) -> SimpleNamespace:
    state = SimpleNamespace(highwater=1_000 + behind, position=1_000, has_valid_position=True)
    return SimpleNamespace(tps=[0], state_value=lambda _: state)


@pytest.mark.parametrize(
    ("behind", "holds", "seconds"),
    [
        (0, False, 1.5), (0, True, 1.5), (POLL_RECORDS_MAX - 1, True, 1.5), (POLL_RECORDS_MAX, False, 0.0),
        (POLL_RECORDS_MAX, True, HOLD_SECONDS),
    ],
)  # fmt: skip
def test_a_full_poll_is_fetched_at_once_unless_we_hold_back(behind: int, holds: bool, seconds: float) -> None:
    assert _apart(assignment(behind), 1.5, lambda: holds) == seconds


@pytest.mark.parametrize(
    ("niceness", "late", "percent", "gives"),
    [("15", 0.0, 99.0, True), ("0", 0.0, 99.0, False), ("15", 0.0, 1.0, False), ("15", LATE_SECONDS_MAX, 99.0, False)],
)
def test_who_gives_way_does_it_on_a_full_machine_until_somebody_misses_it(
    tmp_path: Path, niceness: str, late: float, percent: float, gives: bool
) -> None:
    made = runtime(CORRIDOR_NICENESS=niceness)
    made._pressure, made._late_seconds = Pressure(told(tmp_path / "cpu", percent)), late
    assert made._gives_way() is gives
