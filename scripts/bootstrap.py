"""Make `.venv` from the hashed requirement files. Needs Python 3.11 or later and a package index, nothing else.

Runs before anything is installed, so: standard library only. Does nothing while the lock files are unchanged.
"""

import hashlib
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCKS = (ROOT / "requirements.txt", ROOT / "requirements-dev.txt")
LOCKED = (str(LOCKS[1]), "--require-hashes")  # development includes all that the services run on
STAMP = VENV / "locked.sha256"
OPS_CLI = VENV / "bin" / "ops-cli"  # found by its name once .venv/bin is on the PATH
OLDEST = (3, 11)
TOOLS = ROOT / ".cache" / "uv"
TOOL_PYTHON = TOOLS / "bin" / "python"
WORTH_IT = 0.9  # of the time of the Python that was asked for; less is noise
SAMPLE = """
import asyncio, ctypes, sqlite3, ssl, time, venv
class Record:
    __slots__ = ("key", "value")
    def __init__(self, key, value):
        self.key, self.value = key, value
def turn():
    seen = {}
    for number in range(100_000):
        record = Record(number & 1023, "%d:%d" % (number, number))
        seen[record.key] = record.value
began = time.process_time()
turn()
print(time.process_time() - began)
"""


def main() -> None:
    """Raises SystemExit with one sentence when this machine cannot do it."""
    if sys.version_info < OLDEST:
        raise SystemExit(f"Corridor needs Python 3.11 or later; this is {sys.version.split()[0]}. Try: make PYTHON=...")
    wanted = fingerprint()
    if PYTHON.exists() and STAMP.exists() and STAMP.read_text() == wanted:
        write_launcher()
        return
    try:
        make_tools()
        install(fastest(interpreters()))
    except subprocess.CalledProcessError:
        say("uv could not; trying pip, which is slower")
        install_by_pip()
    write_launcher()
    STAMP.write_text(wanted)
    say(f'done; for the command `ops-cli` by its name: export PATH="{VENV / "bin"}:$PATH"')


def write_launcher() -> None:
    """The command `ops-cli`: nothing is installed from this checkout, so no package brings it."""
    content = f'#!/bin/sh\nexec {shlex.quote(str(ROOT / "ops-cli"))} "$@"\n'
    if not OPS_CLI.exists() or OPS_CLI.read_text() != content:
        OPS_CLI.write_text(content)
        OPS_CLI.chmod(0o755)


def fingerprint() -> str:
    """Of the lock files and the interpreter: a change of either needs another environment."""
    content = b"".join(lock.read_bytes() for lock in LOCKS)
    return hashlib.sha256(content + sys.version.encode()).hexdigest()


def interpreters() -> list[str]:
    """The Pythons on this machine of the version that runs us, itself first."""
    name = "python{}.{}".format(*sys.version_info)
    folders = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin", "/usr/local/bin"]
    found = [sys.executable, *(str(Path(folder) / name) for folder in folders if folder)]
    real: dict[str, str] = {}
    for each in found:
        if each and works(each):
            real.setdefault(os.path.realpath(each), each)
    return list(real.values()) or [sys.executable]


def works(python: str) -> bool:
    """Whether it is an interpreter at all, and no script that stands for one."""
    try:
        with Path(python).open("rb") as file:
            begins = file.read(2)
    except OSError:
        return False
    return begins != b"#!" and os.access(python, os.X_OK)


def fastest(pythons: list[str]) -> str:
    """One that was built without optimisation takes half as much time again, and nothing tells but a clock."""
    if len(pythons) == 1:
        return pythons[0]
    seconds = {python: min(timed(python) for _ in range(3)) for python in pythons}
    best = min(pythons, key=lambda python: seconds[python])
    chosen = best if seconds[best] < WORTH_IT * seconds[pythons[0]] else pythons[0]
    said = ", ".join(f"{python} {seconds[python]:.2f} s" for python in pythons)
    say(f"taking the fastest of the Pythons here: {chosen} ({said})")
    return chosen


def timed(python: str) -> float:
    """CPU seconds of a little of what services do; a Python that cannot do it is never chosen."""
    try:
        done = subprocess.run([python, "-I", "-c", SAMPLE], capture_output=True, text=True, check=False)
    except OSError:
        return float("inf")
    return float(done.stdout) if done.returncode == 0 else float("inf")


def make_tools() -> None:
    """uv, in an environment of its own: the Python that it makes the other one for may lack pip."""
    say("installing uv (pinned by hash)")
    make_venv(TOOLS)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(uv_requirement())
        file.flush()
        run([str(TOOL_PYTHON), "-m", "pip", "install", "-q", "--require-hashes", "-r", file.name])


def make_venv(where: Path) -> None:
    try:
        run([sys.executable, "-m", "venv", "--clear", str(where)])
    except subprocess.CalledProcessError:
        raise SystemExit("Python's venv module does not work here; on Debian install python3-venv") from None


def install(python: str) -> None:
    """By uv, which takes seconds."""
    say(f"making .venv with {python}")
    run([str(TOOL_PYTHON), "-m", "uv", "venv", "-q", "--clear", "--python", python, str(VENV)])
    say("installing the locked wheels (each checked against its hash)")
    # Compiled now: where PYTHONDONTWRITEBYTECODE is set, every start of every service would compile them again.
    run([str(TOOL_PYTHON), "-m", "uv", "pip", "sync", "-q", "--compile-bytecode", *LOCKED], uv_environment())


def install_by_pip() -> None:
    """Where uv cannot reach the index: pip, which every environment has."""
    make_venv(VENV)
    run([str(PYTHON), "-m", "pip", "install", "-q", "-r", *LOCKED])


def uv_requirement() -> str:
    """The one entry of the lock file that installs all others."""
    found = re.search(r"^uv==.*\n(?: +--hash=.*\n)+", LOCKS[1].read_text(), re.MULTILINE)
    assert found, "requirements-dev.txt has no uv"
    return found.group()


def uv_environment() -> dict[str, str]:
    """uv does not read pip's settings, and the machine's index may be known to pip alone."""
    translated = {"VIRTUAL_ENV": str(VENV), "UV_PYTHON": str(PYTHON)}
    for ours, theirs in (("index-url", "UV_DEFAULT_INDEX"), ("extra-index-url", "UV_INDEX"), ("cert", "SSL_CERT_FILE")):
        if value := pip_setting(ours):
            translated[theirs] = value
    return translated | os.environ


def pip_setting(name: str) -> str:
    """From the environment or pip's files; empty when not set."""
    lines = subprocess.run(
        [str(TOOL_PYTHON), "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    found = re.findall(rf"^[^\n]*\.{name}='([^'\n]*)'$", lines, re.MULTILINE)
    return found[0] if found else ""


def run(argv: list[str], environment: dict[str, str] | None = None) -> None:
    subprocess.run(argv, check=True, cwd=ROOT, env=environment)


def say(what: str) -> None:
    print(f"bootstrap: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
