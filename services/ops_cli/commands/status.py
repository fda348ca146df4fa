"""ops-cli status: is money moving?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NoReturn

from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from services.ops_cli.checks import Check, as_items, exit_of, page, verdict_of
from services.ops_cli.context import Context, Ctx
from services.ops_cli.moving import look
from services.ops_cli.noun import noun

app = noun("status")
EVERY_SECONDS = 2


@app.default
def status(*, watch: bool = False, every: int = EVERY_SECONDS, ctx: Ctx) -> int:
    """Ends with 6 when something is broken.

    Parameters
    ----------
    watch
        Again and again, until you press Ctrl-C.
    every
        Seconds between two looks, 2 unless said.
    """
    if watch:
        _watch(ctx, max(every, 1))
    checks = look(ctx)
    _show(ctx, checks)
    return exit_of(checks)


def _show(ctx: Context, checks: Sequence[Check]) -> None:
    if ctx.out.machine:
        ctx.out.show({"answer": headline(checks).plain, "verdict": verdict_of(checks), "checks": as_items(checks)}, str)
    else:
        ctx.out.print(_page(ctx, checks))


def _page(ctx: Context, checks: Sequence[Check]) -> RenderableType:
    at = f"   {ctx.target.name} ({ctx.target.env}), {time.strftime('%H:%M:%SZ', time.gmtime())}"
    return page(checks, headline(checks).append(at, style="dim"))


def headline(checks: Sequence[Check]) -> Text:
    """The answer in one line."""
    bad = [each.name for each in checks if each.verdict == "bad"]
    if bad:
        return Text(f"Money may not be moving: {', '.join(bad)}", style="bold red")
    look_at = [each.name for each in checks if each.verdict in {"attention", "unknown"}]
    if look_at:
        return Text(f"Money is moving; to look at: {', '.join(look_at)}", style="bold yellow")
    return Text("Money is moving.", style="bold green")


def _watch(ctx: Context, every: int) -> NoReturn:
    if not ctx.out.live:
        while True:
            _show(ctx, look(ctx))
            time.sleep(every)
    with Live(console=ctx.out.console, auto_refresh=False, screen=False) as live:
        while True:
            live.update(_page(ctx, look(ctx)), refresh=True)
            time.sleep(every)
