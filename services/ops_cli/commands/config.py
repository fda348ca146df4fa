"""ops-cli config: which system this is, and what its services were started with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import psutil

from services.ops_cli.context import Context, Ctx
from services.ops_cli.exits import Exit, OpsError, usage
from services.ops_cli.noun import noun
from services.ops_cli.service_settings import SERVICES, described
from services.ops_cli.tables import Column
from services.ops_cli.target import Target, contexts_path
from services.ops_cli.tokens import ends

app = noun("config", "The settings of the services, secrets masked; which system this is.")
CONTEXT = [
    Column("context", "context"),
    Column("from", "source"),
    Column("environment", "env"),
    Column("address", "base_url"),
    Column("tokens", lambda item: ", ".join(f"{role} ({until})" for role, until in item["tokens"].items()) or "none"),
    Column("webhook keys", lambda item: ", ".join(item["webhook_keys"]) or "none"),
    Column("sandbox", "sandbox_url"),
    Column("Kafka", "kafka_bootstrap"),
    Column("database", "database"),
    Column("other contexts", "contexts_file"),
]
SETTINGS = [
    Column("setting", "name"),
    Column("value", "value"),
    Column("from", "source", drop=1),
    Column("means", "meaning", drop=2),
]


@app.command
def show(service: str | None = None, /, *, here: bool = False, ctx: Ctx) -> None:
    """Without a service: the context, as whom it may speak and until when. With one: its settings as it runs now.

    Example: ops-cli config show transfer

    Parameters
    ----------
    service
        core_api, quote, transfer, deposit_watcher, payout_orchestrator, ledger, reconciliation or review.
    here
        As the service would be started from this shell or container, not as it runs.
    """
    if service is None:
        ctx.out.record(context_of(ctx.target), CONTEXT)
        return
    if service not in SERVICES:
        raise usage(f"no service {service!r}", f"there are: {', '.join(SERVICES)}")
    environ = os.environ if here else _environ(ctx, service)
    ctx.out.rows(described(service, environ), SETTINGS, none="no settings")


def context_of(target: Target) -> dict[str, Any]:
    """What there is, without what it is."""
    tokens = dict(target.tokens) or ({"token": target.token} if target.token else {})
    return {
        "context": target.name,
        "source": target.source,
        "env": target.env,
        "base_url": target.base_url,
        "tokens": {role: ends(token) for role, token in tokens.items()},
        "webhook_keys": [f"{each['partner']}:{each['key_id']}" for each in target.webhooks],
        "sandbox_url": target.sandbox_url,
        "kafka_bootstrap": target.kafka_bootstrap,
        "database": "known, reads only" if target.database_url else None,
        "contexts_file": str(contexts_path()),
    }


def _environ(ctx: Context, service: str) -> Mapping[str, str]:
    """Of the process that runs, on this machine and of this user."""
    pid = next((each["pid"] for each in ctx.target.processes if each["name"] == service), None)
    if pid is None:
        raise OpsError(
            Exit.PRECONDITION, f"the context {ctx.target.name} does not say where {service} runs",
            hint="on its machine or in its container: ops-cli config show SERVICE --here",
        )  # fmt: skip
    try:
        return psutil.Process(pid).environ()
    except (psutil.Error, OSError):
        raise OpsError(Exit.NOT_ALLOWED, f"process {pid} of {service} cannot be looked into") from None
