"""ops-cli ledger adjust: a journal entry that one person wants and another one approves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Group, RenderableType

from services.ops_cli.context import Ctx
from services.ops_cli.exits import Exit, usage
from services.ops_cli.noun import noun
from services.ops_cli.options import DryRun, Key, Reason, Ticket, reason_of
from services.ops_cli.tables import Column, pairs, state
from services.ops_cli.values import money
from services.ops_cli.views import amount

app = noun("adjust", "A journal entry by hand: one person proposes it, another one approves it.")
PATH = "/v1/ledger/adjustments"
Lines = Annotated[list[str] | None, Parameter(negative=())]

LINES = [
    Column("account", "account_id"),
    Column("side", "side"),
    amount("amount", "amount_minor"),
]
ADJUSTMENT = [
    Column("adjustment", "adjustment_id"),
    state("state", "state"),
    Column("proposed by", "proposed_by"),
    Column("approved by", "approved_by"),
    Column("reason", "reason"),
    Column("evidence", "evidence"),
    Column("entry", "entry_id"),
]


@app.command
def propose(
    *, debit: Lines = None, credit: Lines = None, evidence: str, transfer: str | None = None, reason: Reason = None,
    ticket: Ticket = None, idempotency_key: Key = None, dry_run: DryRun = False, ctx: Ctx,
) -> int:  # fmt: skip
    """Propose an entry. Nothing is posted until another person approves it, within 7 days.

    Example: ops-cli ledger adjust propose --debit loss:payouts:GBP=2.50 --credit suspense:payouts:GBP=2.50 --evidence TICKET-4711 --reason "confirmed late, written off"

    Parameters
    ----------
    debit
        ACCOUNT=AMOUNT in the currency at the end of the account's path. Again for more lines.
    credit
        As --debit. Debits equal credits in each currency.
    evidence
        Where the proof is: a ticket, a document. No personal data.
    transfer
        The transfer that it belongs to.
    reason
        Why; needed, and kept for ever: no personal data in it.
    ticket
        Put behind the reason.
    idempotency_key
        The same key answers the same proposal again.
    dry_run
        Show the request and propose nothing.
    """  # noqa: E501 - an example is one line, to be copied
    lines = [_line("debit", each) for each in debit or ()] + [_line("credit", each) for each in credit or ()]
    if len(lines) < 2:
        raise usage("an entry has two lines or more", "--debit ACCOUNT=AMOUNT --credit ACCOUNT=AMOUNT")
    body = {"lines": lines, "evidence": evidence, "reason": reason_of(reason, ticket)}
    return _post(ctx, PATH, body | ({"transfer_id": transfer} if transfer else {}), idempotency_key, dry_run=dry_run)


@app.command
def approve(
    adjustment_id: str, /, *, reason: Reason = None, ticket: Ticket = None, idempotency_key: Key = None,
    dry_run: DryRun = False, ctx: Ctx,
) -> int:  # fmt: skip
    """Approve what another person proposed: it is in the books when this ends.

    Example: ops-cli ledger adjust approve 2b1d7c3e-0c52-5f2b-8f7e-6a1d0f9b3c44 --reason "checked the statement"

    Parameters
    ----------
    adjustment_id
        As `adjust propose` said it.
    reason
        What you checked; needed, and kept for ever.
    ticket
        Put behind the reason.
    idempotency_key
        The same key answers the same approval again.
    dry_run
        Show the request and approve nothing.
    """
    return _decide(ctx, adjustment_id, "approvals", reason_of(reason, ticket), idempotency_key, dry_run=dry_run)


@app.command
def reject(
    adjustment_id: str, /, *, reason: Reason = None, ticket: Ticket = None, idempotency_key: Key = None,
    dry_run: DryRun = False, ctx: Ctx,
) -> int:  # fmt: skip
    """Say no, or take back what you proposed. Nothing is posted.

    Example: ops-cli ledger adjust reject 2b1d7c3e-0c52-5f2b-8f7e-6a1d0f9b3c44 --reason "the partner paid it back"

    Parameters
    ----------
    adjustment_id
        As `adjust propose` said it.
    reason
        Why not; needed, and kept for ever.
    ticket
        Put behind the reason.
    idempotency_key
        The same key answers the same rejection again.
    dry_run
        Show the request and reject nothing.
    """
    return _decide(ctx, adjustment_id, "rejections", reason_of(reason, ticket), idempotency_key, dry_run=dry_run)


@app.command
def get(adjustment_id: str, /, *, ctx: Ctx) -> None:
    """An adjustment as it stands, with its lines while it waits.

    Example: ops-cli ledger adjust get 2b1d7c3e-0c52-5f2b-8f7e-6a1d0f9b3c44

    Parameters
    ----------
    adjustment_id
        As `adjust propose` said it.
    """
    _show(ctx, ctx.http.get(f"{PATH}/{adjustment_id}"))


def _line(side: str, text: str) -> Mapping[str, Any]:
    """`loss:payouts:GBP=2.50` as the API takes it. Raises OpsError."""
    account, equals, sum_ = text.partition("=")
    currency = account.rpartition(":")[2]
    if not equals or not currency:
        raise usage(f"not a line: {text[:80]!r}", f"write --{side} loss:payouts:GBP=2.50")
    found = money(f"{sum_} {currency}")
    return {"account_id": account, "side": side, "amount_minor": found.minor, "currency": found.currency}


def _decide(ctx: Ctx, adjustment_id: str, what: str, reason: str, key: str | None, *, dry_run: bool) -> int:
    return _post(ctx, f"{PATH}/{adjustment_id}/{what}", {"reason": reason}, key, dry_run=dry_run)


def _post(ctx: Ctx, path: str, body: Mapping[str, Any], key: str | None, *, dry_run: bool) -> int:
    if dry_run:
        ctx.would_send("POST", path, body)
        return Exit.DONE
    _show(ctx, ctx.http.post(path, body, role="operator", key=key))
    return Exit.DONE


def _show(ctx: Ctx, found: Mapping[str, Any]) -> None:
    def shown() -> RenderableType:
        lines: Sequence[Mapping[str, Any]] = found["lines"]
        return Group(pairs(found, ADJUSTMENT), "", ctx.out.table(lines, LINES)) if lines else pairs(found, ADJUSTMENT)

    ctx.out.show(found, shown, ADJUSTMENT)
