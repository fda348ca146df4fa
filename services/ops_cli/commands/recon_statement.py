"""ops-cli recon statement: what partners say of our accounts with them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import uuid4

from cyclopts import Parameter
from rich.console import Group
from rich.text import Text

from services.ops_cli.context import Context, Ctx
from services.ops_cli.exits import Exit, OpsError, usage
from services.ops_cli.lists import list_items
from services.ops_cli.noun import noun
from services.ops_cli.options import All, Cursor, DryRun, Key, Limit, Reason, Ticket, reason_of
from services.ops_cli.tables import Column, pairs, state
from services.ops_cli.views import amount, at

app = noun("statement", "Statements of partners: camt.053, camt.054, CSV, or a day of the book that a partner shows.")
PATH = "/v1/reconciliation/statements"
BYTES_MAX = 16 * 1024 * 1024
IMPORT_SECONDS = 600.0  # a large file takes as long as it takes; --timeout says otherwise
LOOK_SECONDS = 0.5
Format = Literal["camt053", "camt054", "csv"]
SUFFIXES = {".csv": "csv", ".xml": "xml"}

TAKEN = [
    Column("statement", "statement_id"),
    Column("account", "account", drop=2),
    Column("its id", "reference", drop=1),
    Column("lines", "lines", right=True),
    Column("known elsewhere", "repeated", right=True, drop=3),
    Column("parked", "parked", right=True),
    amount("difference", "difference_minor"),
]
STATEMENTS = [
    Column("statement", "statement_id"),
    Column("partner", "partner", drop=3),
    Column("account", "account", drop=1),
    Column("its id", "reference", drop=2),
    Column("until", "period_to"),
    state(),
    amount("closing", "closing_minor"),
    amount("difference", "difference_minor", drop=1),
    Column("parked", "parked", right=True),
    at("received", "received_at", drop=4),
]
STATEMENT = [
    *STATEMENTS[:4],
    Column("in our books", "ledger_account"),
    Column("kind", "kind"),
    Column("source", "source"),
    Column("number", "sequence"),
    Column("from", "period_from"),
    Column("until", "period_to"),
    state(),
    amount("opening", "opening_minor"),
    amount("credits", "credit_minor"),
    amount("debits", "debit_minor"),
    amount("closing", "closing_minor"),
    amount("difference", "difference_minor"),
    Column("lines", "recorded"),
    Column("known elsewhere", "repeated"),
    Column("parked", "parked"),
    at("received", "received_at"),
    Column("sha256 of the file", "file_sha256"),
]
LINES = [
    Column("reference", "entry_reference"),
    Column("booked", "booking_date"),
    Column("", lambda item: "credit" if item["side"] == "credit" else "  debit"),
    amount("amount"),
    Column("ours", "our_reference", drop=1),
    Column("end to end", "end_to_end_id", drop=2),
    Column("code", "bank_transaction_code", drop=3),
]
PARKED = [
    Column("where", "position"),
    Column("code", "code"),
    Column("reason", "reason", fold=True),
    Column("reference", "entry_reference", drop=1),
    Column("line", "raw", drop=2, fold=True),
]


@app.command(name="import")
def import_(
    file: Path, /, *, partner: str, format_: Annotated[Format | None, Parameter(name="--format")] = None,
    reason: Reason = None, ticket: Ticket = None, idempotency_key: Key = None, dry_run: DryRun = False, ctx: Ctx,
) -> int:  # fmt: skip
    """Take a statement as the partner sent it. The same file twice changes nothing; bad lines are parked.

    Ends with 6 when lines are parked or the statement does not add up: the rest is taken.

    Example: ops-cli recon statement import march-02.xml --partner sandbox-bank --reason "statement of 2 March"

    Parameters
    ----------
    file
        XML or CSV, at most 16 MiB.
    partner
        As deploy/statement-maps.json names it.
    format_
        Of the file; otherwise as its name ends, and XML says itself which message it is.
    reason
        Why; needed. Kept with the statement and in the audit log: no personal data in it.
    ticket
        Put behind the reason.
    idempotency_key
        The same key answers the same import again.
    dry_run
        Show the request and send nothing.
    """
    media = _media(file, format_)
    asked = {"partner": partner, "reason": reason_of(reason, ticket), "format": format_}
    body = _content(file)
    if dry_run:
        ctx.would_send("POST", PATH, {**asked, "file": str(file), "bytes": len(body)})
        return Exit.DONE
    return _shown(ctx, _sent(ctx, asked, body, media, idempotency_key or str(uuid4())))


@app.command
def fetch(
    *, partner: str, day: str, reason: Reason = None, ticket: Ticket = None, idempotency_key: Key = None,
    dry_run: DryRun = False, ctx: Ctx,
) -> int:  # fmt: skip
    """Take a day out of the book that a partner shows over HTTP, as if it had sent a statement of it.

    Example: ops-cli recon statement fetch --partner sandbox-bank --day 2026-03-02 --reason "statement of 2 March"

    Parameters
    ----------
    partner
        As deploy/statement-maps.json names it.
    day
        Of UTC. A day that is not over comes again with another end.
    reason
        Why; needed.
    ticket
        Put behind the reason.
    idempotency_key
        The same key answers the same import again.
    dry_run
        Show the request and send nothing.
    """
    asked = {"partner": partner, "reason": reason_of(reason, ticket)}
    if dry_run:
        ctx.would_send("POST", PATH, {**asked, "day": day})
        return Exit.DONE
    body = json.dumps({"day": day}).encode()
    return _shown(ctx, _sent(ctx, asked, body, "application/json", idempotency_key or str(uuid4())))


@app.command(name="list")
def list_statements(
    *, partner: str | None = None, account: str | None = None, limit: Limit = 20, cursor: Cursor = None,
    all_: All = False, ctx: Ctx,
) -> None:  # fmt: skip
    """Statements, newest first.

    Example: ops-cli recon statement list --partner sandbox-bank

    Parameters
    ----------
    partner
        Of this partner only.
    account
        Of this account only, as the partner names it.
    limit
        Items of a page, 20 unless said.
    cursor
        The page behind it, as the last one said.
    all_
        Every page.
    """
    asked = {"partner": partner, "account": account}
    list_items(ctx, PATH, STATEMENTS, params=asked, limit=limit, cursor=cursor, every=all_, none="no statement yet")


@app.command
def get(statement_id: str, /, *, lines: bool = False, parked: bool = False, ctx: Ctx) -> int:
    """One statement; its lines with --lines, what is not recorded of it with --parked. Ends with 6 as `import` does.

    Example: ops-cli recon statement get 2b1d7c3e-0c52-5f2b-8f7e-6a1d0f9b3c44 --parked

    Parameters
    ----------
    statement_id
        As `recon statement list` shows it.
    lines
        Every line that is recorded under it.
    parked
        Every line that is not, with its place in the file and the reason.
    """
    if lines and parked:
        raise usage("either --lines or --parked")
    found = ctx.http.get(f"{PATH}/{statement_id}")
    if lines or parked:
        what, columns, none = ("lines", LINES, "no line") if lines else ("parked", PARKED, "nothing is parked")
        path = f"{PATH}/{statement_id}/{what}"
        list_items(ctx, path, columns, params={}, limit=1, cursor=None, every=True, none=none)
    else:
        ctx.out.show(found, lambda: pairs(found, STATEMENT), STATEMENT)
    return _code([found])


def _media(file: Path, said: Format | None) -> str:
    """Raises OpsError when nobody says what the file is."""
    kind = SUFFIXES.get(file.suffix.lower()) if said is None else "csv" if said == "csv" else "xml"
    if kind is None:
        raise usage(f"cannot tell what {file} is", "say it: --format camt053, camt054 or csv")
    return "text/csv" if kind == "csv" else "application/xml"


def _content(file: Path) -> bytes:
    """Raises OpsError."""
    try:
        if file.stat().st_size > BYTES_MAX:
            raise usage(
                f"{file} is too large: at most {BYTES_MAX // 1024 // 1024} MiB", "have the partner send less in one"
            )
        return file.read_bytes()
    except OSError as error:
        raise usage(f"cannot read {file}: {error.strerror}") from None


def _sent(ctx: Context, asked: Mapping[str, str | None], body: bytes, media: str, key: str) -> dict[str, Any]:
    """The answer when all of it is in; how far it is meanwhile is seen. Raises OpsError when it takes too long."""
    seconds = ctx.timeout_seconds if ctx.options.timeout else IMPORT_SECONDS
    deadline = time.monotonic() + seconds
    headers = {"Idempotency-Key": key, "Content-Type": media}
    while True:
        said = ctx.http.ask("POST", PATH, params=asked, content=body, headers=headers, seconds=seconds).json()
        if said["state"] == "complete":
            return dict(said)
        _followed(ctx, said["receiving"], deadline, key)
        if time.monotonic() > deadline:
            raise _late({"partner": asked["partner"]}, key)


def _followed(ctx: Context, ids: list[str], deadline: float, key: str) -> None:
    """Until every statement is in."""
    for id_ in ids:
        found = _one(ctx, id_)
        with ctx.out.progress("taking lines", (found or {}).get("lines")) as step:
            while not found or found["state"] != "complete":
                if time.monotonic() > deadline:
                    raise _late({"statement": id_}, key)
                time.sleep(LOOK_SECONDS)
                found = _one(ctx, id_)
                step(found["recorded"] if found else 0)


def _late(facts: Mapping[str, Any], key: str) -> OpsError:
    hint = f"it goes on without you; ask again with --idempotency-key {key}"
    return OpsError(Exit.TIMED_OUT, "it is still being taken", facts=facts, hint=hint)


def _one(ctx: Context, id_: str) -> dict[str, Any] | None:
    """None before its head is in."""
    try:
        return dict(ctx.http.get(f"{PATH}/{id_}"))
    except OpsError as error:
        if error.code is Exit.NOT_FOUND:
            return None
        raise


def _shown(ctx: Context, said: dict[str, Any]) -> int:
    ctx.out.show(said, lambda: _page(ctx, said), TAKEN)
    return _code(said["statements"])


def _page(ctx: Context, said: Mapping[str, Any]) -> Group:
    taken = said["statements"]
    if _code(taken) == Exit.DONE:
        verdict = Text("all of it is in, and it adds up", "green")
    else:
        verdict = Text("look at what is parked: ops-cli recon statement get STATEMENT --parked", "bold red")
    return Group(ctx.out.table(taken, TAKEN), "", verdict)


def _code(statements: list[Any]) -> Exit:
    """6 when a person has to look."""
    wrong = [each for each in statements if each["parked"] or each["difference_minor"]]
    return Exit.ANSWER_IS_NO if wrong else Exit.DONE
