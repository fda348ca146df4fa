"""ops-cli doctor: is the set-up sound?"""

from __future__ import annotations

from rich.text import Text

from services.ops_cli.checks import as_items, exit_of, page, verdict_of
from services.ops_cli.context import Ctx
from services.ops_cli.health import look
from services.ops_cli.noun import noun

app = noun("doctor")
HEADLINES = {
    "ok": ("The set-up is sound.", "bold green"),
    "attention": ("It works; there is something to look at.", "bold yellow"),
    "unknown": ("It works; there is something to look at.", "bold yellow"),
    "bad": ("The set-up is not sound.", "bold red"),
}


@app.default
def doctor(*, ctx: Ctx) -> int:
    """This machine, clocks, tokens, releases, the schema, connections, Kafka. Ends with 6 when something is wrong."""
    checks = look(ctx)
    verdict = verdict_of(checks)
    if ctx.out.machine:
        ctx.out.show({"verdict": verdict, "checks": as_items(checks)}, str)
    else:
        ctx.out.print(page(checks, Text(*HEADLINES[verdict])))
    return exit_of(checks)
