#!/usr/bin/env python3
"""Everything that should have moved on and has not: id, type, state, age, cause. Reads only; run it every 30 minutes.

python3 scripts/detect_stuck_finance_jobs.py --older-than 30m
Exit 0: nothing is stuck. 6: something is. 10: something could not be checked. The same as `ops-cli stuck list`.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv" / "bin" / "python"
COMMAND = ("stuck", "list")
NOT_CHECKED = 10


def main() -> NoReturn:
    """Become ops-cli in the project's own environment, or say that there is none."""
    python = interpreter()
    if python is None:
        print(f"nothing was checked: no .venv in {ROOT} yet; first: make -C {ROOT} bootstrap", file=sys.stderr)
        sys.exit(NOT_CHECKED)
    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{ROOT}{os.pathsep}{path}" if path else str(ROOT)
    os.execv(python, [python, "-P", "-m", "services.ops_cli", *COMMAND, *sys.argv[1:]])  # noqa: S606 - our own command, given as it came


def interpreter() -> str | None:
    """The one of .venv, or this one if it has the packages."""
    if VENV.exists():
        return str(VENV)
    return sys.executable if all(find_spec(name) for name in ("cyclopts", "asyncpg", "aiokafka", "msgspec")) else None


if __name__ == "__main__":
    main()
