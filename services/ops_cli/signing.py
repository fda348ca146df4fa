"""Webhook keys of the caller, the bytes that are signed, and why a signature does not fit."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from services.kernel.settings import WEBHOOK_SECRET_CHARS_MIN, Secret, SharedKey
from services.kernel.webhook import TOLERANCE_SECONDS, Signed, Verifier
from services.ops_cli.context import Context
from services.ops_cli.exits import usage

VARIABLE = "OPS_WEBHOOK_SECRET"
BODY_BYTES_MAX = 2 * 1024 * 1024


def keys(ctx: Context, key_id: str | None, secret_file: str | None) -> list[SharedKey]:
    """From --secret-file, OPS_WEBHOOK_SECRET, or the context; never from the command line, which everybody can read.

    Raises OpsError when there is none.
    """
    if secret_file is not None:
        return [_key("partner", key_id or "k1", _read(secret_file))]
    if secret := os.environ.get(VARIABLE):
        return [_key("partner", key_id or "k1", secret)]
    known = [_key(each["partner"], each["key_id"], each["secret"]) for each in ctx.target.webhooks]
    wanted = [each for each in known if key_id in {None, each.key_id}]
    if not wanted:
        names = f" {key_id}" if key_id else ""
        raise usage(f"no webhook key{names} is known", f"set {VARIABLE}, or --secret-file FILE with --key-id ID")
    return wanted


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise usage(f"cannot read {path}: {error.strerror}") from None


def _key(partner: str, key_id: str, secret: str) -> SharedKey:
    if len(secret) < WEBHOOK_SECRET_CHARS_MIN:
        raise usage(f"the webhook secret is too short: at least {WEBHOOK_SECRET_CHARS_MIN} characters")
    return SharedKey(partner, key_id, Secret(secret))


def body_of(file: str | None, data: str | None) -> bytes:
    """The exact bytes: of --data, of a file, or of stdin (`-`). Raises OpsError."""
    if (file is None) == (data is None):
        raise usage("give the body once: a file, - for stdin, or --data TEXT")
    if data is not None:
        return data.encode()
    try:
        body = sys.stdin.buffer.read(BODY_BYTES_MAX + 1) if file == "-" else Path(str(file)).read_bytes()
    except OSError as error:
        raise usage(f"cannot read {file}: {error.strerror}") from None
    if len(body) > BODY_BYTES_MAX:
        raise usage(f"the body is larger than {BODY_BYTES_MAX:,} bytes")
    return body


def judged(
    known: Sequence[SharedKey], header: str | None, body: bytes, now_seconds: int, tolerance: int | None
) -> Signed:
    """As a receiver judges it."""
    return Verifier(known).verify(header, body, now_seconds, tolerance)


def why(
    known: Sequence[SharedKey], header: str | None, body: bytes, now_seconds: int, signed: Signed
) -> tuple[str, str]:
    """(what is wrong, what to do about it) of a signature that does not fit."""
    ids = ", ".join(each.key_id for each in known)
    match signed.fault:
        case "missing":
            return "there is no X-Webhook-Signature", "send one: ops-cli webhook sign"
        case "malformed":
            return "it is not of the form t=SECONDS,kid=ID,v1=HEX", "t has 10 digits, v1 64 lower-case hex digits"
        case "unknown_key":
            return f"the key id {signed.key_id} is none of ours ({ids})", "is it the key of another environment?"
        case "out_of_tolerance":
            return _age(header, now_seconds), "clocks? A repeat is signed anew; --ignore-age judges the rest alone"
        case _:
            return "the HMAC is another one", _near(known, header, body, now_seconds)


def _age(header: str | None, now_seconds: int) -> str:
    seconds = now_seconds - int((header or "")[2:12])
    when = f"{seconds} s old" if seconds > 0 else f"{-seconds} s in the future"
    return f"it fits, but is {when}; at most {TOLERANCE_SECONDS} s either way"


def _near(known: Sequence[SharedKey], header: str | None, body: bytes, now_seconds: int) -> str:
    """The commonest mistakes, tried out."""
    for other, words in ((body.rstrip(b"\r\n"), "without the newline at the end"), (body + b"\n", "with a newline")):
        if other != body and Verifier(known).verify(header, other, now_seconds, None).valid:
            return f"it fits the body {words}: sign the bytes that are sent"
    return "another secret, or other bytes: sign the raw body, not what a JSON library makes of it"
