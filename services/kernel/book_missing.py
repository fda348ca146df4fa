"""What is missing in the books, and what is there without a reason; what is only on its way is neither.

A fact is on its way while it is in the outbox of its service, or while the ledger has not come to it on the topic. The
ledger writes what it has taken in the same transaction as the entry, so in one snapshot there is nothing in between.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from services.kernel.book_check import SHOWN_MAX, Finding, Verdict
from services.kernel.book_fold import COLUMNS, Judge
from services.kernel.envelope import StoredEvent
from services.kernel.operations import operating
from services.kernel.partition import partition_of
from services.kernel.progress import Clock, Reports
from services.kernel.store import Unavailable
from services.kernel.topic_reader import TopicMissing, ends_of

CHUNK = 1_000
AWAITED_MAX = 10_000  # that are looked at once more; all are counted
PATIENCE_SECONDS = 15.0  # as long as the ledger may take for what was on the topic before
LOOK_SECONDS = 0.1
# taken: the ledger has come beyond it in its stream. parked: it, or one before it, waits for a person.
FACTS = """
    SELECT {columns}, c.last_version >= v.version AS taken,
        EXISTS (SELECT FROM parked_event k WHERE k.consumer = $2 AND k.topic = $3 AND k.stream_id = v.stream_id
                    AND k.version <= v.version AND k.resolved_at IS NULL) AS parked,
        v.global_seq IN (SELECT unnest(seqs) FROM {schema}.outbox) AS unsent,
        v.global_seq IN (SELECT global_seq FROM {schema}.outbox_stuck) AS stuck
    FROM {schema}.event v
    LEFT JOIN stream_cursor c ON c.stream_id = v.stream_id AND c.consumer = $2 AND c.source = $3
    WHERE v.event_type = ANY($1) AND NOT EXISTS (SELECT FROM entry e WHERE e.cause_id = v.event_id)
    ORDER BY v.global_seq"""
# An entry of a fact is a stream of its own; what else is an entry says so in its event.
UNSAID = """
    SELECT count(*) OVER (), entry_seq, entry_id, kind FROM entry e
    WHERE NOT EXISTS (SELECT FROM event v WHERE v.stream_id = e.entry_id AND v.event_type = $1)
        AND e.entry_id::text NOT IN (
            SELECT coalesce(substring(encode(data, 'escape') FROM '"entry_id":"([0-9a-f-]{36})"'), '') FROM event
            WHERE event_type = ANY($2) AND event_type <> $1)
    LIMIT $3"""
POSITIONS = "SELECT partition, next_offset FROM consumer_offset WHERE consumer = $1 AND topic = $2 AND epoch = $3"
CAUSED = "SELECT cause_id FROM entry WHERE cause_id = ANY($1)"


@dataclass(frozen=True, kw_only=True)
class Inflow:
    """Where facts come from: by the schema of a service, its topic; and how the ledger reads them."""

    topics: Mapping[str, str]
    consumer: str
    bootstrap: str | None = field(default=None, repr=False)  # None: nobody asks the broker
    epoch: int = 1


class Fact(NamedTuple):
    """One that was published and that the ledger had not come to."""

    event_id: UUID
    key: bytes
    words: str
    recorded_at: datetime


class Awaited:
    """By topic: what the ledger had not come to."""

    def __init__(self) -> None:
        self.facts: dict[str, list[Fact]] = {}
        self.kept = 0

    def add(self, topic: str, fact: Fact) -> None:
        """One more, while there is room."""
        if self.kept < AWAITED_MAX:
            self.kept += 1
            self.facts.setdefault(topic, []).append(fact)


async def unsaid(connection: asyncpg.Connection[Any], own: str, others: Sequence[str], verdict: Verdict) -> None:
    """Entries that no event of the ledger says."""
    rows = await connection.fetch(UNSAID, own, list(others), SHOWN_MAX)
    for index, (count, seq, entry_id, kind) in enumerate(rows):
        what = f"{entry_id} ({kind}) is in the books, and no event of the ledger says so"
        verdict.add(Finding("entry", str(seq), what), count - len(rows) + 1 if index == 0 else 1)


async def missing(
    connection: asyncpg.Connection[Any], judge: Judge, inflow: Inflow, verdict: Verdict, reports: Reports
) -> Awaited:
    """Facts without their entry, of all services. What comes back is on its way, as it looks."""
    awaited = Awaited()
    clock, looked = Clock(reports, "facts without an entry", 0), 0
    for schema, topic in inflow.topics.items():
        sql = FACTS.format(columns=_of_v(COLUMNS), schema=schema)
        cursor = await connection.cursor(sql, list(judge.sources[schema]), inflow.consumer, topic)
        while rows := await cursor.fetch(CHUNK):
            for row in rows:
                _judge(judge, schema, topic, row, verdict, awaited)
            looked += len(rows)
            clock.tell(looked)
    clock.tell(looked, last=True)
    return awaited


def _of_v(columns: str) -> str:
    """The columns of the table `v`."""
    names = [name.strip() for name in columns.split(",")]
    return ", ".join(name if "'" in name else f"v.{name}" for name in names)


def _judge(judge: Judge, schema: str, topic: str, row: Any, verdict: Verdict, awaited: Awaited) -> None:
    *columns, taken, parked, unsent, stuck = row
    event = StoredEvent(*columns)
    where = str(event.event_id)
    try:
        if not judge.makes(schema, event):
            return
    except Exception as error:  # noqa: BLE001 - whatever somebody wrote into the table
        what = f"{event.event_type} cannot be read: {type(error).__name__}: {error}"[:200]
        verdict.add(Finding("event", where, what))
        return
    words = f"{event.event_type} of {event.recorded_at:%Y-%m-%dT%H:%M:%SZ} has no entry"
    if parked:
        verdict.add(Finding("event", where, f"{words}: the ledger has parked its stream, a person is needed"))
    elif stuck:
        verdict.add(Finding("event", where, f"{words}: it can never be published, a person is needed"))
    elif taken:
        verdict.add(Finding("event", where, f"{words}, and the ledger has taken it"))
    else:
        verdict.waiting += 1
        if not unsent:
            awaited.add(topic, Fact(event.event_id, str(event.record_key).encode(), words, event.recorded_at))


async def lost(dsn: str, schema: str, inflow: Inflow, awaited: Awaited, verdict: Verdict) -> None:
    """Of what looked as if it was on its way: what the ledger has gone past on the topic. Waits a little for it."""
    if not awaited.kept:
        return
    if inflow.bootstrap is None:
        verdict.notes.append("the context does not say where the broker is: what waits may be late, or lost")
        return
    try:
        ends = await ends_of(inflow.bootstrap, awaited.facts)
    except (Unavailable, TopicMissing) as error:
        verdict.notes.append(f"the broker cannot be asked ({error}): what waits may be late, or lost")
        return
    deadline = time.monotonic() + PATIENCE_SECONDS
    async with AsyncExitStack() as opened:
        session = await opened.enter_async_context(operating(dsn, schema))
        for topic, facts in awaited.facts.items():
            passed = await _passed(session.connection, inflow, topic, facts, ends[topic], deadline)
            rows = await session.connection.fetch(CAUSED, [fact.event_id for fact in passed])
            posted = {row[0] for row in rows}
            verdict.waiting -= len(passed)
            for fact in passed:
                if fact.event_id not in posted:
                    what = f"{fact.words}, and the ledger has come past it on {topic}"
                    verdict.add(Finding("event", str(fact.event_id), what))


async def _passed(
    connection: asyncpg.Connection[Any],
    inflow: Inflow,
    topic: str,
    facts: Sequence[Fact],
    ends: Mapping[tuple[str, int], int],
    deadline: float,
) -> list[Fact]:
    """Those whose partitions the ledger has read as far as they went when the broker was asked."""
    of = {fact.event_id: partition_of(fact.key, len(ends)) for fact in facts}
    while True:
        rows = await connection.fetch(POSITIONS, inflow.consumer, topic, inflow.epoch)
        at = {row[0]: row[1] for row in rows}
        through = {number for number in set(of.values()) if at.get(number, 0) >= ends[topic, number]}
        if through == set(of.values()) or time.monotonic() > deadline:
            return [fact for fact in facts if of[fact.event_id] in through]
        await asyncio.sleep(LOOK_SECONDS)
