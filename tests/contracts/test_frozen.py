"""The committed files are what is generated, and a frozen schema can only grow."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.contracts import files

OPENED = Path("contracts/schemas/corridor.transfer.opened.v1.json")
INITIATED = Path("contracts/transfer/examples/payout_initiated.v1.json")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A checkout to spoil."""
    for path in files.wanted():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(files.ROOT / path, tmp_path / path)
    return tmp_path


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))


def test_the_committed_files_are_frozen_and_up_to_date() -> None:
    assert files.faults() == []


def test_no_frozen_schema_was_edited_since_the_last_commit() -> None:
    probe = ["git", "-C", str(files.ROOT), "rev-parse", "--verify", "-q"]
    known = [name for name in ("origin/main", "HEAD") if subprocess.run([*probe, name], check=False).returncode == 0]
    if not known:
        pytest.skip("no git history here to compare with: a source archive has only the last state")
    assert files.since(known[0]) == []


def test_a_copy_has_no_faults(copy: Path) -> None:
    assert files.faults(copy) == []


def test_a_file_that_is_missing_is_found_and_written(copy: Path) -> None:
    (copy / OPENED).unlink()
    assert files.faults(copy) == [f"{OPENED}: is missing"]
    assert files.write(copy) == []
    assert files.faults(copy) == []


def test_a_file_that_differs_is_found_and_written(copy: Path) -> None:
    (copy / files.ASYNCAPI).write_text("asyncapi: 3.0.0\n")
    assert files.faults(copy) == [f"{files.ASYNCAPI}: is not what is generated"]
    assert files.write(copy) == []
    assert files.faults(copy) == []


def test_an_example_in_other_bytes_is_found(copy: Path) -> None:
    (copy / INITIATED).write_bytes((copy / INITIATED).read_bytes().replace(b",", b", "))
    assert files.faults(copy) == [f"{INITIATED}: is not what is generated"]


def test_a_schema_that_would_break_is_named_and_never_overwritten(copy: Path) -> None:
    edit(copy / OPENED, lambda schema: schema["properties"].update(purpose={"type": "string"}))
    before = (copy / OPENED).read_bytes()
    broken = f"{OPENED}: field_removed at $: purpose"
    assert broken in files.faults(copy)
    assert files.write(copy) == [broken]
    assert (copy / OPENED).read_bytes() == before


def test_an_optional_addition_is_written(copy: Path) -> None:
    edit(copy / OPENED, lambda schema: None)
    initiated = copy / "contracts/schemas/corridor.transfer.payout_initiated.v1.json"
    edit(initiated, lambda schema: schema["properties"].pop("rail"))
    assert files.not_additive({initiated.relative_to(copy): initiated.read_bytes()}) == []
    assert files.write(copy) == []
    assert files.faults(copy) == []


def test_an_example_keeps_its_earlier_form_beside_it(copy: Path) -> None:
    edit(copy / INITIATED, lambda example: example.pop("rail"))
    assert files.write(copy) == []
    kept = (copy / INITIATED).with_name("payout_initiated.v1.form1.json")
    assert "rail" not in json.loads(kept.read_bytes())
    assert list(files.older_examples(copy)) == [("corridor.transfer.payout_initiated.v1", kept)]
    assert files.faults(copy) == []


def test_an_earlier_form_that_cannot_be_read_any_more_is_found(copy: Path) -> None:
    kept = (copy / INITIATED).with_name("payout_initiated.v1.form1.json")
    shutil.copy(copy / INITIATED, kept)
    edit(kept, lambda example: example.pop("payout_id"))
    (fault,) = files.faults(copy)
    assert "payout_initiated.v1.form1.json: stored events of this form cannot be read any more" in fault


def test_a_schema_without_a_class_needs_an_upcast(copy: Path) -> None:
    shutil.copy(copy / OPENED, copy / "contracts/schemas/corridor.transfer.begun.v1.json")
    (fault,) = files.faults(copy)
    assert "corridor.transfer.begun.v1.json: its events cannot be read any more" in fault


def test_a_schema_edited_by_hand_is_found_against_its_commit(copy: Path) -> None:
    edit(copy / OPENED, lambda schema: schema["required"].append("purpose"))
    edit(copy / OPENED, lambda schema: schema["properties"].update(purpose={"type": "string"}))
    git = ["git", "-C", str(copy), "-c", "user.name=t", "-c", "user.email=t@t"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "as it was frozen"]):
        subprocess.run([*git, *command], check=True)
    shutil.copy(files.ROOT / OPENED, copy / OPENED)
    (copy / INITIATED).unlink()
    assert files.since("HEAD", copy) == [
        f"{OPENED}: field_removed at $: purpose",
        f"{INITIATED}: was removed since HEAD",
    ]
