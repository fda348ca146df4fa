"""The write: one data-modifying statement put together from named parts, of which only those with rows take part.

All of it or nothing: an insert fails when it cannot insert a row, any other part is counted and must touch as many rows
as it was given. Parts on whose keys batches may meet are sorted by them, so that none waits for another in a circle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from services.kernel.arrays import only_lists_and_tuples
from services.kernel.store import Row, Write

only_lists_and_tuples()


@dataclass(frozen=True)
class Part:
    """One named part of the write. `{rows}` in its SQL is `r`, the table of its columns, in the order of the rows."""

    name: str
    columns: tuple[tuple[str, str], ...]  # column, array element type
    sql: str
    state: str | None = "CR001"  # raised when it touches fewer rows than it was given; None: it may, or it cannot
    fold: Callable[[Sequence[Row]], Sequence[Row]] | None = None  # many rows of a batch into one for each key
    same: tuple[str, ...] = ()  # columns in which all rows of a batch agree: each is sent once


def typed(columns: str) -> tuple[tuple[str, str], ...]:
    """The columns of a part as SQL writes them: "name type, name type"."""
    return tuple((name, kind) for name, kind in (column.split() for column in columns.split(",")))


PARTS: tuple[Part, ...] = (
    Part(
        "fence",
        typed(
            "consumer text, topic text, epoch int, partition int, expected bigint, next bigint, checkpoint bigint,"
            "saved bigint, taken bigint"
        ),
        """UPDATE consumer_offset o
           SET next_offset = r.next, checkpoint = coalesce(r.checkpoint, o.checkpoint),
               taken = CASE WHEN r.next > r.expected THEN greatest(r.taken, r.next) ELSE r.taken END,
               starts = CASE WHEN r.next > r.expected THEN 0 ELSE o.starts END,
               suspect_tries = CASE WHEN r.next > r.expected THEN 0 ELSE o.suspect_tries END
           FROM {rows}
           WHERE (o.consumer, o.topic, o.epoch, o.partition) = (r.consumer, r.topic, r.epoch, r.partition)
             AND o.next_offset = r.expected AND o.taken = r.taken AND (r.checkpoint IS NULL OR o.checkpoint = r.saved)
           RETURNING 1""",
        "CR002",
    ),
    Part(
        "new_streams",
        typed(
            "stream_id uuid, tenant text, category text, record_key uuid, version int, hash bytea, stage text,"
            "state bytea, fold smallint"
        ),
        """INSERT INTO stream_state (stream_id, tenant, category, record_key, version, hash, stage, state, fold)
           SELECT stream_id, tenant, category, record_key, version, hash, stage, state, fold
           FROM {rows}""",
        None,
    ),
    Part(
        "moved_streams",
        typed("stream_id uuid, expected int, version int, hash bytea, stage text, state bytea, fold smallint"),
        """UPDATE stream_state s
           SET version = r.version, hash = r.hash, stage = r.stage, state = r.state, fold = r.fold, changed_at = now()
           FROM {rows}
           WHERE s.stream_id = r.stream_id AND s.version = r.expected
           RETURNING 1""",
    ),
    Part(
        "claims",
        typed("namespace text, value text, tenant text, stream_id uuid, content text"),
        """INSERT INTO claim (namespace, value, tenant, stream_id, content)
           SELECT namespace, value, tenant, stream_id, content
           FROM {rows}
           ORDER BY namespace, value, tenant""",
        None,
    ),
    Part(
        "requests",
        typed("tenant text, principal text, key text, fingerprint text, status smallint, answer bytea"),
        """INSERT INTO request_key (tenant, principal, key, fingerprint, status, answer)
           SELECT tenant, principal, key, fingerprint, status, answer
           FROM {rows}
           ORDER BY key, principal, tenant""",
        None,
    ),
    Part(
        "conflicts",  # the last other request under a key: one row a key, so nobody makes it grow by asking again
        typed("tenant text, principal text, key text, fingerprint text"),
        """INSERT INTO request_conflict AS c (tenant, principal, key, fingerprint)
           SELECT tenant, principal, key, fingerprint
           FROM {rows}
           ORDER BY key, principal, tenant
           ON CONFLICT (key, principal, tenant) DO UPDATE
             SET fingerprint = excluded.fingerprint, times = c.times + 1, last_at = now()""",
        None,
        fold=lambda rows: list({row[:3]: row for row in rows}.values()),
    ),
    Part(
        "events",
        typed(
            "stream_id uuid, version int, event_id uuid, event_type text, schema_version smallint, record_key uuid,"
            "data bytea, meta bytea, occurred_at timestamptz, prev_hash bytea, hash bytea"
        ),
        """INSERT INTO event (stream_id, version, event_id, event_type, schema_version, record_key,
                              data, meta, occurred_at, prev_hash, hash)
           SELECT stream_id, version, event_id, event_type, schema_version, record_key,
                  data, meta, occurred_at, prev_hash, hash
           FROM {rows}
           RETURNING global_seq""",
        None,
        same=("occurred_at",),
    ),
    Part(
        "cursors",
        typed("stream_id uuid, consumer text, source text, version int, hash bytea, parked boolean"),
        """INSERT INTO stream_cursor (stream_id, consumer, source, last_version, last_hash, parked)
           SELECT stream_id, consumer, source, version, hash, parked
           FROM {rows}
           ORDER BY stream_id, consumer, source
           ON CONFLICT (stream_id, consumer, source) DO UPDATE
             SET last_version = excluded.last_version, last_hash = excluded.last_hash, parked = excluded.parked
           RETURNING 1""",
    ),
    Part(
        "moved_cursors",  # those that the store has: an update writes half of what an upsert does
        typed("stream_id uuid, consumer text, source text, version int, hash bytea, parked boolean"),
        """UPDATE stream_cursor c
           SET last_version = r.version, last_hash = r.hash, parked = r.parked
           FROM {rows}
           WHERE (c.stream_id, c.consumer, c.source) = (r.stream_id, r.consumer, r.source)
           RETURNING 1""",
    ),
    Part(
        "arrivals",
        typed(
            "arrival_id uuid, tenant text, source text, transport text, body bytea, headers bytea, verdict text,"
            "reference text, content text"
        ),
        """INSERT INTO raw_arrival (arrival_id, tenant, source, transport, body, headers, verdict, reference, content)
           SELECT arrival_id, tenant, source, transport, body, headers, verdict, reference, content
           FROM {rows}
           ORDER BY arrival_id
           ON CONFLICT DO NOTHING""",
        None,
    ),
    Part(
        "parked",
        typed(
            "consumer text, topic text, partition int, position bigint, stream_id uuid, version int, event_type text,"
            "error text, fingerprint text, key bytea, headers bytea, value bytea"
        ),
        """INSERT INTO parked_event (consumer, topic, partition, "offset", stream_id, version, event_type,
                                     error, fingerprint, key, headers, value)
           SELECT consumer, topic, partition, position, stream_id, version, event_type,
                  error, fingerprint, key, headers, value
           FROM {rows}
           ON CONFLICT DO NOTHING""",
        None,
    ),
    Part(
        "effects",
        typed(
            "effect_id uuid, stream_id uuid, kind text, name text, due_at timestamptz, category text, tenant text,"
            "correlation_id uuid, traceparent text"
        ),
        """INSERT INTO side_effect (effect_id, stream_id, kind, name, due_at, category, tenant,
                                    correlation_id, traceparent)
           SELECT effect_id, stream_id, kind, name, due_at, category, tenant, correlation_id, traceparent
           FROM {rows}""",
        None,
    ),
    Part(
        "effects_done",
        typed("effect_id uuid, fence bigint"),
        """DELETE FROM side_effect s
           USING {rows}
           WHERE s.effect_id = r.effect_id AND s.fence = r.fence
           RETURNING 1""",
    ),
    Part(
        "effects_again",
        typed("effect_id uuid, fence bigint, after_seconds int"),
        """UPDATE side_effect s
           SET due_at = clock_timestamp() + make_interval(secs => r.after_seconds), lease_until = NULL
           FROM {rows}
           WHERE s.effect_id = r.effect_id AND s.fence = r.fence
           RETURNING 1""",
    ),
)
OUTBOX = """outbox AS (
    INSERT INTO outbox (first_seq, topic, seqs)
    SELECT min(global_seq), {topic}::text, array_agg(global_seq ORDER BY global_seq) FROM events
    RETURNING 1)"""


class Statement:
    """A statement put together for one set of parts, with its parameters in order."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self._number = 0
        bodies = [f"{part.name} AS ({self._body(part)})" for part in parts]
        if any(part.name == "events" for part in parts):
            bodies.append(OUTBOX.replace("{topic}", self._next()))
        checks = [self._check(part) for part in parts if part.state]
        self.sql = f"WITH {', '.join(bodies)} SELECT {', '.join(checks) or '1'}"

    def _next(self) -> str:
        self._number += 1
        return f"${self._number}"

    def _body(self, part: Part) -> str:
        columns = ", ".join(self._column(name, kind, once=name in part.same) for name, kind in part.columns)
        return part.sql.replace("{rows}", f"(SELECT {columns}) AS r")

    def _column(self, name: str, kind: str, *, once: bool) -> str:
        return f"{self._next()}::{kind} AS {name}" if once else f"unnest({self._next()}::{kind}[]) AS {name}"

    def _check(self, part: Part) -> str:
        count = f"(SELECT count(*) FROM {part.name})"  # noqa: S608 - a part's name is a constant of ours
        return f"CASE WHEN {count} < {self._next()}::int THEN corridor_raise('{part.state}', '{part.name}') END"

    def arguments(self, write: Write) -> list[Any]:
        """The columns of each part, the topic when there are events, how many rows each checked part must touch."""
        values: list[Any] = []
        for part in self.parts:
            rows = write.rows[part.name]
            columns = zip(*(part.fold(rows) if part.fold else rows), strict=True)
            values.extend(
                _once(column) if name in part.same else column
                for (name, _), column in zip(part.columns, columns, strict=True)
            )
        if any(part.name == "events" for part in self.parts):
            values.append(write.topic)
        values.extend(len(write.rows[part.name]) for part in self.parts if part.state)
        return values


def _once(column: tuple[Any, ...]) -> Any:
    """The one value of a column."""
    value = column[0]
    assert column.count(value) == len(column), "rows of one batch disagree"
    return value
