"""Is the state in PostgreSQL the one that follows from Kafka alone? Each stream is folded from its topic and compared.

What happens meanwhile is waited for: a head that is ahead of what was read is compared when the topic has come there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.kernel.codec import GENESIS, EventCodec, StateCodec
from services.kernel.decider import Decider
from services.kernel.envelope import Envelope, envelope_of
from services.kernel.event_check import CHUNK, HEADS, Findings, Source
from services.kernel.operations import Operations, operating
from services.kernel.progress import Clock, Reports
from services.kernel.topic_reader import TopicReader, reading

STREAMS_MAX = 100_000  # in memory; with more the topic is read several times, each time for a part of the streams
WAIT_SECONDS = 30.0  # for the relay and whoever publishes: then the rest is named
LOOK_SECONDS = 0.2
ALL_STREAMS = "SELECT stream_id FROM stream_state ORDER BY stream_id"
UNSENT = """
    SELECT DISTINCT e.stream_id
    FROM (SELECT unnest(seqs) AS global_seq FROM outbox UNION SELECT global_seq FROM outbox_stuck) o
    JOIN event e USING (global_seq)
    WHERE e.stream_id = ANY($1)"""


@dataclass(slots=True)
class Folded:
    """A stream as its records say it."""

    decider: Decider[Any, Any, Any]
    state: Any
    version: int
    hash: bytes
    key: bytes | None
    broken: bool = False  # said already


class TopicStates:
    """The states of a part of the streams: those whose id leaves `part` when divided by `parts`."""

    def __init__(self, source: Source, findings: Findings, part: int, parts: int) -> None:
        self.streams: dict[UUID, Folded] = {}
        self._findings = findings
        self._part, self._parts = part, parts
        self._decider_of = {kind.type: each for each in source.deciders for kind in each.events}  # type: ignore[attr-defined]
        self._decider_of |= {old: each for each in source.deciders for old in each.upcasts}
        self._codecs = {each.category: EventCodec(each.events, each.upcasts) for each in source.deciders}
        self._states = {each.category: StateCodec(each.stages) for each in source.deciders}

    def concerns(self, stream_id: UUID) -> bool:
        """Whether it is one of this part."""
        return stream_id.int % self._parts == self._part

    def take(self, record: Any) -> None:
        """The next record; a repeat changes nothing."""
        where = f"{record.topic}/{record.partition}@{record.offset}"
        try:
            envelope = envelope_of(record.headers)
        except ValueError as error:
            if self._part == 0:
                self._findings.add("unreadable_record", where, str(error))
            return
        if self.concerns(envelope.stream_id):
            self._findings.counts["records"] += 1
            self._fold(record, envelope, where)

    def _fold(self, record: Any, envelope: Envelope, where: str) -> None:
        found = self.streams.get(envelope.stream_id)
        if found is None:
            decider = self._decider_of.get(envelope.event_type)
            if decider is None:
                self._findings.add("unknown_type", where, envelope.event_type)
                return
            found = self.streams[envelope.stream_id] = Folded(decider, decider.initial, 0, GENESIS, record.key)
        if found.broken:
            return
        if envelope.version < found.version or (envelope.version, envelope.hash) == (found.version, found.hash):
            self._findings.counts["repeated_records"] += 1
            return
        try:
            self._apply(record, envelope, found)
        except Exception as error:  # noqa: BLE001 - whatever is on the topic
            found.broken = True
            self._findings.add(
                "does_not_fold", where, f"{envelope.stream_id} version {envelope.version}: {error}"[:200]
            )

    def _apply(self, record: Any, envelope: Envelope, found: Folded) -> None:
        if envelope.version != found.version + 1:
            raise ValueError(f"comes after version {found.version}")
        if envelope.prev_hash != found.hash:
            raise ValueError("does not name the hash of the event before it")
        envelope.verify(record.value or b"")
        event = self._codecs[found.decider.category].decode(envelope.event_type, record.value)
        found.state = found.decider.evolve(found.state, event)
        found.version, found.hash = envelope.version, envelope.hash

    def compare(self, head: Any) -> bool:
        """Whether the head was judged; not when it is ahead of the topic, which may come there."""
        found = self.streams.get(head["stream_id"])
        if found is None or head["version"] > found.version:
            return found is not None and found.broken
        add, where = self._findings.add, head["stream_id"]
        if (head["version"], head["hash"]) != (found.version, found.hash):
            add("head_differs", where, f"version {found.version} on the topic, {head['version']} in PostgreSQL")
        elif str(head["record_key"]).encode() != found.key:
            add("key_differs", where, "another key on the topic than in PostgreSQL")
        elif head["fold"] != found.decider.fold_version:
            self._findings.counts["older_folds"] += 1
        elif self._states[found.decider.category].encode(found.state) != (head["stage"], head["state"]):
            add("state_differs", where, "the state in PostgreSQL is not what the topic folds to")
        return True


async def check_from_topic(source: Source, reports: Reports) -> Findings:
    """Every stream of a service. Raises Unavailable, TopicMissing."""
    findings = Findings()
    async with operating(source.dsn, source.schema) as now, reading(source.bootstrap, source.topic) as reader:
        begin = dict(reader.at)
        count = int(await now.connection.fetchval("SELECT count(*) FROM stream_state"))
        parts = max(1, -(-count // STREAMS_MAX))
        for part in range(parts):
            reader.seek(begin)
            states = TopicStates(source, findings, part, parts)
            words = f"{source.service}: topic" + (f", part {part + 1} of {parts}" if parts > 1 else "")
            await _read(reader, states, reports, words)
            await _compare(now, reader, states, findings, reports)
    return findings


async def _read(reader: TopicReader, states: TopicStates, reports: Reports, words: str) -> None:
    ends = await reader.ends()
    total = sum(ends[at] - offset for at, offset in reader.at.items())
    clock, done = Clock(reports, words, total), 0
    async for records in reader.to(ends):
        for record in records:
            states.take(record)
        done += len(records)
        clock.tell(done)
    clock.tell(done, last=True)


async def _compare(
    now: Operations, reader: TopicReader, states: TopicStates, findings: Findings, reports: Reports
) -> None:
    """All heads of this part, then again those that were ahead, then those that only the topic has."""
    judged: set[UUID] = set()
    async with now.connection.transaction(isolation="repeatable_read", readonly=True):
        cursor = await now.connection.cursor(ALL_STREAMS)
        ahead: list[UUID] = []
        while rows := await cursor.fetch(CHUNK):
            mine = [row[0] for row in rows if states.concerns(row[0])]
            judged.update(mine)
            heads = await now.connection.fetch(HEADS, mine)
            ahead += [head["stream_id"] for head in heads if not states.compare(head)]
    await _wait_for(now, reader, states, findings, ahead, reports)
    findings.counts["streams"] += len(judged)
    others = [stream for stream in states.streams if stream not in judged]
    for at in range(0, len(others), CHUNK):
        await _only_on_topic(now, findings, others[at : at + CHUNK])


async def _wait_for(
    now: Operations,
    reader: TopicReader,
    states: TopicStates,
    findings: Findings,
    ahead: Sequence[UUID],
    reports: Reports,
) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while ahead:
        await _read(reader, states, lambda progress: None, "")
        heads = await _heads(now, ahead)
        ahead = [head["stream_id"] for head in heads.values() if not states.compare(head)]
        if ahead and time.monotonic() > deadline:
            return await _name(now, findings, ahead)
        if ahead:
            await asyncio.sleep(LOOK_SECONDS)
    return None


async def _heads(now: Operations, streams: Sequence[UUID]) -> Mapping[UUID, Any]:
    return {row[0]: row for row in await now.connection.fetch(HEADS, list(streams))}


async def _name(now: Operations, findings: Findings, ahead: Sequence[UUID]) -> None:
    """What the relay still has to send is no difference, but it is said."""
    unsent = {row[0] for row in await now.connection.fetch(UNSENT, list(ahead))}
    for stream in ahead:
        if stream in unsent:
            findings.counts["waiting_for_relay"] += 1
        else:
            findings.add("missing_on_topic", stream, "PostgreSQL has a later version than the topic")


async def _only_on_topic(now: Operations, findings: Findings, streams: Sequence[UUID]) -> None:
    """Those that were written since the heads were listed are there now."""
    there = await _heads(now, streams)
    for stream in streams:
        if stream not in there:
            findings.add("only_on_topic", stream, "the topic has a stream that PostgreSQL does not have")
