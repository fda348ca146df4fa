"""ops-cli deposit: money that came in."""

from __future__ import annotations

from uuid import uuid4

from services.ops_cli.client import Params
from services.ops_cli.context import Ctx
from services.ops_cli.lists import between, list_items
from services.ops_cli.noun import noun
from services.ops_cli.options import All, Cursor, Limit, Since, States, Wait
from services.ops_cli.sandbox import collect
from services.ops_cli.tables import Column, state
from services.ops_cli.values import money, seconds
from services.ops_cli.views import amount, at
from services.ops_cli.watching import UNTIL, WATCH_SECONDS, follow

app = noun("deposit", "Deposits: money that came in, and whether it found its transfer.")
DEPOSITS = [
    Column("route", "route_id"),
    state(),
    amount("expected", "expected_minor", "expected_currency"),
    Column("needs a person", "needs_a_person", drop=1),
    at("changed", "changed_at", drop=3),
    Column("transfer", "transfer_id", drop=2),
]


@app.command(name="list")
def list_deposits(
    *,
    waiting: bool = False,
    state: States = None,
    transfer: str | None = None,
    route: str | None = None,
    since: Since = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    all_: All = False,
    ctx: Ctx,
) -> None:
    """Routes with what came in on them, newest first.

    Example: ops-cli deposit list --waiting

    Parameters
    ----------
    waiting
        Only money that fits nothing yet, oldest first.
    state
        Only those: EXPECTED, UNEXPECTED, MISMATCHED, CONFIRMED, CLOSED. May be repeated.
    transfer
        Only that of one transfer.
    route
        Only the one with this reference.
    since
        First heard of since: RFC 3339, or an age like -2h.
    limit
        Items of a page, 50 unless said.
    cursor
        The page behind it, as the last one said.
    all_
        Every page.
    """
    if waiting:
        ctx.out.rows(ctx.http.get("/v1/deposits/waiting")["deposits"], DEPOSITS, none="no money waits")
        return
    params: Params = {"state": state, "transfer_id": transfer, "route": route, **between(since)}
    list_items(ctx, "/v1/deposits", DEPOSITS, params=params, limit=limit, cursor=cursor, every=all_, none="no deposits")


@app.command
def get(route_id: str, /, *, ctx: Ctx) -> None:
    """One route with the money on it that no transfer has taken.

    Example: ops-cli deposit get 5e0f6f0e-8b0d-5d8f-9f55-0a8c1b6d7e21

    Parameters
    ----------
    route_id
        As `deposit list` shows it.
    """
    ctx.out.record(
        ctx.http.get(f"/v1/deposits/routes/{route_id}"),
        [*DEPOSITS, Column("not taken", lambda item: len(item.get("unresolved") or ()))],
    )


@app.command
def simulate(
    transfer_id: str,
    /,
    *,
    amount: str | None = None,
    copies: int = 1,
    via: str = "webhook",
    wait: Wait = False,
    ctx: Ctx,
) -> int:
    """Let the sandbox's bank receive money for a transfer and report it. Only where there is a sandbox.

    Example: ops-cli deposit simulate 7a4f0c52-8a53-5f0e-9a35-2f8f4a8be611 --wait

    Parameters
    ----------
    transfer_id
        The transfer that is paid in.
    amount
        Another amount than the right one, with its currency: "90.00 GBP".
    copies
        How often the bank reports it; it counts once.
    via
        webhook or kafka.
    wait
        Follow the transfer until it is paid out.
    """
    transfer = ctx.http.get(f"/v1/transfers/{transfer_id}")
    minor, currency = transfer["send_minor"], transfer["send_currency"]
    if amount is not None:
        other = money(amount)
        minor, currency = other.minor, other.currency
    deposit = {
        "reference": f"OPS-{uuid4().hex[:16].upper()}", "route": transfer["route"], "amount_minor": minor,
        "currency": currency, "transport": via, "copies": copies,
    }  # fmt: skip
    collect(ctx, deposit)
    limit = seconds(ctx.options.timeout) if ctx.options.timeout else WATCH_SECONDS
    return follow(ctx, transfer_id, UNTIL, limit) if wait else 0
