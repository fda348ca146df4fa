"""ops-cli payout: what we told a bank to pay."""

from __future__ import annotations

from services.ops_cli.client import Params
from services.ops_cli.context import Ctx
from services.ops_cli.lists import between, list_items
from services.ops_cli.noun import noun
from services.ops_cli.options import All, Cursor, Limit, Since, States
from services.ops_cli.tables import Column
from services.ops_cli.views import PAYOUT, PAYOUTS, TIMELINE

app = noun("payout", "Payouts: what we told a bank to pay, and what it said.")


@app.command(name="list")
def list_payouts(
    *,
    state: States = None,
    transfer: str | None = None,
    since: Since = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    all_: All = False,
    ctx: Ctx,
) -> None:
    """Payouts, newest first.

    Example: ops-cli payout list --state MANUAL_REVIEW

    Parameters
    ----------
    state
        Only those: REQUESTED, APPROVED, SUBMITTING, SENT, UNKNOWN, MANUAL_REVIEW, CONFIRMED. May be repeated.
    transfer
        Only those of one transfer.
    since
        Requested since: RFC 3339, or an age like -2h.
    limit
        Items of a page, 50 unless said.
    cursor
        The page behind it, as the last one said.
    all_
        Every page.
    """
    params: Params = {"state": state, "transfer_id": transfer, **between(since)}
    list_items(
        ctx, "/v1/payouts", PAYOUTS, params=params, limit=limit, cursor=cursor, every=all_,
        none="no payouts", role="operator",
    )  # fmt: skip


@app.command
def get(payout_id: str, /, *, timeline: bool = False, ctx: Ctx) -> None:
    """One payout, without the creditor's data.

    Example: ops-cli payout get 3f0d6c0a-53b1-5b0e-8d6e-1f3b5a7c9e20 --timeline

    Parameters
    ----------
    payout_id
        As `payout list` or `transfer get` showed it.
    timeline
        What happened to it instead: each event with the states around it.
    """
    if not timeline:
        ctx.out.record(ctx.http.get(f"/v1/payouts/{payout_id}"), PAYOUT)
        return
    events = ctx.http.get(f"/v1/payouts/{payout_id}/timeline")["events"]
    ctx.out.rows(events, [*TIMELINE, Column("version", "version", drop=4)], none="no events")
