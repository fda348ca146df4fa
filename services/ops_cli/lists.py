"""One way to list: a page, the page behind a cursor, or all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.ops_cli.client import PAGE_ITEMS, Params
from services.ops_cli.context import Context
from services.ops_cli.options import limit_of
from services.ops_cli.tables import Column
from services.ops_cli.target import Who
from services.ops_cli.values import instant, rfc3339


def between(since: str | None, until: str | None = None) -> dict[str, str | None]:
    """The parameters that say when the items were made. Raises OpsError."""
    return {
        "created_from": rfc3339(instant(since)) if since else None,
        "created_to": rfc3339(instant(until)) if until else None,
    }


def list_items(
    ctx: Context,
    path: str,
    columns: Sequence[Column],
    *,
    params: Params,
    limit: int,
    cursor: str | None,
    every: bool,
    none: str,
    role: Who = "operator",
) -> None:
    """GET `path` and show its items. `every`: page after page until there is none."""
    if not every:
        wanted = {**params, "limit": limit_of(limit), "cursor": cursor}
        page = ctx.http.get(path, wanted, role=role)
        ctx.out.rows(page["items"], columns, more=page.get("next_cursor"), none=none)
        return
    items: list[dict[str, Any]] = []
    with ctx.out.progress("reading") as step:
        for page in ctx.http.pages(path, {**params, "limit": PAGE_ITEMS}, role=role):
            items += page["items"]
            step(len(items))
    ctx.out.rows(items, columns, none=none)
