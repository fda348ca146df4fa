"""ops-cli stuck: what should have moved on and has not. scripts/detect_stuck_finance_jobs.py is the same command."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Group
from rich.text import Text

from services.ops_cli.context import Context, Ctx
from services.ops_cli.exits import Exit, OpsError
from services.ops_cli.noun import noun
from services.ops_cli.options import Limit, limit_of
from services.ops_cli.past_http import done
from services.ops_cli.stuck.look import Wanted, look
from services.ops_cli.tables import BAD, GOOD, WAITING, Column, state
from services.ops_cli.values import seconds
from services.ops_cli.views import span

ITEMS_MAX = 1_000
OlderThan = Annotated[str | None, Parameter(name="--older-than")]
app = noun("stuck", "What should have moved on and has not, of everything that waits.")
FOUND = [
    Column("id", "id"),
    Column("type", "type"),
    state(),
    Column("age", lambda item: span(item["age_seconds"]), right=True),
    Column("cause", "cause", fold=True),
    Column("may last", lambda item: span(item["limit_seconds"]), right=True, drop=1),
    Column("service", "service", drop=2),
]


@app.command(name="list")
def list_(*, older_than: OlderThan = None, limit: Limit = 100, ctx: Ctx) -> int:
    """Every transfer, payout, deposit, run, event, timer, consumer, review that waits for longer than it may.

    Reads PostgreSQL with the on-call's role, and Kafka for the lag of consumers; the services may be down. It
    changes nothing. Ends with 0 when nothing is stuck, with 6 when something is, with 10 when something could not be
    checked and nothing else is stuck: the warnings say what.

    Example: ops-cli stuck list
    Example: python3 scripts/detect_stuck_finance_jobs.py --older-than 30m --json

    Parameters
    ----------
    older_than
        What has waited for so long is stuck: 90s, 30m, 2h, 1d. Without it each type has the deadline of its state.
    limit
        How many are shown, the oldest of all, up to 1000; the others are counted.
    """
    age = timedelta(seconds=seconds(older_than)) if older_than is not None else None
    report = done(look(_wanted(ctx, age, limit_of(limit, ITEMS_MAX))))
    _show(ctx, report.content())
    return report.exit


def _wanted(ctx: Context, older_than: timedelta | None, most: int) -> Wanted:
    target = ctx.target
    if target.database_url is None:
        raise OpsError(
            Exit.UNAVAILABLE,
            f"nothing was checked: the context {target.name} does not say where the database is",
            hint="add database_url (the role corridor_oncall) to it, or set OPS_DATABASE_URL",
        )
    return Wanted(
        dsn=target.database_url, bootstrap=target.kafka_bootstrap, epoch=target.epoch, older_than=older_than, most=most,
        seconds=ctx.timeout_seconds,
    )  # fmt: skip


def _show(ctx: Context, found: Mapping[str, Any]) -> None:
    """JSON is the whole report; lines and CSV are the items, and what is missing of them is said on stderr."""
    if ctx.out.format in {"jsonl", "csv"}:
        ctx.out.rows(found["items"], FOUND, none="")
    else:
        ctx.out.show(found, lambda: _page(ctx, found))
    for each in found["not_checked"]:
        ctx.out.warn(f"not checked: {each['check']}: {each['why']}")


def _page(ctx: Context, found: Mapping[str, Any]) -> Group:
    parts = [ctx.out.table(found["items"], FOUND)] if found["items"] else []
    return Group(*parts, *(Text(words, style=style) for words, style in _summary(found)))


def _summary(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = []
    if found["stuck"]:
        by_type = ", ".join(f"{number} {kind}" for kind, number in found["by_type"].items())
        more = f"; {found['not_shown']} of them are not shown" if found["not_shown"] else ""
        lines.append((f"{found['stuck']} stuck: {by_type}{more}", BAD))
    if missing := len(found["not_checked"]):
        lines.append((f"{missing} {'check' if missing == 1 else 'checks'} could not be made", WAITING))
    elif not found["stuck"]:
        within = (
            f"{sum(found['waiting'].values())} streams wait within their time, {found['consumers']} consumers keep up"
        )
        lines.append((f"nothing is stuck; {within}", GOOD))
    return lines
