"""A door that answers what a test says, and the command line run against it in this process."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest

from services.ops_cli.app import run

TOKEN = "eyJ0b2tlbiI.canary-token-canary.c2ln"
KEPT_OUT = (
    "OPS_CONTEXT", "OPS_BASE_URL", "OPS_TOKEN", "OPS_WEBHOOK_SECRET", "OPS_DEBUG", "NO_COLOR", "FORCE_COLOR",
    "CORRIDOR_VAR",
)  # fmt: skip


class Asked(NamedTuple):
    """One request that came."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


@dataclass
class Said:
    """One answer."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


Answering = Said | Callable[[Asked], Said]


@dataclass
class Door:
    """The fake upstream: `on` says what it answers, `asked` what came."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answers: dict[tuple[str, str], Answering] = field(default_factory=dict)

    def on(self, method: str, path: str, body: Any = None, status: int = 200, **headers: str) -> None:
        self.answers[method, path] = Said(
            status, body, {name.replace("_", "-"): text for name, text in headers.items()}
        )

    def problem(self, method: str, path: str, status: int, code: str, **more: Any) -> None:
        members = {"type": "https://corridor.dev/problems/x", "title": "A title", "status": status, "code": code}
        said = Said(status, members | {"detail": "The detail.", "trace_id": "ab" * 16} | more)
        self.answers[method, path] = said

    def answer(self, asked: Asked) -> Said:
        self.asked.append(asked)
        found = self.answers.get((asked.method, asked.path))
        if found is None:
            return Said(404, {"title": "Not found", "code": "NOT_FOUND", "status": 404})
        return found if isinstance(found, Said) else found(asked)


def _handler(door: Door) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            said = door.answer(Asked(self.command, parts.path, parse_qs(parts.query), headers, body))
            content = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
            self.send_response(said.status)
            for name, value in {"content-type": "application/json", **said.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - the name that the base class looks for

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """Up for one test, and named by the environment."""
    made = Door()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    for name in KEPT_OUT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPS_BASE_URL", made.url)
    monkeypatch.setenv("OPS_TOKEN", TOKEN)
    yield made
    server.shutdown()
    server.server_close()
    thread.join(5)


@dataclass(frozen=True)
class Ran:
    """What a person or a script sees."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def ops(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run it; no token may ever be seen."""

    def call(*argv: str) -> Ran:
        code = run(argv)
        out, err = capsys.readouterr()
        assert TOKEN not in out + err
        return Ran(code, out, err)

    return call
