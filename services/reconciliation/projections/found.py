"""reconciliation_run and reconciliation_issue: what the runs have found, written in the transactions of their events.

Not read tables of a topic: a run must see what the one before it has found, whatever the relay is doing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from contracts.recon.v1 import IssueCleared, IssueOpened, RunCompleted, RunFailed, RunStarted
from services.kernel.book import Reader
from services.kernel.cursors import Place
from services.kernel.parts import Part, typed
from services.kernel.store import Write

PARTS = (
    Part(
        "run_started",
        typed("run_id uuid, trigger text, requested_by text, reason text, started_at timestamptz"),
        """INSERT INTO reconciliation_run (run_id, status, trigger, requested_by, reason, started_at)
           SELECT run_id, 'running', trigger, requested_by, reason, started_at FROM {rows}""",
        None,
    ),
    Part(
        "run_completed",
        typed(
            "run_id uuid, watermark timestamptz, transfers bigint, not_judged bigint, issues_opened bigint,"
            "issues_cleared bigint, issues_open bigint, issues_by_code text, totals text, ended_at timestamptz"
        ),
        """UPDATE reconciliation_run c
           SET status = 'completed', watermark = r.watermark, transfers = r.transfers, not_judged = r.not_judged,
               issues_opened = r.issues_opened, issues_cleared = r.issues_cleared, issues_open = r.issues_open,
               issues_by_code = r.issues_by_code::jsonb, totals = r.totals::jsonb, ended_at = r.ended_at
           FROM {rows}
           WHERE c.run_id = r.run_id
           RETURNING 1""",
    ),
    Part(
        "run_failed",
        typed("run_id uuid, failure text, ended_at timestamptz"),
        """UPDATE reconciliation_run c
           SET status = 'failed', failure = r.failure, ended_at = r.ended_at
           FROM {rows}
           WHERE c.run_id = r.run_id
           RETURNING 1""",
    ),
    Part(
        "issue_opened",
        typed(
            "issue_id uuid, run_id uuid, code text, subject text, transfer_id uuid, currency text,"
            "expected_minor bigint, actual_minor bigint, details text, opened_at timestamptz"
        ),
        """INSERT INTO reconciliation_issue (issue_id, run_id, code, subject, transfer_id, currency, expected_minor,
                                             actual_minor, details, opened_at)
           SELECT issue_id, run_id, code, subject, transfer_id, currency, expected_minor, actual_minor, details,
                  opened_at
           FROM {rows}
           ORDER BY issue_id
           ON CONFLICT (issue_id) DO UPDATE
              SET run_id = excluded.run_id, opened_at = excluded.opened_at, cleared_at = NULL, cleared_run_id = NULL
           RETURNING 1""",
    ),
    Part(
        "issue_cleared",
        typed("issue_id uuid, run_id uuid, cleared_at timestamptz"),
        """UPDATE reconciliation_issue i
           SET cleared_at = r.cleared_at, cleared_run_id = r.run_id
           FROM {rows}
           WHERE i.issue_id = r.issue_id
           RETURNING 1""",
    ),
)
RUN = "seq, run_id, status, trigger, requested_by, reason, started_at, ended_at, watermark, transfers, not_judged, "
RUN += "issues_opened, issues_cleared, issues_open, issues_by_code, totals, failure"
ISSUE = (
    "seq, issue_id, run_id, code, subject, transfer_id, currency, expected_minor, actual_minor, details, opened_at, "
)
ISSUE += "cleared_at, cleared_run_id"
FIND_RUN = f"SELECT {RUN} FROM reconciliation_run WHERE run_id = $1"  # noqa: S608 - our own names
RUNS = f"""
    SELECT {RUN} FROM reconciliation_run
    WHERE (started_at, seq) < ($1, $2) ORDER BY started_at DESC, seq DESC LIMIT $3"""  # noqa: S608 - as above
UNDER_WAY = "SELECT run_id FROM reconciliation_run WHERE status = 'running'"
LAST_START = "SELECT max(started_at) FROM reconciliation_run WHERE status <> 'running' AND failure IS DISTINCT FROM $1"
ISSUES = f"""
    SELECT {ISSUE} FROM reconciliation_issue
    WHERE (opened_at, seq) > ($1, $2)
      AND ($3::text IS NULL OR (cleared_at IS NULL) = ($3 = 'open'))
      AND ($4::timestamptz IS NULL OR (opened_at <= $4 AND (cleared_at IS NULL OR cleared_at > $4)))
    ORDER BY opened_at, seq LIMIT $5"""  # noqa: S608 - as above
OPEN_BY_CODE = "SELECT code, count(*) FROM reconciliation_issue WHERE cleared_at IS NULL GROUP BY 1 ORDER BY 1"
OPEN_ABOUT = """
    SELECT issue_id FROM reconciliation_issue
    WHERE cleared_at IS NULL AND code = ANY($1) AND (NOT $2 OR subject LIKE 'stray payment: %')"""


def started(event: RunStarted, write: Write, _before: Any = None) -> None:
    """Its row."""
    row = (event.run_id, event.trigger, event.requested_by, event.reason, event.started_at)
    write.add("run_started", row)


def completed(event: RunCompleted, write: Write, _before: Any = None) -> None:
    """Its row's end."""
    by_code = json.dumps({each.code: each.count for each in event.issues_by_code})
    totals = json.dumps([asdict(each) for each in event.totals])
    write.add(
        "run_completed",
        (
            event.run_id, event.watermark, event.transfers, event.not_judged, event.issues_opened,
            event.issues_cleared, event.issues_open, by_code, totals, event.completed_at,
        ),
    )  # fmt: skip


def failed(event: RunFailed, write: Write, _before: Any = None) -> None:
    """Its row's end."""
    write.add("run_failed", (event.run_id, event.failure, event.failed_at))


def opened(event: IssueOpened, write: Write, _before: Any = None) -> None:
    """Its row, or the same row again."""
    write.add(
        "issue_opened",
        (
            event.issue_id, event.run_id, event.code, event.subject, event.transfer_id, event.currency,
            event.expected_minor, event.actual_minor, event.details, event.opened_at,
        ),
    )  # fmt: skip


def cleared(event: IssueCleared, write: Write, _before: Any = None) -> None:
    """Its row's end."""
    write.add("issue_cleared", (event.issue_id, event.run_id, event.cleared_at))


ALSO_OF: Mapping[type, Callable[[Any, Write, Any], None]] = {
    RunStarted: started,
    RunCompleted: completed,
    RunFailed: failed,
    IssueOpened: opened,
    IssueCleared: cleared,
}
Row = Mapping[str, Any]


async def run(db: Reader, run_id: UUID) -> Row | None:
    """One run."""
    found = await db.fetch(FIND_RUN, run_id)
    return _run(found[0]) if found else None


async def runs(db: Reader, before: Place, limit: int) -> Sequence[Row]:
    """Newest first."""
    return [_run(row) for row in await db.fetch(RUNS, *before, limit)]


def _run(row: Any) -> Row:
    """JSON columns as JSON."""
    found = dict(row)
    return found | {name: found[name] and json.loads(found[name]) for name in ("issues_by_code", "totals")}


async def under_way(db: Reader) -> Sequence[UUID]:
    """Runs that nobody has ended: those whose process died, for whoever holds the lock."""
    return [row[0] for row in await db.fetch(UNDER_WAY)]


async def last_start(db: Reader, interrupted: str) -> datetime | None:
    """When the last run began that came to its own end; one that was interrupted is to be made up for."""
    found: datetime | None = (await db.fetch(LAST_START, interrupted))[0][0]
    return found


async def issues(
    db: Reader, after: Place, limit: int, *, state: str | None = None, at: datetime | None = None
) -> Sequence[Row]:
    """Oldest first. `state` is open or cleared; `at`: those that were open at that time."""
    return [dict(row) for row in await db.fetch(ISSUES, *after, state, at, limit)]


async def open_by_code(db: Reader) -> Mapping[str, int]:
    """How many issues are open, by code."""
    return {row[0]: row[1] for row in await db.fetch(OPEN_BY_CODE)}


async def open_about(db: Reader, codes: Sequence[str], *, stray: bool = False) -> frozenset[UUID]:
    """Open issues of these codes; with `stray`, of payments that name no transfer alone."""
    return frozenset(row[0] for row in await db.fetch(OPEN_ABOUT, list(codes), stray))
