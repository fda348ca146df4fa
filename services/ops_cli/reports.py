"""The differences of a run as CSV, page by page into a file of the caller's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.ops_cli.client import PAGE_ITEMS, PAGES_MAX
from services.ops_cli.context import Context
from services.ops_cli.exits import Exit, OpsError
from services.ops_cli.files import AtomicFile

CURSOR = "x-next-cursor"


def by_code(run: Mapping[str, Any]) -> dict[str, int]:
    """How many differences of each code."""
    found = run.get("issues_by_code") or {}
    pairs = found.items() if isinstance(found, Mapping) else ((each["code"], each["count"]) for each in found)
    return {code: number for code, number in pairs if number}


def issues_of(run: Mapping[str, Any]) -> int:
    """How many differences it found."""
    return sum(by_code(run).values())


def write_issues(ctx: Context, run: Mapping[str, Any], file: AtomicFile) -> None:
    """The head once, then every page without its head; in its place when it is whole."""
    total = issues_of(run)
    path = f"/v1/recon/runs/{run['run_id']}/issues"
    cursor, lines = None, 0
    with ctx.out.progress("writing", total or None) as step:
        for number in range(PAGES_MAX):
            answer = ctx.http.ask(
                "GET", path, params={"limit": PAGE_ITEMS, "cursor": cursor}, headers={"Accept": "text/csv"},
            )  # fmt: skip
            if "text/csv" not in answer.headers.get("content-type", ""):
                raise OpsError(Exit.FAILED, "the differences did not come as CSV", facts={"run": run["run_id"]})
            file.write(answer.body if number == 0 else answer.body.partition(b"\n")[2])
            lines += max(answer.body.count(b"\n") - 1, 0)
            step(lines)
            cursor = answer.headers.get(CURSOR)
            if not cursor:
                file.commit()
                ctx.out.note(f"wrote {file.path}")
                return
    raise OpsError(Exit.FAILED, f"more than {PAGES_MAX} pages of differences", facts={"run": run["run_id"]})
