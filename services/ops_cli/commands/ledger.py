"""ops-cli ledger: the books, read only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.text import Text

from services.ops_cli.client import PAGE_ITEMS
from services.ops_cli.context import Context, Ctx
from services.ops_cli.exits import Exit, usage
from services.ops_cli.noun import noun
from services.ops_cli.options import All, AsOf, Cursor, Limit, Since, Until, limit_of
from services.ops_cli.tables import Column, pairs
from services.ops_cli.values import when
from services.ops_cli.views import ACCOUNTS, ENTRIES, KINDS, TOTALS, at

app = noun("ledger", "The books: accounts, entries, and whether they balance.")
ADJUST = "A journal entry by hand: one person proposes it, another one approves it."
HALTS = "Currencies in which no new money moves because the books are wrong, and how it goes on."
POSITIONS = "What we hold and owe in each currency, at the published rates.\n\nExample: ops-cli ledger positions"
PROOF = "Prove the books: every invariant, and all entries again from events.\n\nExample: ops-cli ledger verify"
ACCOUNT = "Accounts: list, balance at any moment, statement."
app.command("services.ops_cli.commands.ledger_account:app", name="account", help=ACCOUNT)
app.command("services.ops_cli.commands.ledger_adjust:app", name="adjust", help=ADJUST)
app.command("services.ops_cli.commands.ledger_halt:app", name="halt", help=HALTS)
app.command("services.ops_cli.commands.ledger_positions:positions", name="positions", help=POSITIONS)
app.command("services.ops_cli.commands.ledger_verify:verify", name="verify", help=PROOF)

ENTRIES_PATH = "/v1/ledger/entries"
ENTRY = [
    Column("entry", "entry_id"),
    Column("number", "entry_seq"),
    Column("kind", "kind"),
    Column("caused by event", "cause_id"),
    at("caused", "caused_at"),
    at("posted", "posted_at"),
    Column("transfer", "transfer_id"),
    Column("says it", lambda item: (item.get("event") or {}).get("event_id")),
    Column("actor", lambda item: (item.get("event") or {}).get("actor")),
    Column("reason", lambda item: (item.get("event") or {}).get("reason")),
    Column("hash", lambda item: (item.get("event") or {}).get("hash")),
]


@app.command
def entries(
    transfer_id: str | None = None,
    /,
    *,
    account: str | None = None,
    cause: str | None = None,
    kind: str | None = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    all_: All = False,
    ctx: Ctx,
) -> None:
    """What was posted for a transfer, in the order of posting; without a transfer all entries, newest first.

    A row for each line: Dr debits the account, Cr credits it; in each currency both are equal.

    Example: ops-cli ledger entries 7a4f0c52-8a53-5f0e-9a35-2f8f4a8be611

    Parameters
    ----------
    transfer_id
        As `transfer list` shows it.
    account
        Only those with a line on the account.
    cause
        Only those that this event caused.
    kind
        Only those of the kind: deposit.observed, transfer.funding_confirmed, ...
    since
        Only what was posted after it: a time (or -2h), an entry's number, or the id of an entry or an event.
    until
        Up to it, itself too.
    limit
        Entries of a page, 20 unless said.
    cursor
        The page behind it, as the last one said.
    all_
        Every page.
    """
    params = {
        "account_id": account, "cause_id": cause, "kind": kind, "since": when(since), "until": when(until),
        "cursor": cursor,
    }  # fmt: skip
    if transfer_id is not None:
        if any(params.values()):
            raise usage("entries of a transfer come all together", "leave the other options out, or the transfer")
        found = ctx.http.get(f"/v1/ledger/transfers/{transfer_id}/entries")["entries"]
        ctx.out.rows(lines_of(found), ENTRIES, none="nothing was posted for this transfer")
        return
    pages = ctx.http.pages(ENTRIES_PATH, {**params, "limit": PAGE_ITEMS if all_ else limit_of(limit)})
    found, more = [], None
    for page in pages:
        found, more = found + page["items"], page["next_cursor"]
        if not all_ and found:  # a filter may leave a page empty before the end
            break
    ctx.out.rows(lines_of(found), ENTRIES, more=more, none="no such entry")


@app.command
def entry(entry_id: str, /, *, ctx: Ctx) -> None:
    """One entry with its lines, the event that caused it and the event that says it.

    Example: ops-cli ledger entry 5e0f6f0e-8b0d-5d8f-9f55-0a8c1b6d7e21

    Parameters
    ----------
    entry_id
        As `ledger entries` shows it.
    """
    found = ctx.http.get(f"{ENTRIES_PATH}/{entry_id}")
    ctx.out.show(found, lambda: Group(pairs(found, ENTRY), "", ctx.out.table(lines_of([found]), ENTRIES)), ENTRY)


def lines_of(found: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each line of each entry; `first`: where an entry begins."""
    return [
        {
            "entry_id": entry["entry_id"],
            "entry_seq": entry.get("entry_seq"),
            "kind": entry["kind"],
            "cause_id": entry["cause_id"],
            "posted_at": entry["posted_at"],
            "first": index == 0,
            **line,
        }
        for entry in found
        for index, line in enumerate(entry["lines"])
    ]


@app.command
def trial_balance(*, as_of: AsOf = None, ctx: Ctx) -> int:
    """Both sides of everything, and their difference for each currency. Ends with 6 when one is not zero.

    A balance is on the account's normal side; customers' accounts are summed up, `ledger account list` has them.

    Example: ops-cli ledger trial-balance --as-of -1d

    Parameters
    ----------
    as_of
        A time (of posting; or -2h), an entry's number, or the id of an entry or an event; now unless said.
    """
    found = ctx.http.get("/v1/ledger/trial-balance", {"as_of": when(as_of)})
    wrong = [each for each in found["currencies"] if each["difference_minor"] != 0]
    if ctx.out.format in {"csv", "jsonl"} or ctx.options.fields:
        ctx.out.rows(found["kinds"], KINDS, none="the books are empty")
    else:
        ctx.out.show(found, lambda: _books(ctx, found, wrong=bool(wrong)))
    return Exit.ANSWER_IS_NO if wrong else Exit.DONE


def _books(ctx: Context, found: Mapping[str, Any], *, wrong: bool) -> Group:
    """Kinds, then the accounts that are no customer's, then the totals with the zero."""
    verdict = Text("the books do not balance", "bold red") if wrong else Text("the books balance", "green")
    parts = [ctx.out.table(found[rows], columns) for rows, columns in (("kinds", KINDS), ("accounts", ACCOUNTS))]
    return Group(
        *(each for part in parts for each in (part, "")), ctx.out.table(found["currencies"], TOTALS), "", verdict
    )
