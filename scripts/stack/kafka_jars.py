"""Apache Kafka's jars by Maven, in `.cache/kafka/<hash of the pom>/`, and the command line that runs them."""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.stack.lock import locked

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "kafka"
CACHE = ROOT / ".cache" / "kafka"
# Serial collector and first compiler only: a test broker starts in 2 s instead of 4 s and takes half the memory.
JVM_FLAGS = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    f"-Dlog4j2.configurationFile={DEPLOY / 'log4j2.properties'}",
)
OLDEST_JAVA = 17


class MissingTool(Exception):
    """BROKER=apache was asked for on a machine without Java or Maven; the text says which."""


def missing_tools() -> list[str]:
    """What this machine lacks for Apache Kafka. Maven is wanted once, until the jars are there."""
    wanted = ["java"] if _libs().is_dir() else ["java", "mvn"]
    return [tool for tool in wanted if shutil.which(tool) is None]


def require_tools() -> None:
    """Raises MissingTool."""
    if missing := missing_tools():
        raise MissingTool(
            f"BROKER=apache needs Java {OLDEST_JAVA} or later and Maven on the PATH; missing: {', '.join(missing)}. "
            "Without them leave BROKER unset: the embedded broker needs neither."
        )


def fetch() -> None:
    """Fetch the jars, once per pom. Raises MissingTool, CalledProcessError."""
    require_tools()
    with locked(_home() / "lock"):
        if not _libs().is_dir():
            _copy_dependencies()


def java(*flags: str) -> Sequence[str]:
    """The beginning of a command line that has Kafka on its class path, with the archive when there is one."""
    shared = [f"-XX:SharedArchiveFile={archive()}"] if archive().exists() else []
    return ["java", *flags, *JVM_FLAGS, *shared, "-cp", f"{_libs()}/*"]


def archive() -> Path:
    """Where the class-data archive is or would be: good for one Java and for the very files it was made from."""
    executable = Path(shutil.which("java") or "java").resolve()
    identity = f"{executable}:{executable.stat().st_mtime_ns}:{_libs().stat().st_ctime_ns}"
    return _home() / f"classes-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.jsa"


def _home() -> Path:
    return CACHE / hashlib.sha256((DEPLOY / "pom.xml").read_bytes()).hexdigest()[:16]


def _libs() -> Path:
    return _home() / "libs"


def _copy_dependencies() -> None:
    """Into a directory beside, renamed when complete: a broken download is never taken for the jars."""
    print("Fetching Apache Kafka with Maven (45 MB, once) ...", file=sys.stderr)
    partial = Path(tempfile.mkdtemp(dir=_home()))
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={partial}"]
    subprocess.run(["mvn", "-q", "-B", "-f", str(DEPLOY / "pom.xml"), *goal], check=True)
    partial.rename(_libs())
