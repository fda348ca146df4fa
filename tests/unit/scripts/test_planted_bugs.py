"""The list of planted bugs does not rot: each patch fits the code, and what is said of a bug is what happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.planted_bugs.__main__ import chosen, code
from scripts.planted_bugs.bench import Run, named
from scripts.planted_bugs.bug import AREAS, Bug, DoesNotApply, bugs, planted
from scripts.planted_bugs.trial import Outcome, Verdict, judged, selections

ROOT = Path(__file__).parents[3]
ALL = [bug for area in AREAS for bug in bugs(area)]
BUG = Bug("b", "it breaks", "f.py", "old", "new", ("tests/t.py",))


@pytest.mark.parametrize("bug", ALL, ids=lambda bug: bug.name)
def test_a_patch_fits_the_code_as_it_is(bug: Bug) -> None:
    text = (ROOT / bug.file).read_text()
    assert planted(bug, text) != text


@pytest.mark.parametrize("bug", ALL, ids=lambda bug: bug.name)
def test_the_tests_that_must_catch_it_are_there(bug: Bug) -> None:
    assert bug.tests
    for test in bug.tests:
        file, _, function = test.partition("::")
        assert not function or f"def {function.partition('[')[0]}(" in (ROOT / file).read_text()
        assert (ROOT / file).exists()


def test_names_are_told_apart_and_say_what_breaks() -> None:
    assert len({bug.name for bug in ALL}) == len(ALL) >= 25
    assert all(bug.breaks for bug in ALL)


def test_the_ledger_has_bugs_in_its_domain_its_store_its_tables_and_in_reconciliation() -> None:
    files = " ".join(bug.file for bug in bugs("ledger"))
    for room in ("services/ledger/domain/", "services/kernel/book", "services/kernel/sql/", "services/reconciliation/"):
        assert room in files


@pytest.mark.parametrize("text", ["none of it", "old and old"])
def test_a_patch_that_does_not_fit_once_does_not_apply(text: str) -> None:
    with pytest.raises(DoesNotApply):
        planted(BUG, text)


SAID = """..F
=========================== short test summary info ============================
FAILED tests/t.py::test_a[x] - AssertionError: 1 - 2
ERROR tests/t.py::test_b - boom
ERROR tests/t.py - SyntaxError
"""


def test_what_pytest_says_is_read() -> None:
    assert named("FAILED ", SAID) == ("tests/t.py::test_a[x]",)
    assert named("ERROR ", SAID) == ("tests/t.py::test_b",)


@pytest.mark.parametrize(
    ("run", "outcome", "by"),
    [
        (Run(0, (), (), "3 passed"), "survived", ""),
        (Run(1, ("t::a",), (), ""), "caught", "t::a"),
        (Run(1, (), ("t::a",), ""), "broken", "t::a"),
        (Run(1, ("t::a",), ("t::b",), ""), "broken", "t::a, t::b"),
        (Run(2, (), (), "ERROR t - SyntaxError"), "broken", "ERROR t - SyntaxError"),
        (Run(None, (), (), ""), "too slow", ""),
    ],
)
def test_only_a_test_that_ran_catches(run: Run, outcome: str, by: str) -> None:
    assert judged(run) == (outcome, by)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (("caught", "caught"), 0), (("caught", "survived"), 1), (("too slow",), 1), (("does not apply", "survived"), 3),
        (("broken", "caught"), 3),
    ],
)  # fmt: skip
def test_only_all_caught_is_0(outcomes: tuple[Outcome, ...], expected: int) -> None:
    assert code([Verdict(BUG, outcome, "", 0.0) for outcome in outcomes]) == expected


def test_a_test_of_a_file_that_is_wanted_whole_is_not_named_again() -> None:
    one = BUG._replace(tests=("tests/t.py::test_a", "tests/u.py::test_c"))
    assert selections([one, BUG]) == ["tests/u.py::test_c", "tests/t.py"]


def test_a_name_that_no_bug_has_is_said() -> None:
    assert chosen([BUG], ["b"]) == [BUG]
    with pytest.raises(SystemExit):
        chosen([BUG], ["c"])
