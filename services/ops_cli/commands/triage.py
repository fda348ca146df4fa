"""ops-cli triage: the on-call's four questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from services.ops_cli.checks import Check, as_items, exit_of, page, run
from services.ops_cli.context import Context, Ctx
from services.ops_cli.logs import trouble
from services.ops_cli.moving import books, reviews, said
from services.ops_cli.noun import noun
from services.ops_cli.scrape import Process, processes, total
from services.ops_cli.target import facts_path

app = noun("triage")
WORKERS = ("payout", "reconciliation")


@app.default
def triage(*, ctx: Ctx) -> int:
    """In the order of the runbook: is everything ready; what do the logs of the workers say; have their runs failed
    and how many payouts wait for a person; which transfers and payouts are affected. Ends with 6 when one is bad.
    """
    found = processes(ctx.target)
    checks = run(
        [
            ("1 ready", lambda: [ready(ctx), *parts(found)]),
            ("2 logs", lambda: logs(ctx)),
            ("3 workers", lambda: workers(found)),
            ("4 affected", lambda: affected(ctx)),
            ("  books", lambda: books(ctx)),
            ("  review", lambda: reviews(ctx)),
        ]
    )
    if ctx.out.machine:
        ctx.out.show({"checks": as_items(checks)}, str)
    else:
        ctx.out.print(page(checks, Text(f"Triage of {ctx.target.name} ({ctx.target.env})", "bold")))
    return exit_of(checks)


def ready(ctx: Context) -> Check:
    """/health/ready of the door, with each dependency."""
    report = ctx.http.get("/health/ready", role=None)
    parts_of = ", ".join(f"{name} {state}" for name, state in report.get("dependencies", {}).items())
    return Check("1 ready", "ok", f"/health/ready: {report.get('status')}; {parts_of}")


def parts(found: Sequence[Process]) -> list[Check]:
    """The processes that are not, with what they lack."""
    checks = []
    for each in found:
        if not each.ready:
            down = [name for name, state in each.report.get("dependencies", {}).items() if state == "down"]
            words = f"{each.name} lacks {', '.join(down)}" if down else f"{each.name} does not answer"
            checks.append(Check("1 ready", "bad", words, f"its log: {facts_path().parent.parent}/log/{each.name}.log"))
    if away := [each.name for each in found if each.ready and each.lacks("kafka")]:
        checks.append(Check("1 ready", "bad", f"without Kafka: {', '.join(away)}", "ops-cli doctor"))
    return checks


def logs(ctx: Context) -> Check:
    """Warnings and errors of the last minutes, where the logs are on this machine."""
    folder = facts_path().parent.parent / "log"
    if ctx.target.name != "local" or not folder.is_dir():
        return Check("2 logs", "unknown", "not on this machine", "ask your log store for level=error of the workers")
    counts = trouble(folder)
    if not counts:
        return Check("2 logs", "ok", f"no error in {folder}")
    return Check("2 logs", "attention", said(Counter(counts)), f'grep -h \'"level":"error"\' {Path(folder)}/*.log')


def workers(found: Sequence[Process]) -> list[Check]:
    """worker_runs_total and payout_manual_review_queue_size."""
    if not any(each.samples for each in found):
        return [Check("3 workers", "unknown", "no metrics to look at")]
    checks = []
    for worker in WORKERS:
        failed = total(found, "worker_runs_total", worker=worker, result="failed")
        runs = sum(
            value
            for process in found
            for (name, labels), value in process.samples.items()
            if name == "worker_runs_total" and ("worker", worker) in labels
        )
        words = f'worker_runs_total{{worker="{worker}"}}: {runs:,.0f} runs, {failed:,.0f} failed'
        checks.append(Check("3 workers", "attention" if failed else "ok", words))
    queue = total(found, "payout_manual_review_queue_size")
    words = f"payout_manual_review_queue_size: {queue:,.0f}"
    hint = "ops-cli payout list --state MANUAL_REVIEW" if queue else ""
    return [*checks, Check("3 workers", "attention" if queue else "ok", words, hint)]


def affected(ctx: Context) -> Check:
    """The rows themselves: transfers that need a person."""
    page_of = ctx.http.get("/v1/transfers", {"state": "PAYOUT_REVIEW_REQUIRED", "limit": 20})
    ids = [str(each["transfer_id"]) for each in page_of["items"]]
    if not ids:
        return Check("4 affected", "ok", "no transfer is in PAYOUT_REVIEW_REQUIRED")
    more = " and more" if page_of.get("next_cursor") else ""
    return Check(
        "4 affected", "attention", f"{len(ids)}{more} transfers in PAYOUT_REVIEW_REQUIRED: {', '.join(ids[:3])}",
        f"ops-cli transfer inspect {ids[0]}",
    )  # fmt: skip
