"""Which Python the environment is made with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import bootstrap


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({"ours": 1.0}, "ours"),
        ({"ours": 1.0, "theirs": 0.5}, "theirs"),
        ({"ours": 1.0, "theirs": 0.95}, "ours"),  # noise
        ({"ours": 0.5, "theirs": 1.0}, "ours"),
        ({"ours": 1.0, "theirs": float("inf")}, "ours"),  # it did not even run
    ],
)
def test_the_fastest_python_is_taken_when_it_is_clearly_faster(
    seconds: dict[str, float], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "timed", lambda python: seconds[python])
    assert bootstrap.fastest(list(seconds)) == chosen


def test_the_python_that_runs_us_comes_first_and_can_be_timed() -> None:
    found = bootstrap.interpreters()
    assert Path(found[0]).samefile(sys.executable)
    assert len({Path(each).resolve() for each in found}) == len(found)
    assert 0 < bootstrap.timed(found[0]) < 60


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere an interpreter's form is not known")
def test_a_script_that_stands_for_a_python_is_none(tmp_path: Path) -> None:
    shim = tmp_path / "python3.11"
    shim.write_text('#!/bin/sh\nexec python3 "$@"\n')
    assert not bootstrap.works(str(shim))
    assert not bootstrap.works(str(tmp_path / "nothing"))


def test_a_python_that_fails_is_never_the_fastest(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    assert bootstrap.timed(str(broken)) == float("inf")


def test_the_python_that_was_asked_for_comes_before_others_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "python{}.{}".format(*sys.version_info)
    for folder in ("a", "z"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(b"\x7fELF")
        (tmp_path / folder / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "z" / name))
    monkeypatch.setenv("PATH", f"{tmp_path}/a:{tmp_path}/z")
    assert bootstrap.interpreters()[:2] == [str(tmp_path / "z" / name), str(tmp_path / "a" / name)]


def test_a_python_that_may_not_be_run_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "python"
    file.write_bytes(b"\x7fELF")
    file.chmod(0o644)
    assert not bootstrap.works(str(file))
    assert bootstrap.timed(str(file)) == float("inf")


def test_the_command_line_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "a checkout"
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / "ops-cli").write_text('#!/bin/sh\necho "asked: $*"\n')
    (root / "ops-cli").chmod(0o755)
    monkeypatch.setattr(bootstrap, "ROOT", root)
    monkeypatch.setattr(bootstrap, "OPS_CLI", root / ".venv" / "bin" / "ops-cli")
    bootstrap.write_launcher()
    monkeypatch.setenv("PATH", f"{root}/.venv/bin:{os.environ['PATH']}")
    done = subprocess.run(["ops-cli", "recon", "run"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (0, "asked: recon run\n")
