"""ops-cli transfer: open, find, follow and cancel transfers."""

from __future__ import annotations

from typing import Any

from services.ops_cli.client import Params
from services.ops_cli.context import Context, Ctx
from services.ops_cli.exits import Exit, OpsError
from services.ops_cli.inspection import inspect_transfer
from services.ops_cli.lists import between, list_items
from services.ops_cli.noun import noun
from services.ops_cli.options import (
    All,
    AsOf,
    Cursor,
    DryRun,
    IfMatch,
    Key,
    Limit,
    Reason,
    Since,
    States,
    Ticket,
    Until,
    reason_of,
)
from services.ops_cli.values import instant, rfc3339, seconds
from services.ops_cli.views import STORY, TIMELINE, TRANSFER, TRANSFERS
from services.ops_cli.watching import UNTIL, WATCH_SECONDS, follow

app = noun("transfer", "Transfers: open, find, follow, cancel.")


@app.command
def create(
    quote_id: str, /, *, sender: str, receiver: str, idempotency_key: Key = None, dry_run: DryRun = False, ctx: Ctx
) -> None:
    """Take a quote for two profiles whose KYC has passed. Answers the route to pay in on.

    Example: ops-cli transfer create QUOTE_ID --sender PROFILE_ID --receiver PROFILE_ID

    Parameters
    ----------
    quote_id
        As `quote create` answered it, before it expires.
    sender
        Profile of who pays in.
    receiver
        Profile of who gets it.
    idempotency_key
        The same key opens no second transfer.
    dry_run
        Show the request and send nothing.
    """
    body = {"quote_id": quote_id, "sender_id": sender, "receiver_id": receiver}
    if dry_run:
        ctx.would_send("POST", "/v1/transfers", body)
        return
    ctx.out.record(ctx.http.post("/v1/transfers", body, role="customer", key=idempotency_key), TRANSFER)


@app.command
def get(transfer_id: str, /, *, as_of: AsOf = None, ctx: Ctx) -> None:
    """A transfer as it is, or as it was.

    Example: ops-cli transfer get 7a4f0c52-8a53-5f0e-9a35-2f8f4a8be611 --as-of -2h

    Parameters
    ----------
    transfer_id
        As `transfer list` shows it.
    as_of
        RFC 3339, or an age like -2h: its state at that moment.
    """
    ctx.out.record(_get(ctx, transfer_id, as_of), TRANSFER)


@app.command(name="list")
def list_transfers(
    *,
    state: States = None,
    corridor: str | None = None,
    customer: str | None = None,
    route: str | None = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    all_: All = False,
    ctx: Ctx,
) -> None:
    """Transfers, newest first.

    Example: ops-cli transfer list --state AWAITING_FUNDING --since -1d

    Parameters
    ----------
    state
        Only those: AWAITING_FUNDING, FUNDING_CONFIRMED, PAYOUT_INITIATED, PAYOUT_REVIEW_REQUIRED, PAYOUT_COMPLETED,
        CANCELLED, EXPIRED. May be repeated.
    corridor
        Only those of one corridor: GB-ET.
    customer
        Only those of one customer.
    route
        Only the one with this reference on its deposit.
    since
        Opened since: RFC 3339, or an age like -2h.
    until
        Opened before.
    limit
        Items of a page, 50 unless said.
    cursor
        The page behind it, as the last one said.
    all_
        Every page.
    """
    params: Params = {
        "state": state, "corridor": corridor, "customer_id": customer, "route": route, **between(since, until),
    }  # fmt: skip
    list_items(
        ctx, "/v1/transfers", TRANSFERS, params=params, limit=limit, cursor=cursor, every=all_, none="no transfers"
    )


@app.command
def timeline(transfer_id: str, /, *, joined: bool = False, ctx: Ctx) -> None:
    """What happened to it, oldest first.

    Example: ops-cli transfer timeline 7a4f0c52-8a53-5f0e-9a35-2f8f4a8be611 --joined

    Parameters
    ----------
    transfer_id
        As `transfer list` shows it.
    joined
        Of all services: its events, postings, what banks said, what arrived.
    """
    if joined:
        found = ctx.http.get(f"/v1/reviews/transfers/{transfer_id}/timeline")
        ctx.out.rows(found["entries"], STORY, none="nothing is known of it")
        if found["incomplete"]:
            ctx.out.warn(f"not everybody answered, so something may be missing: {', '.join(found['incomplete'])}")
        return
    found = ctx.http.get(f"/v1/transfers/{transfer_id}/timeline")
    ctx.out.rows(found["events"], TIMELINE, none="no events")


@app.command
def state(transfer_id: str, /, *, as_of: AsOf = None, ctx: Ctx) -> None:
    """Its state alone, now or at a moment in the past.

    Example: ops-cli transfer state 7a4f0c52-8a53-5f0e-9a35-2f8f4a8be611 --as-of 2026-01-31T12:00:00Z

    Parameters
    ----------
    transfer_id
        As `transfer list` shows it.
    as_of
        RFC 3339, or an age like -2h.
    """
    found = _get(ctx, transfer_id, as_of)
    value = {"transfer_id": transfer_id, "state": found["state"], "version": found["version"], "as_of": as_of}
    if ctx.out.machine:
        ctx.out.record(value, ())
    else:
        ctx.out.raw(found["state"])


@app.command
def inspect(transfer_id: str, /, *, ctx: Ctx) -> None:
    """Everything that is known of one transfer, on one page: itself, its payout, its postings, its history.

    Example: ops-cli transfer inspect 7a4f0c52-8a53-5f0e-9a35-2f8f4a8be611

    Parameters
    ----------
    transfer_id
        As `transfer list` shows it.
    """
    inspect_transfer(ctx, transfer_id)


@app.command
def watch(transfer_id: str, /, *, until: str = UNTIL, ctx: Ctx) -> int:
    """Follow it until it is paid out. Ends with 6 when it ended otherwise or needs a person, with 8 after --timeout.

    Example: ops-cli transfer watch 7a4f0c52-8a53-5f0e-9a35-2f8f4a8be611 --timeout 2m

    Parameters
    ----------
    transfer_id
        As `transfer list` shows it.
    until
        The state that is waited for.
    """
    limit = seconds(ctx.options.timeout) if ctx.options.timeout else WATCH_SECONDS
    return follow(ctx, transfer_id, until.upper(), limit)


@app.command
def cancel(
    transfer_id: str,
    /,
    *,
    reason: Reason = None,
    ticket: Ticket = None,
    if_match: IfMatch = None,
    idempotency_key: Key = None,
    dry_run: DryRun = False,
    ctx: Ctx,
) -> int:
    """Withdraw it as its customer, before it is paid in. Asks first.

    Example: ops-cli transfer cancel 7a4f0c52-8a53-5f0e-9a35-2f8f4a8be611 --reason "customer changed their mind"

    Parameters
    ----------
    transfer_id
        As `transfer list` shows it.
    reason
        Why. Kept with what was done: no personal data in it.
    ticket
        Put behind the reason.
    if_match
        Only while it has this version (`transfer get` shows it).
    idempotency_key
        The same key cancels once.
    dry_run
        Show the request and send nothing.
    """
    body = {"reason": reason_of(reason, ticket)}
    path = f"/v1/transfers/{transfer_id}/cancel"
    if dry_run:
        ctx.would_send("POST", path, body)
        return Exit.DONE
    if if_match is not None:
        _unchanged(ctx, transfer_id, if_match)
    ctx.sure(f"Cancel transfer {transfer_id}?")
    ctx.out.record(ctx.http.post(path, body, role="customer", key=idempotency_key, if_match=if_match), TRANSFER)
    return Exit.DONE


def _get(ctx: Context, transfer_id: str, as_of: str | None) -> dict[str, Any]:
    moment = rfc3339(instant(as_of)) if as_of else None
    found: dict[str, Any] = ctx.http.get(f"/v1/transfers/{transfer_id}", {"as_of": moment})
    return found


def _unchanged(ctx: Context, transfer_id: str, version: int) -> None:
    """Looked at before the request as well: a refusal then has the version that it has."""
    found = _get(ctx, transfer_id, None)
    if found["version"] != version:
        raise OpsError(
            Exit.PRECONDITION, "it has changed since you looked",
            facts={"asked": version, "now": found["version"], "state": found["state"]},
        )  # fmt: skip
