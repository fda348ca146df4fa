"""Where the CPU of our processes goes: py-spy beside each, when it is installed. It is in no lock file."""

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from scripts.system.installation import SANDBOX, SERVICES

TOP = 15
HERTZ = 200


def start(pids: Mapping[str, int], directory: Path, seconds: float) -> list[str]:
    """One py-spy for each of our processes, for `seconds`; where they write, or why not."""
    spy = shutil.which("py-spy") or shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if spy is None:
        return ["no profile: py-spy is not installed (.venv/bin/uv pip install py-spy)"]
    for name in (*SERVICES, SANDBOX):
        argv = [spy, "record", "-p", str(pids[name]), "-d", str(int(seconds)), "-r", str(HERTZ), "--gil", "-f", "raw"]
        subprocess.Popen(
            [*argv, "-o", str(path_of(directory, name))], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    return [f"collapsed stacks of each service: {directory}/profile-*.txt"]


def path_of(directory: Path, name: str) -> Path:
    return directory / f"profile-{name}.txt"


def top(collapsed: str) -> list[tuple[str, float]]:
    """The functions in which most samples were taken, each with its share of all in percent.

    `collapsed`: a line for each stack, outermost first, parted by ";", and the number of its samples.
    """
    own: Counter[str] = Counter()
    for line in collapsed.splitlines():
        stack, _, count = line.rpartition(" ")
        own[stack.rpartition(";")[2]] += int(count)
    samples = sum(own.values())
    return [(function, 100 * count / samples) for function, count in own.most_common(TOP)]
