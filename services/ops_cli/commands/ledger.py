"""ops-cli ledger: the books, read only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from cyclopts import App
from rich.console import Group
from rich.text import Text

from services.ops_cli.context import Ctx
from services.ops_cli.exits import Exit
from services.ops_cli.noun import noun
from services.ops_cli.tables import Column
from services.ops_cli.views import ACCOUNTS, ENTRIES, TOTALS, amount, at

app = noun("ledger", "The books: accounts, entries, and whether they balance.")
ADJUST = "A journal entry by hand: one person proposes it, another one approves it."
PROOF = "Prove the books: every invariant, and all entries again from events.\n\nExample: ops-cli ledger verify"
account: App = noun("account", "One account.")
app.command(account)
app.command("services.ops_cli.commands.ledger_adjust:app", name="adjust", help=ADJUST)
app.command("services.ops_cli.commands.ledger_verify:verify", name="verify", help=PROOF)

ACCOUNT = [
    Column("account", "account_id"),
    Column("class", "account_class"),
    Column("currency", "currency"),
    amount("debit", "debit_minor"),
    amount("credit", "credit_minor"),
    amount("debit - credit", "balance_minor"),
    Column("never overdrawn", "protected"),
    at("opened", "opened_at"),
]


@account.command
def get(account_id: str, /, *, ctx: Ctx) -> None:
    """An account with both sides of its balance.

    Example: ops-cli ledger account get safeguarding:GBP

    Parameters
    ----------
    account_id
        As `ledger trial-balance` lists it.
    """
    found = ctx.http.get(f"/v1/ledger/accounts/{quote(account_id, safe=':/')}")
    found["balance_minor"] = found["debit_minor"] - found["credit_minor"]
    ctx.out.record(found, ACCOUNT)


@app.command
def entries(transfer_id: str, /, *, ctx: Ctx) -> None:
    """What was posted for a transfer, in the order of posting; a row for each line.

    Example: ops-cli ledger entries 7a4f0c52-8a53-5f0e-9a35-2f8f4a8be611

    Parameters
    ----------
    transfer_id
        As `transfer list` shows it.
    """
    found = ctx.http.get(f"/v1/ledger/transfers/{transfer_id}/entries")["entries"]
    ctx.out.rows(lines_of(found), ENTRIES, none="nothing was posted for this transfer")


def lines_of(found: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each line of each entry; `first`: where an entry begins."""
    return [
        {
            "entry_id": entry["entry_id"],
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
def trial_balance(*, ctx: Ctx) -> int:
    """Every account, and the difference of the two sides for each currency. Ends with 6 when one is not zero.

    Example: ops-cli ledger trial-balance
    """
    found = ctx.http.get("/v1/ledger/trial-balance")
    wrong = [each for each in found["currencies"] if each["difference_minor"] != 0]
    if ctx.out.format in {"csv", "jsonl"} or ctx.options.fields:
        ctx.out.rows(found["accounts"], ACCOUNTS, none="the books are empty")
    else:
        verdict = Text("the books do not balance", "bold red") if wrong else Text("the books balance", "green")
        ctx.out.show(
            found,
            lambda: Group(
                ctx.out.table(found["accounts"], ACCOUNTS), "", ctx.out.table(found["currencies"], TOTALS), "", verdict
            ),
        )
    return Exit.ANSWER_IS_NO if wrong else Exit.DONE
