"""ops-cli ledger account: what there is, how it stands, and what moved it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from rich.console import Group

from services.ops_cli.client import PAGE_ITEMS
from services.ops_cli.context import Context, Ctx
from services.ops_cli.lists import list_items
from services.ops_cli.noun import noun
from services.ops_cli.options import All, AsOf, Cursor, Limit, Since, Until, limit_of
from services.ops_cli.statements import write_statement
from services.ops_cli.tables import Column, pairs
from services.ops_cli.values import when
from services.ops_cli.views import ACCOUNT, ACCOUNT_LIST, STANDS, STATEMENT

app = noun(
    "account",
    "Accounts: list, balance at any moment, statement.\n\n"
    "A balance is shown on the account's normal side: debits less credits for assets, expenses and positions, credits "
    "less debits for what is owed and for revenue. So it is usually above 0; below 0 it stands on the other side.\n\n"
    "A moment is a time (when entries were posted; 2026-01-31T12:00:00Z, or -2h), the number of an entry, or the id of "
    "an entry or of the event that caused it.",
)
ACCOUNTS_PATH = "/v1/ledger/accounts"


@app.command(name="list")
def list_accounts(
    *,
    kind: str | None = None,
    owner: str | None = None,
    currency: str | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    all_: All = False,
    ctx: Ctx,
) -> None:
    """Accounts with their balances, in the order of their ids.

    Example: ops-cli ledger account list --kind customer --currency GBP

    Parameters
    ----------
    kind
        Only those of a line of the chart: customer, safeguarding, suspense:deposits, ...
    owner
        Only those that this is asked about: customer, partner, corridor.
    currency
        Only those in it: GBP.
    limit
        Items of a page, 50 unless said.
    cursor
        The page behind it, as the last one said.
    all_
        Every page.
    """
    params = {"kind": kind, "owner": owner, "currency": currency}
    list_items(
        ctx, ACCOUNTS_PATH, ACCOUNT_LIST, params=params, limit=limit, cursor=cursor, every=all_, none="no such account"
    )


@app.command
def get(account_id: str, /, *, as_of: AsOf = None, ctx: Ctx) -> None:
    """An account with both sides and its balance, now or at a moment, and the event that made it so.

    The balance is on the normal side; of a customer's account also what is available and what is held.

    Example: ops-cli ledger account get safeguarding:sandbox-bank:GBP --as-of -2h

    Parameters
    ----------
    account_id
        As `ledger account list` shows it.
    as_of
        A time, an entry's number, or the id of an entry or an event.
    """
    path = f"{ACCOUNTS_PATH}/{quote(account_id, safe=':')}"
    ctx.out.record(ctx.http.get(path, {"as_of": when(as_of)}), ACCOUNT)


@app.command
def statement(
    account_id: str,
    /,
    *,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    all_: All = False,
    ctx: Ctx,
) -> None:
    """Opening balance, each line with the balance behind it, closing balance; oldest first.

    Statements behind each other leave nothing out: what is posted at `until` is in the first, behind it in the second.
    With -o csv and --all (or --output x.csv --all) everything is written as it comes, however much it is.

    Example: ops-cli ledger account statement safeguarding:sandbox-bank:GBP --since -1d

    Parameters
    ----------
    account_id
        As `ledger account list` shows it.
    since
        Only what was posted after it: a time, an entry's number, or the id of an entry or an event.
    until
        Up to it, itself too; now unless said.
    limit
        Lines of a page, 50 unless said.
    cursor
        The page behind it, as the last one said.
    all_
        Every line.
    """
    path = f"{ACCOUNTS_PATH}/{quote(account_id, safe=':')}/statement"
    params = {"since": when(since), "until": when(until)}
    if all_ and ctx.out.format == "csv" and not ctx.options.fields:
        write_statement(ctx, path, params)
        return
    if all_:
        _show(ctx, _whole(ctx, path, params), None)
        return
    found = ctx.http.get(path, {**params, "limit": limit_of(limit), "cursor": cursor})
    _show(ctx, found, found["next_cursor"])


def _whole(ctx: Context, path: str, params: Mapping[str, str | None]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    items: list[Any] = []
    with ctx.out.progress("reading") as step:
        for found in ctx.http.pages(path, {**params, "limit": PAGE_ITEMS}):
            items += found["items"]
            step(len(items))
    return found | {"items": items}


def _show(ctx: Context, found: Mapping[str, Any], more: str | None) -> None:
    lines = [{**each, "currency": found["currency"]} for each in found["items"]]
    if ctx.options.fields or ctx.out.format in {"csv", "jsonl"}:
        ctx.out.rows(lines, STATEMENT, more=more, none="nothing moved it")
        return
    ends = [{"end": end, "currency": found["currency"], **found[end]} for end in ("opening", "closing")]
    sides = Column("normal side", "normal_side")
    head = pairs(found, [Column("account", "account_id"), sides])
    body = ctx.out.table(lines, STATEMENT) if lines else "nothing moved it"
    ctx.out.show(found, lambda: Group(head, "", ctx.out.table(ends, STANDS), "", body))
    if more and ctx.out.format == "table":
        ctx.out.note(f"there is more: --cursor {more}, or --all")
