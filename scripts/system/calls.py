"""What the system asks of its own processes, once each: is it ready, register a user, log in."""

import http.client
import json
import subprocess
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from scripts.stack.server import LOG_TAIL_BYTES
from scripts.system.home import ROOT
from scripts.system.programs import Program

REGISTER_SECONDS = 60.0
ANSWER_SECONDS = 2.0


class LoginFailed(Exception):
    """A user of this installation could not be registered or log in."""


class Probed(NamedTuple):
    """What a process says of itself."""

    ready: bool
    words: str


def probe(program: Program) -> Probed:
    """Asks once."""
    parts = urlsplit(program.probe_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", parts.path)
        response = connection.getresponse()
        return Probed(response.status == http.client.OK, response.read(LOG_TAIL_BYTES).decode(errors="replace"))
    except (OSError, http.client.HTTPException) as error:
        return Probed(ready=False, words=f"nothing ({type(error).__name__})")
    finally:
        connection.close()


def register(core_api: Program, login: str, role: str, password: str) -> None:
    """By the service's own command, in its own environment. Raises LoginFailed."""
    argv = [*core_api.argv, "users", "add", "--login", login, "--role", role]
    try:
        done = subprocess.run(
            argv, input=password, text=True, capture_output=True, cwd=ROOT, env=dict(core_api.environment),
            timeout=REGISTER_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise LoginFailed(f"user {login} was not registered within {REGISTER_SECONDS:.0f} s") from None
    if done.returncode:
        raise LoginFailed(f"user {login} was not registered: {(done.stderr or done.stdout)[-LOG_TAIL_BYTES:]}")


def log_in(base_url: str, login: str, password: str) -> dict[str, Any]:
    """What POST /v1/auth/login answers. Raises LoginFailed, OSError."""
    parts = urlsplit(base_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        body = json.dumps({"login": login, "password": password})
        connection.request("POST", "/v1/auth/login", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode()
        if response.status >= 300:
            raise LoginFailed(f"{login}: HTTP {response.status} {text[:300]}")
        answer: dict[str, Any] = json.loads(text)
        return answer
    finally:
        connection.close()
