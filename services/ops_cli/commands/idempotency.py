"""ops-cli idempotency: what became of a request key."""

from __future__ import annotations

from services.ops_cli.context import Ctx
from services.ops_cli.exits import Exit, OpsError
from services.ops_cli.noun import noun
from services.ops_cli.tables import Column
from services.ops_cli.views import at

app = noun("idempotency", "Request keys: what was answered under an Idempotency-Key.")
COLUMNS = [
    Column("service", "service"),
    Column("key", "key"),
    Column("status", "status"),
    Column("principal", "principal", drop=2),
    at("stored", "created_at", drop=3),
    at("expires", "expires_at", drop=1),
]


@app.command
def lookup(key: str, /, *, ctx: Ctx) -> None:
    """Find what a key was answered, in every service. The stored answer itself is in -o json.

    Example: ops-cli idempotency lookup 6f1a2c3e-order-4711

    Parameters
    ----------
    key
        The Idempotency-Key that the caller sent.
    """
    found = ctx.http.get("/v1/admin/idempotency-keys", {"key": key})
    silent = ", ".join(found.get("unanswered", ()))
    if not found["items"]:
        if silent:
            raise OpsError(Exit.UNAVAILABLE, f"not found where it was asked; no answer from {silent}")
        raise OpsError(Exit.NOT_FOUND, "nobody has used this key, or it has expired", facts={"key": key})
    ctx.out.rows(found["items"], COLUMNS, none="")
    if silent:
        ctx.out.warn(f"no answer from {silent}: there may be more")
