"""ops-cli ledger halt: in which currencies no new money moves, and how two people let it go on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import Parameter

from services.ops_cli.context import Ctx
from services.ops_cli.exits import Exit
from services.ops_cli.noun import noun
from services.ops_cli.options import DryRun, Key, Reason, Ticket, reason_of
from services.ops_cli.tables import Column, pairs, state
from services.ops_cli.views import amount, at

app = noun("halt", "Currencies in which the books were found wrong: no new money moves until two people lift it.")
PATH = "/v1/ledger/halts"
Approve = Annotated[bool, Parameter(name="--approve", negative=())]

HALT = [
    Column("currency", "currency"),
    state("state", "state"),
    at("found", "halted_at"),
    amount("differs by", "difference_minor"),
    Column("journals", "journals"),
    Column("lift asked by", "lift_requested_by"),
    Column("because", "reason"),
    at("resumed", "resumed_at"),
]


@app.command(name="list")
def list_(*, ctx: Ctx) -> int:
    """Every currency in which something was ever found. Ends with 6 while new money stands still in one.

    Example: ops-cli ledger halt list
    """
    found = ctx.http.get(PATH)["halts"]
    ctx.out.rows(found, HALT, none="nothing was ever found: money moves in every currency")
    return Exit.ANSWER_IS_NO if any(each["state"] != "RESUMED" for each in found) else Exit.DONE


@app.command
def lift(
    currency: str, /, *, approve: Approve = False, reason: Reason = None, ticket: Ticket = None,
    idempotency_key: Key = None, dry_run: DryRun = False, ctx: Ctx,
) -> int:  # fmt: skip
    """Ask to let new money move again; with --approve, agree to what another person has asked for.

    Nothing moves before two different people have said so. What is found meanwhile takes back the first one's wish.

    Example: ops-cli ledger halt lift ETB --reason "posting restored from its event" --ticket OPS-4712

    Parameters
    ----------
    currency
        As `ledger halt list` shows it.
    approve
        You are the second person, and have looked yourself: `ops-cli ledger verify`.
    reason
        Why; needed, and kept for ever: no personal data in it.
    ticket
        Put behind the reason.
    idempotency_key
        The same key answers the same wish again.
    dry_run
        Show the request and change nothing.
    """
    path = f"{PATH}/{currency.upper()}/{'lift-approvals' if approve else 'lift-requests'}"
    body: Mapping[str, Any] = {"reason": reason_of(reason, ticket)}
    if dry_run:
        ctx.would_send("POST", path, body)
        return Exit.DONE
    found = ctx.http.post(path, body, role="operator", key=idempotency_key)
    ctx.out.show(found, lambda: pairs(found, HALT), HALT)
    return Exit.DONE
