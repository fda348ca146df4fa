"""The sandbox's control API: the outside world is told what to do. Nothing of it exists in production."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2

from services.ops_cli.context import Context
from services.ops_cli.exits import Exit, OpsError, of_status
from services.ops_cli.tables import Column
from services.ops_cli.views import amount

SIMULATED = [Column("reference", "reference"), Column("route", "route"), amount("amount"), Column("via", "transport")]


def collect(ctx: Context, deposit: Mapping[str, Any]) -> None:
    """The bank books it, then reports it by itself. Raises OpsError."""
    where = ctx.target.sandbox_url
    if where is None:
        raise OpsError(
            Exit.PRECONDITION, f"the context {ctx.target.name} has no sandbox",
            hint="money is simulated only where there is none: use the system of `make up`",
        )  # fmt: skip
    try:
        answer = httpx2.post(f"{where}/collect", json={"deposits": [deposit]}, timeout=ctx.timeout_seconds)
    except httpx2.TransportError as error:
        raise OpsError(Exit.UNAVAILABLE, f"the sandbox does not answer ({type(error).__name__})") from None
    if answer.status_code >= 400:
        detail = str(answer.json().get("detail", "")) if "json" in answer.headers.get("content-type", "") else ""
        raise OpsError(of_status(answer.status_code), "the sandbox refused it", detail=detail)
    ctx.out.record(deposit, SIMULATED)
