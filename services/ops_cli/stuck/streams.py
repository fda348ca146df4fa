"""Streams that wait: every state that is not known to be quiet, whether this release knows it or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from services.kernel.codec import StateCodec
from services.ops_cli.stuck.findings import Finding, Report
from services.ops_cli.stuck.machines import Machine
from services.ops_cli.stuck.rules import MARGIN, RULES, UNRULED, Wait

ROWS_AT_ONCE = 500
# The whole table, in one pass: no index leads by state, since each would be written anew with every event (0018).
WAITING = """
    SELECT stream_id, category, stage, state, changed_at
    FROM stream_state s
    WHERE stage <> '' AND category || '/' || stage <> ALL($1::text[])
      AND NOT EXISTS (
        SELECT FROM unnest($2::text[], $3::bytea[]) AS r(stage, rests_with)
        WHERE r.stage = s.category || '/' || s.stage AND position(r.rests_with IN s.state) > 0)"""


@dataclass(frozen=True)
class Known:
    """What this release knows of the streams of a schema."""

    machines: Mapping[str, Machine]  # by category
    codecs: Mapping[str, StateCodec]

    @classmethod
    def of(cls, found: tuple[Machine, ...]) -> Known:
        """With a codec for each."""
        return cls({each.category: each for each in found}, {each.category: StateCodec(each.stages) for each in found})

    def quiet(self) -> list[str]:
        """`<category>/<stage>` of those that need not be looked at."""
        return [f"{name}/{stage.__name__}" for name, each in self.machines.items() for stage in each.quiet()]

    def resting(self) -> tuple[list[str], list[bytes]]:
        """Stages of which some need not be looked at, and what those hold."""
        found = [
            (f"{name}/{stage.__name__}", rule.rests_with)
            for name, each in self.machines.items()
            for stage in each.stages
            if isinstance(rule := RULES.get(stage), Wait) and rule.rests_with
        ]
        return [stage for stage, _ in found], [content for _, content in found]


async def look(connection: Any, service: str, known: Known, report: Report, at: datetime) -> None:
    """All of a schema, in a transaction that is open."""
    stages, contents = known.resting()
    rows = connection.cursor(WAITING, known.quiet(), stages, contents, prefetch=ROWS_AT_ONCE)
    async for row in rows:
        report.waiting[row["category"]] += 1
        finding = judged(row, service, known, report.older_than, at)
        if finding is not None:
            report.findings.add(finding)


def judged(
    row: Mapping[str, Any], service: str, known: Known, older_than: timedelta | None, at: datetime
) -> Finding | None:
    """What is stuck in that row, as of `at`: past its deadline, or, when asked so, older than `older_than`."""
    state, name, rule = _read(row, known)
    since = (rule.since(state) if state is not None else None) or row["changed_at"]
    own = _limit(rule, state, since)
    limit = older_than if older_than is not None else own
    if at - since < limit:
        return None
    return Finding(
        id=str(row["stream_id"]), type=row["category"], state=name, since=since, limit=limit,
        cause=rule.why(state, is_over=at - since >= own), service=service, stream_id=row["stream_id"],
    )  # fmt: skip


def _limit(rule: Wait, state: Any, since: datetime) -> timedelta:
    due = rule.due(state) if state is not None else None
    return (due - since if due is not None else rule.within) + MARGIN


def _read(row: Mapping[str, Any], known: Known) -> tuple[Any, str, Wait]:
    """The folded state, its name and its rule. What this release cannot read is no reason to be silent about it."""
    try:
        state = known.codecs[row["category"]].decode(row["stage"], row["state"])
    except (KeyError, msgspec.DecodeError):
        return None, row["stage"], UNRULED
    rule = RULES.get(type(state))
    return state, str(state.state), rule if isinstance(rule, Wait) else UNRULED
