"""Consumers that do not come forward: their positions in PostgreSQL against the ends of the topics, in seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from services.kernel.group_lag import Lag, Stand, lags, stands
from services.kernel.operations import Operations
from services.ops_cli.stuck.findings import Finding, Report

LAG = timedelta(minutes=1)
KIND = "consumer"
FOLLOWED = {"live", "catching_up"}  # versions of a read table that somebody keeps up to date


async def standing(connection: Any, service: str, schema: str, epoch: int) -> list[Stand]:
    """The consumers of a schema that somebody runs."""
    operations = Operations(connection, schema)
    versions = {f"{service}.{row['name']}.v{row['version']}": row["status"] for row in await operations.versions()}
    found = await stands(operations, epoch)
    return [each for each in found if versions.get(each.consumer, "live") in FOLLOWED]


async def look(bootstrap: str, found: Mapping[str, Sequence[Stand]], report: Report, at: datetime) -> None:
    """Those of all services. Raises Unavailable, KafkaError."""
    services = {each.consumer: service for service, those in found.items() for each in those}
    for lag in await lags(bootstrap, [each for those in found.values() for each in those]):
        if lag.missing:
            report.missed(f"lag of {lag.stand.consumer}", f"the broker has no topic {lag.stand.topic}")
            continue
        report.consumers += 1
        if finding := judged(lag, services[lag.stand.consumer], report.older_than, at):
            report.findings.add(finding)


def judged(lag: Lag, service: str, older_than: timedelta | None, at: datetime) -> Finding | None:
    """A consumer is stuck when the oldest record that it has not taken has waited too long."""
    limit = older_than if older_than is not None else LAG
    if not lag.records or lag.seconds < limit.total_seconds():
        return None
    return Finding(
        id=f"{lag.stand.consumer} on {lag.stand.topic}", type=KIND, state="BEHIND",
        since=at - timedelta(seconds=lag.seconds), limit=limit, service=service,
        cause=f"{lag.records} records are not taken: its process does not run, or cannot go on",
    )  # fmt: skip
