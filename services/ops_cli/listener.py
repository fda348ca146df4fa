"""A server for somebody who writes the sending side: shows each request, and whether its signature fits."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from rich.text import Text

from services.kernel.settings import SharedKey
from services.kernel.webhook import TOLERANCE_SECONDS
from services.ops_cli.context import Context
from services.ops_cli.exits import Exit, OpsError
from services.ops_cli.signing import BODY_BYTES_MAX, judged, why

READ_SECONDS = 10.0  # of one request; one at a time is enough for a person
SHOWN_CHARS_MAX = 4_000


def listen_for(ctx: Context, known: Sequence[SharedKey], host: str, port: int, status: int, count: int | None) -> None:
    """Until interrupted, or `count` requests. Raises OpsError when it cannot listen there."""
    handler = type("Handler", (_Handler,), {"ctx": ctx, "known": known, "answer_status": status, "seen": 0})
    try:
        server = HTTPServer((host, port), handler)
    except (OSError, OverflowError) as error:
        raise OpsError(Exit.PRECONDITION, f"cannot listen on {host}:{port} ({error})") from None
    with server:
        ctx.out.note(f"listening on http://{host}:{server.server_address[1]}; Ctrl-C ends it")
        while count is None or handler.seen < count:  # type: ignore[attr-defined]  # made with `seen` above
            server.handle_request()


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    ctx: Context
    known: Sequence[SharedKey]
    answer_status: int
    seen: int
    timeout = READ_SECONDS

    def do_POST(self) -> None:
        """Whatever the path."""
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > BODY_BYTES_MAX:
            self.send_error(413)
            return
        body = self.rfile.read(int(length))
        type(self).seen += 1
        self._show(body)
        answer = b'{"status":"accepted"}'
        self.send_response(self.answer_status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_PUT = do_POST  # noqa: N815 - the name that the base class looks for

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class's name
        """Ours is the only line."""

    def _show(self, body: bytes) -> None:
        now = int(time.time())
        header = self.headers.get("X-Webhook-Signature")
        signed = judged(self.known, header, body, now, TOLERANCE_SECONDS)
        reason, hint = ("", "") if signed.valid else why(self.known, header, body, now, signed)
        at = datetime.now(UTC)
        value = {
            "at": at.isoformat(), "method": self.command, "path": self.path, "bytes": len(body), "valid": signed.valid,
            "partner": signed.partner, "key_id": signed.key_id or None, "why": reason or None,
            "body": body[:SHOWN_CHARS_MAX].decode(errors="replace"),
        }  # fmt: skip
        verdict = ("signature fits", "green") if signed.valid else (f"signature does not fit: {reason}", "red")
        words = Text.assemble(
            (f"{at:%H:%M:%S} ", "dim"), f"{self.command} {_one_line(self.path)}  {len(body):,} bytes  ", verdict
        )
        self.ctx.out.line(value, words)
        if not self.ctx.out.machine:
            self.ctx.out.print(Text(_pretty(body)))
            if hint:
                self.ctx.out.note(hint)


def _pretty(body: bytes) -> str:
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        text = body.decode(errors="replace")
    return "\n".join(_one_line(line) for line in text[:SHOWN_CHARS_MAX].splitlines())


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else "�" for letter in text)
