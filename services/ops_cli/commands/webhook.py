"""ops-cli webhook: what a partner does, from the command line."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

from cyclopts import Parameter

from services.kernel.webhook import TOLERANCE_SECONDS, header_of
from services.ops_cli.context import Context, Ctx
from services.ops_cli.exits import Exit, usage
from services.ops_cli.listener import listen_for
from services.ops_cli.noun import noun
from services.ops_cli.options import DryRun, Wait
from services.ops_cli.signing import body_of, judged, keys, why
from services.ops_cli.tables import Column
from services.ops_cli.values import instant, money, rfc3339, seconds
from services.ops_cli.watching import UNTIL, WATCH_SECONDS, follow

app = noun("webhook", "Signatures of partners: make, send, check, listen.")
DEPOSIT_PATH = "/v1/webhooks/deposit"
KeyId = Annotated[str | None, Parameter(name="--key-id")]
SecretFile = Annotated[str | None, Parameter(name="--secret-file")]
HEADER = "X-Webhook-Signature"
VERDICT = [
    Column("signature", "verdict"),
    Column("partner", "partner"),
    Column("key id", "key_id"),
    Column("why", "why"),
]
REPORTED = [
    Column("reference", "reference"),
    Column("status", "status"),
    Column("route", "route"),
    Column("answered", "http"),
]


@app.command
def sign(
    file: str | None = None,
    /,
    *,
    data: str | None = None,
    key_id: KeyId = None,
    secret_file: SecretFile = None,
    ctx: Ctx,
) -> None:
    """The value of X-Webhook-Signature for a body, over its exact bytes. Good for 300 s.

    Example: ops-cli webhook sign body.json

    Parameters
    ----------
    file
        The body; - is stdin.
    data
        The body itself.
    key_id
        Which of the context's keys.
    secret_file
        The secret, from a file; else OPS_WEBHOOK_SECRET, else the context's own.
    """
    key = keys(ctx, key_id, secret_file)[0]
    value = header_of(key, body_of(file, data), int(time.time()))
    if ctx.out.machine:
        ctx.out.record({"header": HEADER, "value": value, "partner": key.partner, "key_id": key.key_id}, ())
    else:
        ctx.out.raw(value)


@app.command
def verify(
    file: str | None = None,
    /,
    *,
    header: str,
    data: str | None = None,
    key_id: KeyId = None,
    secret_file: SecretFile = None,
    at: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    ignore_age: bool = False,
    ctx: Ctx,
) -> int:
    """Does this signature fit these bytes? Ends with 6 when not, and says why.

    Example: ops-cli webhook verify body.json --header "t=1700000000,kid=k1,v1=0f..."

    Parameters
    ----------
    file
        The body; - is stdin.
    header
        The value of X-Webhook-Signature.
    data
        The body itself.
    key_id
        Which of the context's keys; all of them unless said.
    secret_file
        The secret, from a file; else OPS_WEBHOOK_SECRET, else the context's own.
    at
        When it arrived: RFC 3339, or an age like -2h.
    ignore_age
        Judge everything but its age.
    """
    known, body = keys(ctx, key_id, secret_file), body_of(file, data)
    now = int(instant(at).timestamp()) if at else int(time.time())
    header = header.partition(":")[2].strip() if header.lower().startswith(HEADER.lower()) else header.strip()
    signed = judged(known, header, body, now, None if ignore_age else TOLERANCE_SECONDS)
    words, hint = ("", "") if signed.valid else why(known, header, body, now, signed)
    value = {
        "valid": signed.valid, "verdict": "fits" if signed.valid else "does not fit", "partner": signed.partner,
        "key_id": signed.key_id or None, "fault": signed.fault or None, "why": words or None, "hint": hint or None,
        "bytes": len(body),
    }  # fmt: skip
    ctx.out.record(value, VERDICT[:3] if signed.valid else VERDICT)
    if hint:
        ctx.out.note(hint)
    return Exit.DONE if signed.valid else Exit.ANSWER_IS_NO


@app.command
def trigger(
    *,
    transfer: str | None = None,
    route: str | None = None,
    amount: str | None = None,
    reference: str | None = None,
    key_id: KeyId = None,
    secret_file: SecretFile = None,
    wait: Wait = False,
    dry_run: DryRun = False,
    ctx: Ctx,
) -> int:
    """Report a deposit as the bank that collects does: signed, to the door. The same reference counts once.

    Example: ops-cli webhook trigger --transfer 7a4f0c52-8a53-5f0e-9a35-2f8f4a8be611 --wait

    Parameters
    ----------
    transfer
        Pay in this transfer: its route and its amount.
    route
        Or any route.
    amount
        Another amount than the transfer's, or that of the route: "125.50 GBP".
    reference
        The bank's own, unique for this money; a fresh one unless said.
    key_id
        Which of the context's keys.
    secret_file
        The secret, from a file; else OPS_WEBHOOK_SECRET, else the context's own.
    wait
        Follow the transfer until it is paid out.
    dry_run
        Show the body and its signature, and send nothing.
    """
    key = keys(ctx, key_id, secret_file)[0]
    report = _report(ctx, transfer, route, amount, reference)
    body = json.dumps(report, separators=(",", ":")).encode()
    signature = header_of(key, body, int(time.time()))
    if dry_run:
        ctx.out.raw(f"POST {ctx.target.base_url}{DEPOSIT_PATH}\n{HEADER}: {signature}\n\n{body.decode()}")
        return Exit.DONE
    headers = {HEADER: signature, "Content-Type": "application/json"}
    answer = ctx.http.ask("POST", DEPOSIT_PATH, content=body, headers=headers, role=None)
    ctx.out.record({**report, **answer.json(), "http": answer.status}, REPORTED)
    if not (wait and transfer):
        return Exit.DONE
    limit = seconds(ctx.options.timeout) if ctx.options.timeout else WATCH_SECONDS
    return follow(ctx, transfer, UNTIL, limit)


def _report(
    ctx: Context, transfer_id: str | None, route: str | None, amount: str | None, reference: str | None
) -> dict[str, str | int]:
    if (transfer_id is None) == (route is None):
        raise usage("give --transfer ID or --route ROUTE", "ops-cli transfer list shows both")
    if transfer_id is not None:
        transfer = ctx.http.get(f"/v1/transfers/{transfer_id}")
        route, minor, currency = str(transfer["route"]), int(transfer["send_minor"]), str(transfer["send_currency"])
    elif amount is None:
        raise usage("a route needs an amount", '--amount "125.50 GBP"')
    else:
        minor, currency = 0, ""
    if amount is not None:
        other = money(amount)
        minor, currency = other.minor, str(other.currency)
    return {
        "reference": reference or f"OPS-{uuid4().hex[:16].upper()}", "route": str(route), "amount_minor": minor,
        "currency": currency, "booked_at": rfc3339(datetime.now(UTC).replace(microsecond=0)),
    }  # fmt: skip


@app.command
def listen(
    *,
    port: int = 0,
    host: str = "127.0.0.1",
    status: int = 200,
    count: int | None = None,
    key_id: KeyId = None,
    secret_file: SecretFile = None,
    ctx: Ctx,
) -> None:
    """A small server that shows and verifies whatever is sent to it, until Ctrl-C.

    Example: ops-cli webhook listen --port 8099

    Parameters
    ----------
    port
        Where; any free one unless said.
    host
        127.0.0.1 unless said.
    status
        What it answers: 200 unless said. 500 shows how a sender tries again.
    count
        End after so many.
    key_id
        Which of the context's keys; all of them unless said.
    secret_file
        The secret, from a file; else OPS_WEBHOOK_SECRET, else the context's own.
    """
    listen_for(ctx, keys(ctx, key_id, secret_file), host, port, status, count)
