"""What a planted bug is, and the areas that have some."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import NamedTuple

AREAS: Mapping[str, tuple[str, ...]] = {  # area -> modules of this package with a list BUGS
    "ledger": ("ledger_domain", "ledger_store", "ledger_tables", "reconciliation"),
}


class Bug(NamedTuple):
    """One patch. `old` occurs exactly once in `file`; `tests` are pytest's own words for those that must catch it."""

    name: str
    breaks: str  # what goes wrong, in one sentence
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


class DoesNotApply(Exception):
    """The code has changed since the bug was written: its patch has to be written anew."""


def bugs(area: str) -> tuple[Bug, ...]:
    """All of an area, in the order of its modules. KeyError for no area."""
    modules = (import_module(f"scripts.planted_bugs.{name}") for name in AREAS[area])
    return tuple(bug for module in modules for bug in module.BUGS)


def planted(bug: Bug, text: str) -> str:
    """The file with the bug. Raises DoesNotApply."""
    if (times := text.count(bug.old)) != 1:
        raise DoesNotApply(f"{bug.name}: its old text occurs {times} times in {bug.file}, not once")
    return text.replace(bug.old, bug.new)
