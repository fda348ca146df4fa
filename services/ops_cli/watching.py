"""Follow one transfer until it is where somebody wants it, or cannot get there any more."""

from __future__ import annotations

import time
from typing import Any

from rich.text import Text

from services.ops_cli.context import Context
from services.ops_cli.exits import Exit, OpsError
from services.ops_cli.tables import state_style
from services.ops_cli.values import shown
from services.ops_cli.views import span

UNTIL = "PAYOUT_COMPLETED"
WATCH_SECONDS = 600
LOOK_SECONDS = 0.5
AWAY_SECONDS_MAX = 60.0  # a deploy may take the door away for a moment
ENDED = frozenset({"PAYOUT_COMPLETED", "CANCELLED", "EXPIRED"})
REVIEW = "PAYOUT_REVIEW_REQUIRED"


def follow(ctx: Context, transfer_id: str, until: str, limit_seconds: float) -> int:
    """A line for each state; the code says how it ended."""
    began = time.monotonic()
    said: str | None = None
    away_since: float | None = None
    with ctx.out.progress(f"watching for {until}") as step:
        while (now := time.monotonic()) - began < limit_seconds:
            try:
                found = ctx.http.get(f"/v1/transfers/{transfer_id}")
                away_since = None
            except OpsError as error:
                away_since = _patience(error, away_since, now)
            else:
                if found["state"] != said:
                    said = found["state"]
                    _say(ctx, found, now - began)
                if (code := _over(found["state"], until)) is not None:
                    return code
            step(int(now - began))
            time.sleep(LOOK_SECONDS)
    raise OpsError(
        Exit.TIMED_OUT, f"not {until} within {span(limit_seconds)}", facts={"state": said},
        hint="it goes on without you; wait longer: --timeout 30m",
    )  # fmt: skip


def _patience(error: OpsError, since: float | None, now: float) -> float:
    """When the door went away. Raises the error when it is another one, or lasts."""
    since = now if since is None else since
    if error.code != Exit.UNAVAILABLE or now - since > AWAY_SECONDS_MAX:
        raise error
    return since


def _over(state: str, until: str) -> int | None:
    if state == until:
        return Exit.DONE
    return Exit.ANSWER_IS_NO if state in ENDED or state == REVIEW else None


def _say(ctx: Context, found: dict[str, Any], seconds: float) -> None:
    sends, gets = (shown(found[f"{side}_minor"], found[f"{side}_currency"]) for side in ("send", "receive"))
    words = Text.assemble(
        (f"{seconds:6.1f} s  ", "dim"), (f"{found['state']:<22}", state_style(found["state"])), f"  {sends} -> {gets}"
    )
    ctx.out.line(found, words)
