"""ops-cli recon: compare what everybody says of the same money."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.text import Text

from services.ops_cli.commands import recon_statement
from services.ops_cli.context import Context, Ctx
from services.ops_cli.exits import Exit, OpsError
from services.ops_cli.lists import list_items
from services.ops_cli.noun import noun
from services.ops_cli.options import All, Cursor, DryRun, Key, Limit, Reason, Ticket, reason_of
from services.ops_cli.reports import by_code, issues_of, write_issues
from services.ops_cli.tables import Column, pairs, state
from services.ops_cli.views import amount, at

app = noun("recon", "Reconciliation: deposits, transfers, payouts, ledger and the provider's book, compared.")
app.command(recon_statement.app)
RUN_SECONDS = 900.0  # a run over everything takes as long as it takes; --timeout says otherwise
LOOK_SECONDS = 0.5
RUNS_PATH = "/v1/recon/runs"


RUN = [
    Column("run", "run_id"),
    state("status", "status"),
    Column("differences", issues_of, right=True),
    at("started", "started_at", drop=1),
    Column("judged", "transfers", drop=3),
    Column("moved too recently", "not_judged", drop=5),
    at("ended", "completed_at", drop=3),
    Column("reason", "reason", drop=2),
    Column("by", "actor", drop=4),
]
ISSUES = [
    Column("code", "code"),
    Column("transfer", "transfer_id"),
    amount("expected", "expected_minor", drop=1),
    amount("found", "actual_minor", drop=1),
    Column("details", "details", drop=2),
]


@app.command
def run(
    *, reason: Reason = None, ticket: Ticket = None, idempotency_key: Key = None, dry_run: DryRun = False, ctx: Ctx
) -> int:
    """Run it now. With --output FILE the differences are written there as CSV, whole or not at all.

    Ends with 6 when there are differences, with 1 when the run failed, with 10 when nothing was run.

    Example: ops-cli recon run --reason "daily reconciliation" --output /tmp/recon.csv

    Parameters
    ----------
    reason
        Why; needed. Kept with the run and in the audit log: no personal data in it.
    ticket
        Put behind the reason.
    idempotency_key
        The same key answers the same run again.
    dry_run
        Show the request and run nothing.
    """
    body = {"reason": reason_of(reason, ticket)}
    report = ctx.out.take_file()
    try:
        if dry_run:
            ctx.would_send("POST", RUNS_PATH, body)
            return Exit.DONE
        seconds = ctx.timeout_seconds if ctx.options.timeout else RUN_SECONDS
        with ctx.out.progress("reconciling"):
            done = ctx.http.post(RUNS_PATH, body, role="operator", key=idempotency_key, seconds=seconds)
            done = ended(ctx, done, seconds)
        if done["status"] == "failed":
            raise OpsError(Exit.FAILED, "the run failed", facts={"run": done["run_id"]}, detail=done.get("error") or "")
        if report:
            write_issues(ctx, done, report)
    finally:
        if report:
            report.discard()  # nothing, once it is in its place
    show_run(ctx, done)
    return Exit.ANSWER_IS_NO if issues_of(done) else Exit.DONE


@app.command(name="list")
def list_runs(*, limit: Limit = 20, cursor: Cursor = None, all_: All = False, ctx: Ctx) -> None:
    """Runs, newest first.

    Example: ops-cli recon list --limit 5

    Parameters
    ----------
    limit
        Items of a page, 20 unless said.
    cursor
        The page behind it, as the last one said.
    all_
        Every page.
    """
    list_items(ctx, RUNS_PATH, RUN, params={}, limit=limit, cursor=cursor, every=all_, none="it has never run")


@app.command
def get(run_id: str, /, *, issues: bool = False, ctx: Ctx) -> int:
    """One run; its differences with --issues. Ends with 6 when there are some, with 1 when it failed.

    Example: ops-cli recon get 2b1d7c3e-0c52-5f2b-8f7e-6a1d0f9b3c44 --issues

    Parameters
    ----------
    run_id
        As `recon list` shows it.
    issues
        The differences themselves, all of them.
    """
    found = ctx.http.get(f"{RUNS_PATH}/{run_id}")
    if issues:
        path = f"{RUNS_PATH}/{run_id}/issues"
        list_items(ctx, path, ISSUES, params={}, limit=1, cursor=None, every=True, none="no difference")
    else:
        show_run(ctx, found)
    if found["status"] == "failed":
        return Exit.FAILED
    return Exit.ANSWER_IS_NO if issues_of(found) else Exit.DONE


def ended(ctx: Context, run: dict[str, Any], limit_seconds: float) -> dict[str, Any]:
    """The run when it is over: a long one is answered before it is. Raises OpsError when it takes too long."""
    deadline = time.monotonic() + limit_seconds
    while run["status"] == "running":
        if time.monotonic() > deadline:
            raise OpsError(
                Exit.TIMED_OUT, "it is still running", facts={"run": run["run_id"]},
                hint=f"it goes on without you: ops-cli recon get {run['run_id']}",
            )  # fmt: skip
        time.sleep(LOOK_SECONDS)
        run = ctx.http.get(f"{RUNS_PATH}/{run['run_id']}")
    return run


def show_run(ctx: Context, done: Mapping[str, Any]) -> None:
    """The run with its differences by code."""
    ctx.out.show(done, lambda: _page(ctx, done), RUN)


def _page(ctx: Context, done: Mapping[str, Any]) -> Group:
    counts = [{"code": code, "number": number} for code, number in by_code(done).items()]
    parts: list[Any] = [pairs(done, RUN)]
    if counts:
        parts += ["", ctx.out.table(counts, [Column("code", "code"), Column("differences", "number", right=True)])]
    elif done["status"] != "failed":
        judged = f"no difference in {done.get('transfers') or 0:,} transfers"
        later = (
            f"; {done['not_judged']:,} moved too recently and are judged next time" if done.get("not_judged") else ""
        )
        parts += ["", Text(judged + later, "green")]
    return Group(*parts)
