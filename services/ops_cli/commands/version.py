"""ops-cli version."""

from __future__ import annotations

import platform
from typing import Any

from services.ops_cli.context import Context, Ctx
from services.ops_cli.exits import OpsError
from services.ops_cli.noun import noun
from services.ops_cli.tables import Column

app = noun("version")
COLUMNS = [
    Column("service", "service"),
    Column("release", "release_id"),
    Column("git sha", "git_sha"),
    Column("colour", "colour"),
    Column("environment", "environment"),
]


@app.default
def version(*, local: bool = False, ctx: Ctx) -> None:
    """The release of this command line, and of the system that it speaks to.

    Example: ops-cli version

    Parameters
    ----------
    local
        Ask nobody: only what runs here.
    """
    items = [here()]
    if not local:
        items.append(there(ctx))
    ctx.out.rows(items, COLUMNS, none="")


def here() -> dict[str, Any]:
    """This process."""
    return {
        "service": "ops-cli",
        "release_id": "dev",
        "git_sha": "unknown",
        "colour": "none",
        "environment": f"Python {platform.python_version()}",
    }


def there(ctx: Context) -> dict[str, Any]:
    """The door; a system that is away is said so in the row."""
    try:
        found: dict[str, Any] = ctx.http.get("/version", role=None)
    except OpsError as error:
        return dict.fromkeys(("release_id", "git_sha", "colour", "environment"), None) | {"service": error.message}
    return found
