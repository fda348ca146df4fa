"""Everything that is known of one transfer, from every service that knows something of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Group
from rich.text import Text

from services.ops_cli.commands.ledger import lines_of
from services.ops_cli.context import Context
from services.ops_cli.exits import Exit, OpsError
from services.ops_cli.tables import pairs
from services.ops_cli.views import ENTRIES, PAYOUT, TIMELINE, TRANSFER


def inspect_transfer(ctx: Context, transfer_id: str) -> None:
    """Shown together; a service that is away is said so, and the rest is shown all the same."""
    transfer = ctx.http.get(f"/v1/transfers/{transfer_id}")
    missing: list[str] = []

    def ask(what: str, path: str, member: str | None = None) -> Any:
        return _unless_away(lambda: ctx.http.get(path), member, what, missing)

    payout_id = transfer.get("payout_id")
    payout = ask("the payout", f"/v1/payouts/{payout_id}") if payout_id else None
    events = ask("its events", f"/v1/transfers/{transfer_id}/timeline", "events") or []
    payout_events = ask("the payout's events", f"/v1/payouts/{payout_id}/timeline", "events") if payout_id else None
    entries = ask("the ledger", f"/v1/ledger/transfers/{transfer_id}/entries", "entries") or []
    history = sorted([*events, *(payout_events or [])], key=lambda each: str(each["at"]))
    value = {
        "transfer": transfer, "payout": payout, "events": history, "entries": entries, "not_answered": missing,
    }  # fmt: skip
    ctx.out.show(value, lambda: _page(ctx, transfer, payout, history, entries))
    for each in missing:
        ctx.out.warn(f"{each}: not answered; the page is incomplete")


def _unless_away(ask: Callable[[], Any], member: str | None, what: str, missing: list[str]) -> Any:
    try:
        found = ask()
    except OpsError as error:
        if error.code not in {Exit.UNAVAILABLE, Exit.TIMED_OUT, Exit.NOT_FOUND, Exit.FAILED}:
            raise
        missing.append(what)
        return None
    return found[member] if member else found


def _page(ctx: Context, transfer: Any, payout: Any, history: list[Any], entries: list[Any]) -> Group:
    parts: list[Any] = [pairs(transfer, TRANSFER, "Transfer")]
    if payout:
        parts += ["", pairs(payout, PAYOUT, "Payout")]
    if history:
        parts += ["", Text("History", "bold"), ctx.out.table(history, TIMELINE)]
    lines = lines_of(entries)
    if lines:
        parts += ["", Text("Postings", "bold"), ctx.out.table(lines, ENTRIES)]
    return Group(*parts)
