"""Make `.venv` from the hashed requirement files. Needs Python 3.11 or later and a package index, nothing else.

Runs before anything is installed, so: standard library only. Does nothing while the lock files are unchanged.
"""

import hashlib
import os
import re
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
OLDEST = (3, 11)


def main() -> None:
    """Raises SystemExit with one sentence when this machine cannot do it."""
    if sys.version_info < OLDEST:
        raise SystemExit(f"Corridor needs Python 3.11 or later; this is {sys.version.split()[0]}. Try: make PYTHON=...")
    wanted = fingerprint()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    make_venv()
    install()
    STAMP.write_text(wanted)
    say("done")


def fingerprint() -> str:
    """Of the lock files and the interpreter: a change of either needs another environment."""
    content = b"".join(lock.read_bytes() for lock in LOCKS)
    return hashlib.sha256(content + sys.version.encode()).hexdigest()


def make_venv() -> None:
    say(f"making .venv with Python {sys.version.split()[0]}")
    try:
        run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    except subprocess.CalledProcessError:
        raise SystemExit("Python's venv module does not work here; on Debian install python3-venv") from None


def install() -> None:
    """By uv, which takes seconds; by pip, which every environment has, where uv cannot reach the index."""
    say("installing uv (pinned by hash)")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(uv_requirement())
        file.flush()
        run([str(PYTHON), "-m", "pip", "install", "-q", "--require-hashes", "-r", file.name])
    say("installing the locked wheels (each checked against its hash)")
    try:
        # Compiled now: where PYTHONDONTWRITEBYTECODE is set, every start of every service would compile them again.
        run([str(PYTHON), "-m", "uv", "pip", "sync", "-q", "--compile-bytecode", *LOCKED], uv_environment())
    except subprocess.CalledProcessError:
        say("uv could not; trying pip, which is slower")
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
        [str(PYTHON), "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    found = re.findall(rf"^[^\n]*\.{name}='([^'\n]*)'$", lines, re.MULTILINE)
    return found[0] if found else ""


def run(argv: list[str], environment: dict[str, str] | None = None) -> None:
    subprocess.run(argv, check=True, cwd=ROOT, env=environment)


def say(what: str) -> None:
    print(f"bootstrap: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
