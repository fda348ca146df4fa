"""The sandbox as a process, a Corridor of thirty lines that it talks to, and waiting with a deadline."""

import hashlib
import hmac
import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[3]
SECRET = "a-secret-of-the-test"
KEYS = [
    {"partner": "paybank", "key_id": "kid-pay", "secret": SECRET},
    {"partner": "collectbank", "key_id": "kid-collect", "secret": SECRET},
]
DEADLINE_SECONDS = 15


class Sandbox:
    """One data directory; the process may be killed and started again on it."""

    def __init__(self, data: Path, *flags: str) -> None:
        self._data, self._flags = data, flags
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        command = [sys.executable, "-m", "services.sandbox", "--port", "0", "--data", str(self._data), *self._flags]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = json.loads(self.process.stdout.readline())["url"]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def call(self, method: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, Any]:
        """Raises OSError when the line is cut, ValueError when the answer is no JSON."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=3) as reply:  # noqa: S310
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def submit(self, *payments: dict[str, Any]) -> list[dict[str, Any]]:
        status, answer = self.call("POST", "/bank/payments/bulk", {"payments": payments})
        assert status == 200
        return list(answer["results"])

    def payouts(self) -> list[dict[str, Any]]:
        return list(self.call("GET", "/book?limit=10000")[1]["payouts"])

    def fault(self, **rule: Any) -> None:
        assert self.call("POST", "/faults", rule)[0] == 200


class Corridor:
    """Hears webhooks. `script` holds the next status codes; when it is empty everything is taken."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, str], bytes]] = []
        self.script: list[int] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def told(self, path: str) -> list[dict[str, Any]]:
        """The bodies that came to `path` and are JSON."""
        return [json.loads(body) for where, _, body in self.heard if where == path and is_json(body)]

    def payouts(self) -> list[dict[str, Any]]:
        return [item for body in self.told("/v1/webhooks/payout") for item in body["payouts"]]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        corridor = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                corridor.heard.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(corridor.script.pop(0) if corridor.script else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        return Handler


def is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def signed_by(header: str, body: bytes) -> str | None:
    """The key id if the signature is right: checked here from the words of the contract alone."""
    parts = dict(part.split("=", 1) for part in header.split(","))
    mac = hmac.new(SECRET.encode(), f"{parts['t']}.".encode() + body, hashlib.sha256).hexdigest()
    fresh = len(parts["t"]) == 10 and abs(time.time() - int(parts["t"])) < 60
    return parts["kid"] if fresh and parts["v1"] == mac else None


def payment(**other: Any) -> dict[str, Any]:
    return {
        "end_to_end_id": str(uuid.uuid4()),
        "amount_minor": 2_000_000,
        "currency": "ETB",
        "creditor_name": "Abebe Bikila",
        "creditor_account": "1000123456789",
        "remittance_information": str(uuid.uuid4()),
    } | other


def deposit(**other: Any) -> dict[str, Any]:
    return {"route": "RF18539007547034", "amount_minor": 10_000, "currency": "GBP"} | other


def eventually(check: Callable[[], Any]) -> Any:
    """The first true value of `check`, within the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if value := check():
            return value
        time.sleep(0.01)
    raise AssertionError("not within the deadline")
