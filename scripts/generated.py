"""A page of the docs that is made of code: written, or compared with what it would be."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path


def run(arguments: Sequence[str], path: Path, made: Callable[[], str], usage: str) -> int:
    """The exit code of `write` and `check`. Raises SystemExit with `usage` for anything else."""
    match arguments:
        case ["write"]:
            path.write_text(made(), encoding="utf-8")
        case ["check"]:
            if not path.exists() or path.read_text(encoding="utf-8") != made():
                print(f"{path.name} is not what the code says: write it anew", file=sys.stderr)
                return 1
        case _:
            raise SystemExit(usage)
    return 0
