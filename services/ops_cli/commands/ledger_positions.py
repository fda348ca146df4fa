"""ops-cli ledger positions: what we hold and owe in each currency, at the published rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.text import Text

from services.ops_cli.context import Ctx
from services.ops_cli.tables import Column
from services.ops_cli.values import shown
from services.ops_cli.views import amount, moment

PATH = "/v1/ledger/positions"


def positions(*, currency: str | None = None, ctx: Ctx) -> None:
    """What we hold and owe in each currency because of conversions, its value, and the profit and loss of what is open.

    The position is above zero where it is ours to sell, below where it is promised and not bought yet. Profit and loss
    is what would be left of it if that were bought now, at the published rates, from what was taken at the locked ones.

    Example: ops-cli ledger positions
    Example: ops-cli ledger positions --currency USD -o json

    Parameters
    ----------
    currency
        ISO 4217: value everything in it, instead of the reporting currency of the settings.
    """
    found = ctx.http.get(PATH, {"currency": currency})
    reporting = found["totals"]["currency"]
    rows = [_row(each, reporting) for each in found["positions"]]
    for text in warnings_of(found):
        ctx.out.warn(text)
    if ctx.out.format in {"csv", "jsonl"} or ctx.options.fields:
        ctx.out.rows(rows, POSITIONS, none="there was no conversion yet")
    elif not rows and not ctx.out.machine:
        ctx.out.note("there was no conversion yet")
    else:
        ctx.out.show(found, lambda: Group(ctx.out.table(rows, POSITIONS), "", Text(totals_of(found["totals"]))))


def _row(position: Mapping[str, Any], reporting: str) -> dict[str, Any]:
    """A line of the table and of CSV: flat."""
    rate = position["rate"] or {}
    return {
        **position,
        "value_currency": reporting,
        "rate": rate.get("value"),
        "rate_published_at": rate.get("published_at"),
        "rate_by": " ".join(rate.get("by", [])) or None,
    }


def _rate(row: Mapping[str, Any]) -> str | None:
    """`0.00487 current, 2026-01-31 12:00:00Z`."""
    if row["rate"] is None:
        return row["rate_state"] if row["rate_state"] == "missing" else None
    return f"{row['rate']} {row['rate_state']}, {moment(row['rate_published_at'])}"


def _profit(row: Mapping[str, Any]) -> str | None:
    """With a mark where it is made of an old rate."""
    if row["profit_and_loss_minor"] is None:
        return None
    text = shown(row["profit_and_loss_minor"], row["currency"])
    return f"{text} (stale)" if row["profit_and_loss_stale"] else text


POSITIONS = [
    Column("currency", "currency"),
    amount("position", "position_minor"),
    amount("value", "value_minor", "value_currency"),
    Column("profit and loss", _profit, right=True),
    amount("open", "open_minor", drop=1),
    amount("spread", "spread_minor", drop=2),
    amount("rounding", "rounding_minor", drop=4),
    Column("rate", _rate, drop=3),
    Column("published by", "rate_by", drop=5),
]


def totals_of(totals: Mapping[str, Any]) -> str:
    """One line: `all in GBP: value 2.26 GBP, profit and loss 2.26 GBP, spread 0.50 GBP, rounding 0.00 GBP`."""
    parts = [
        f"{title} {shown(totals[name], totals['currency'])}"
        for title, name in (
            ("value", "value_minor"), ("profit and loss", "profit_and_loss_minor"), ("spread", "spread_minor"),
            ("rounding", "rounding_minor"),
        )
    ]  # fmt: skip
    return f"all in {totals['currency']}: {', '.join(parts)}"


def warnings_of(found: Mapping[str, Any]) -> list[str]:
    """What the figures do not say by themselves."""
    rates, totals = found["rates"], found["totals"]
    texts = []
    if rates["status"] != "published":
        texts.append(f"no published rates: {rates['detail']}")
    if rates["unpublished"]:
        texts.append(f"nobody publishes a rate for the corridors {', '.join(rates['unpublished'])}")
    if totals["missing"]:
        texts.append(f"without a published rate, and so not in every total: {', '.join(totals['missing'])}")
    if totals["stale"]:
        texts.append(f"at a rate that is too old to quote on: {', '.join(totals['stale'])}")
    return texts
