"""What waits in tables beside the streams: to be published, applied, called, decided by a person, rebuilt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.ops_cli.stuck.findings import Finding, Report
from services.review.domain.sla import SLA

# Each: $1 the time before which it is stuck, $2 how many rows at most; the oldest first, `total` counts all of them.
OUTBOX = """
    SELECT e.event_id::text AS id, 'UNPUBLISHED' AS state, e.recorded_at AS since, e.stream_id,
           format('%s events of one commit, from %s on, are not on %s',
                  cardinality(o.seqs), e.event_type, o.topic) AS cause,
           count(*) OVER () AS total
    FROM outbox o JOIN event e ON e.global_seq = o.seqs[1]
    WHERE e.recorded_at <= $1
    ORDER BY e.recorded_at, o.first_seq LIMIT $2"""
OUTBOX_STUCK = """
    SELECT e.event_id::text AS id, 'UNPUBLISHABLE' AS state, s.stuck_at AS since, e.stream_id,
           format('no broker takes it (%s, version %s); nothing of its stream goes on',
                  e.event_type, e.version) AS cause,
           count(*) OVER () AS total
    FROM outbox_stuck s JOIN event e USING (global_seq)
    WHERE s.stuck_at <= $1
    ORDER BY s.stuck_at, s.global_seq LIMIT $2"""
# the class of the error alone: its text may hold what the record holds
PARKED = """
    SELECT coalesce(stream_id::text, format('%s/%s/%s', topic, min(partition), min("offset"))) AS id, 'PARKED' AS state,
           min(parked_at) AS since, stream_id,
           format('%s could not apply %s of %s: %s; %s records wait', consumer,
                  coalesce((array_agg(event_type ORDER BY parked_id))[1], 'a record that it cannot read'), topic,
                  left(split_part((array_agg(error ORDER BY parked_id))[1], ':', 1), 100), count(*)) AS cause,
           count(*) OVER () AS total
    FROM parked_event p
    WHERE resolved_at IS NULL AND NOT EXISTS (
        SELECT FROM projection_registry r
        WHERE r.status = 'retired' AND p.consumer LIKE '%.' || replace(r.name, '_', '\\_') || '.v' || r.version)
    GROUP BY consumer, topic, stream_id, CASE WHEN stream_id IS NULL THEN fingerprint END
    HAVING min(parked_at) <= $1
    ORDER BY since, id LIMIT $2"""
SIDE_EFFECTS = """
    SELECT effect_id::text AS id, CASE WHEN lease_until > now() THEN 'LEASED' ELSE 'DUE' END AS state, due_at AS since,
           stream_id, format('the %s %s of %s %s is overdue, taken %s times: its worker does not run, or fails',
                             kind, name, category, stream_id, attempts) AS cause,
           count(*) OVER () AS total
    FROM side_effect
    WHERE kind IN ('call', 'wake') AND due_at <= $1
    ORDER BY due_at, effect_id LIMIT $2"""
REBUILDS = """
    SELECT format('%s v%s', name, version) AS id, upper(status) AS state, changed_at AS since, NULL::uuid AS stream_id,
           'a read table that was to be made anew is not shown: ops-cli projection list' AS cause,
           count(*) OVER () AS total
    FROM projection_registry
    WHERE status NOT IN ('live', 'retired') AND changed_at <= $1
    ORDER BY changed_at, id LIMIT $2"""
# $1, $2: reasons and the time of each; $3 the time for a reason that is not among them; $4 how many rows
REVIEWS = """
    SELECT i.item_id::text AS id, i.reason AS state, i.opened_at AS since, i.subject_id AS stream_id,
           format('waits for a person, of %s: %s', i.service, i.detail) AS cause, count(*) OVER () AS total
    FROM review_item i LEFT JOIN unnest($1::text[], $2::timestamptz[]) AS s(reason, cut) USING (reason)
    WHERE i.closed_at IS NULL AND i.opened_at <= coalesce(s.cut, $3)
    ORDER BY i.opened_at, i.item_id LIMIT $4"""


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A table of every schema. `limit`: how long a row of it may wait."""

    type: str
    sql: str
    limit: timedelta


QUEUES = (
    Queue(type="outbox", sql=OUTBOX, limit=timedelta(minutes=1)),
    Queue(type="outbox_stuck", sql=OUTBOX_STUCK, limit=timedelta(0)),
    Queue(type="parked", sql=PARKED, limit=timedelta(0)),
    # above the lease of a worker that died, after which another one takes over
    Queue(type="side_effect", sql=SIDE_EFFECTS, limit=timedelta(minutes=5)),
    Queue(type="rebuild", sql=REBUILDS, limit=timedelta(hours=2)),
)
REVIEW, REVIEW_SERVICE = "review", "review"
OTHER_REVIEWS = timedelta(days=1)


async def look(connection: Any, queue: Queue, service: str, report: Report, at: datetime, most: int) -> None:
    """One table of one schema, in a transaction that is open."""
    limit = report.older_than if report.older_than is not None else queue.limit
    rows = await connection.fetch(queue.sql, at - limit, most)
    _take(rows, {}, limit, queue.type, service, report)


async def reviews(connection: Any, report: Report, at: datetime, most: int) -> None:
    """Items that wait for a person longer than their reason may."""
    asked = report.older_than
    limits = {reason.value: asked if asked is not None else limit for reason, limit in SLA.items()}
    other = asked if asked is not None else OTHER_REVIEWS
    cuts = [at - limit for limit in limits.values()]
    rows = await connection.fetch(REVIEWS, list(limits), cuts, at - other, most)
    _take(rows, limits, other, REVIEW, REVIEW_SERVICE, report)


def _take(
    rows: list[Any], limits: Mapping[str, timedelta], other: timedelta, kind: str, service: str, report: Report
) -> None:
    for row in rows:
        report.findings.add(
            Finding(
                id=row["id"],
                type=kind,
                state=row["state"],
                since=row["since"],
                limit=limits.get(row["state"], other),
                cause=row["cause"],
                service=service,
                stream_id=row["stream_id"],
            )
        )
    if rows:
        report.findings.uncounted(kind, rows[0]["total"] - len(rows))
