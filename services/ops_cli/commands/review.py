"""ops-cli review: everything that waits for a person, from all services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.text import Text

from services.ops_cli.context import Context, Ctx
from services.ops_cli.lists import list_items
from services.ops_cli.noun import noun
from services.ops_cli.options import All, Cursor, Limit
from services.ops_cli.tables import Column, pairs
from services.ops_cli.views import STORY, age, amount, at

app = noun("review", "What waits for a person, from all services.")
REVIEWS = [
    Column("review", "review_id"),
    Column("reason", "reason"),
    amount("amount"),
    age("age", "opened_at"),
    Column("transfer", "transfer_id", drop=2),
    Column("detail", "detail", drop=1),
    Column("link", "link", drop=3),
]
REVIEW = [
    *REVIEWS[:5],
    at("since", "opened_at"),
    Column("detail", "detail"),
    Column("what to do", "what_to_do"),
    Column("link", "link"),
]


@app.command(name="list")
def list_reviews(
    *, reason: str | None = None, limit: Limit = 50, cursor: Cursor = None, all_: All = False, ctx: Ctx
) -> None:
    """The queue, oldest first.

    Example: ops-cli review list --reason unmatched_deposit

    Parameters
    ----------
    reason
        Only those of one reason, as the list shows them.
    limit
        Items of a page, 50 unless said.
    cursor
        The page behind it, as the last one said.
    all_
        Every page.
    """
    list_items(
        ctx, "/v1/reviews", REVIEWS, params={"reason": reason}, limit=limit, cursor=cursor, every=all_,
        none="nothing waits for a person",
    )  # fmt: skip


@app.command
def get(review_id: str, /, *, ctx: Ctx) -> None:
    """One item of the queue.

    Example: ops-cli review get 4d1f8e9c-35f3-5c14-8e9b-7f1a2b3c4d5e

    Parameters
    ----------
    review_id
        As `review list` shows it.
    """
    found = ctx.http.get(f"/v1/reviews/{review_id}")
    ctx.out.show(found, lambda: _page(ctx, found))


def _page(ctx: Context, found: Mapping[str, Any]) -> Group:
    parts: list[Any] = [pairs(found, REVIEW)]
    if found.get("timeline"):
        parts += ["", Text("History of its transfer", "bold"), ctx.out.table(found["timeline"], STORY)]
    return Group(*parts)
