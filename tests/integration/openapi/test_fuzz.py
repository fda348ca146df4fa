"""What judges the system is itself judged: a server with a planted fault is found out."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from scripts.contracts.openapi import document
from tests.integration.openapi.fuzz import Caller, ask, operations, put

DOCUMENT = document()
QUOTE = next(each for each in operations(DOCUMENT) if (each.path, each.method) == ("/v1/quotes", "post"))
CORRIDORS = next(each for each in operations(DOCUMENT) if each.path == "/v1/corridors")
PROBLEM = {"type": "x", "title": "x", "detail": "x"}
JSON, PROBLEM_JSON = "application/json", "application/problem+json"


@contextmanager
def server(status: int, kind: str, body: object) -> Iterator[str]:
    """Says the same to everybody."""

    class Always(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.do_GET()

        def do_GET(self) -> None:
            said = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Always)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_address[1]}"
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("planted", "status", "kind", "body", "fault"),
    [
        ("our error", 500, PROBLEM_JSON, PROBLEM | {"status": 500, "code": "INTERNAL_ERROR"}, "500 Server error"),
        ("a problem not told of", 409, PROBLEM_JSON, PROBLEM | {"status": 409, "code": "NEW"}, "violates schema"),
        ("a status not told of", 204, JSON, {}, "Undocumented status code"),
        ("a problem as plain JSON", 403, JSON, PROBLEM | {"status": 403, "code": "FORBIDDEN"}, "Content-Type"),
        ("a member is missing", 201, JSON, {"quote_id": "x"}, "violates schema"),
    ],
)
def test_a_planted_fault_is_found(planted: str, status: int, kind: str, body: object, fault: str) -> None:
    with server(status, kind, body) as url:
        found = ask(QUOTE, url, Caller(role=planted), 1, valid=True).faults
    assert any(fault in each for each in found), found


def test_an_answer_as_documented_is_no_fault() -> None:
    with server(200, JSON, {"corridors": []}) as url:
        asked = ask(CORRIDORS, url, Caller(role="customer"), 1, valid=True)
    assert (asked.statuses, dict(asked.faults)) == ({200}, {})


def test_what_exists_is_put_by_name_and_in_turn() -> None:
    known = {"quote_id": ["a", "b"]}
    body = {"transfers": [{"quote_id": "?", "n": 1}, {"quote_id": "?"}]}
    assert put(body, known, 0) == {"transfers": [{"quote_id": "a", "n": 1}, {"quote_id": "b"}]}
