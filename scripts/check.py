"""Everything that must hold before a change goes in: python -m scripts.check [pytest arguments].

Static checks first, then the tests with pytest's closing line last. Exit 0 only when all of them hold.
"""

import os
import subprocess
import sys
from pathlib import Path

from scripts.stack import broker, kafka_jars

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent

STATIC = {
    "ruff check": ["ruff", "check", "--quiet", "."],
    "ruff format": ["ruff", "format", "--check", "--quiet", "."],
    "mypy": ["mypy"],
    "import rules": ["lint-imports", "--no-logo"],
}


def main(pytest_arguments: list[str]) -> int:
    """The exit code: pytest's own, or 1 when a static check failed."""
    try:
        if os.environ.get("BROKER") != "containers":  # those are fetched by whoever starts them
            broker.prepare(broker.kind())
    except (kafka_jars.MissingTool, ValueError) as trouble:
        print(trouble, file=sys.stderr)
        return 2
    failed = static_checks()
    if failed:
        print(f"failed: {', '.join(failed)}", flush=True)
    code = run(["pytest", "-q", "-n", workers(), *pytest_arguments])
    return code or bool(failed)


def static_checks() -> list[str]:
    """Runs all of them, however many fail; the names of those that did."""
    return [name for name, argv in STATIC.items() if run(argv, title=name) != 0]


def run(argv: list[str], title: str | None = None) -> int:
    if title:
        print(f"== {title}", flush=True)
    return subprocess.run([str(BIN / argv[0]), *argv[1:]], cwd=ROOT, check=False).returncode


def workers() -> str:
    """One for each core; a single core still gets two, for the tests mostly wait."""
    return str(max(2, os.cpu_count() or 1))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
