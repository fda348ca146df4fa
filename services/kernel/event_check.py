"""Were events altered? Every chain of hashes of a service, the states that they fold to, and its topic, byte for byte.

One pass over the topic and one over the table, both bounded in memory, while everything runs: what the broker had
acknowledged before this began must be on the topic, and what is on the topic must be in the table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.kernel.codec import (
    GENESIS,
    EventCodec,
    StateCodec,
    UnknownEventType,
    chain_hash,
    decode_meta,
    instant,
    schema_version,
)
from services.kernel.decider import Decider
from services.kernel.envelope import StoredEvent, envelope_of, headers_of
from services.kernel.operations import Operations, Site, operating
from services.kernel.partition import partition_of
from services.kernel.progress import Clock, Reports
from services.kernel.topic_reader import TopicReader, reading

CHUNK = 2_000
SHOWN_MAX = 20  # findings of a kind that are kept in words; all are counted
ROWS = """
    SELECT global_seq, $1::text, stream_id, version, event_id, event_type, schema_version, record_key, data, meta,
           occurred_at, recorded_at, prev_hash, hash
    FROM event
    ORDER BY stream_id, version"""
BY_ID = """
    SELECT global_seq, $1::text, stream_id, version, event_id, event_type, schema_version, record_key, data, meta,
           occurred_at, recorded_at, prev_hash, hash
    FROM event
    WHERE event_id = ANY($2)"""
HEADS = """
    SELECT stream_id, category, record_key, version, hash, stage, state, fold, tenant
    FROM stream_state
    WHERE stream_id = ANY($1)"""
UNSENT = "SELECT unnest(seqs) FROM outbox UNION ALL SELECT global_seq FROM outbox_stuck"
EMPTY = """
    SELECT stream_id FROM stream_state s WHERE NOT EXISTS (SELECT FROM event e WHERE e.stream_id = s.stream_id)
    ORDER BY stream_id LIMIT $1"""


@dataclass(frozen=True, kw_only=True)
class Source(Site):
    """The events of one service, and where they are."""

    topic: str
    deciders: tuple[Decider[Any, Any, Any], ...]


class Findings:
    """What is wrong, by kind, in the words of its first examples; and what was looked at."""

    def __init__(self) -> None:
        self.wrong: Counter[str] = Counter()
        self.examples: list[dict[str, str]] = []
        self.counts: Counter[str] = Counter()

    def add(self, kind: str, where: object, words: str) -> None:
        """One more."""
        self.wrong[kind] += 1
        if self.wrong[kind] <= SHOWN_MAX:
            self.examples.append({"kind": kind, "where": str(where), "what": words})

    @property
    def is_clean(self) -> bool:
        """Nothing is wrong."""
        return not self.wrong


class Seen:
    """A set of global sequences: a bit for each."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def add(self, number: int) -> bool:
        """Whether it was new."""
        byte, bit = divmod(number, 8)
        if byte >= len(self._bits):
            self._bits.extend(bytes(byte - len(self._bits) + 65_536))
        is_new = not self._bits[byte] >> bit & 1
        self._bits[byte] |= 1 << bit
        return is_new

    def __contains__(self, number: int) -> bool:
        byte, bit = divmod(number, 8)
        return byte < len(self._bits) and bool(self._bits[byte] >> bit & 1)


async def check(source: Source, reports: Reports) -> Findings:
    """Everything of one service. Raises Unavailable, TopicMissing."""
    findings, seen = Findings(), Seen()
    async with (
        operating(source.dsn, source.schema) as past,
        operating(source.dsn, source.schema) as now,
        reading(source.bootstrap, source.topic) as reader,
        past.connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        unsent = {row[0] for row in await past.connection.fetch(UNSENT)}
        await _topic(source, reader, now, seen, findings, reports)
        await _store(source, past, seen, unsent, findings, reports)
    return findings


# -- the topic: each record is an event of the table, byte for byte


async def _topic(
    source: Source, reader: TopicReader, now: Operations, seen: Seen, findings: Findings, reports: Reports
) -> None:
    ends = await reader.ends()
    clock = Clock(reports, f"{source.service}: topic", sum(ends.values()))
    done = 0
    async for records in reader.to(ends):
        stored = await _stored(source, now, records)
        for record in records:
            _compare(source, record, stored, len(ends), seen, findings)
        done += len(records)
        clock.tell(done)
    clock.tell(done, last=True)


async def _stored(source: Source, now: Operations, records: Sequence[Any]) -> dict[UUID, StoredEvent]:
    ids = {found for record in records if (found := _id_of(record)) is not None}
    rows = await now.connection.fetch(BY_ID, source.topic, sorted(ids))
    return {row["event_id"]: StoredEvent(*row) for row in rows}


def _id_of(record: Any) -> UUID | None:
    try:
        return envelope_of(record.headers).event_id
    except ValueError:
        return None


def _compare(
    source: Source, record: Any, stored: dict[UUID, StoredEvent], partitions: int, seen: Seen, findings: Findings
) -> None:
    findings.counts["records"] += 1
    where, event_id = f"{record.topic}/{record.partition}@{record.offset}", _id_of(record)
    if event_id is None:
        findings.add("unreadable_record", where, "a record on the topic does not say which event it is")
        return
    event = stored.get(event_id)
    if event is None:
        findings.add("only_on_topic", where, f"event {event_id} is on the topic and not in the table")
        return
    if not seen.add(event.global_seq):
        findings.counts["repeated_records"] += 1  # allowed: the relay sends again what was not acknowledged
    for part in _differences(source, record, event):
        findings.add("bytes_differ", where, f"{part} of event {event_id} differs between topic and table")
    if partition_of(record.key or b"", partitions) != record.partition:
        findings.add("wrong_partition", where, f"event {event_id} is not on the partition of its key")


def _differences(source: Source, record: Any, event: StoredEvent) -> list[str]:
    try:
        ours = headers_of(event, f"/corridor/{source.service}", source.epoch)
    except Exception as error:  # noqa: BLE001 - whatever somebody wrote into the table
        return [f"what cannot be published ({type(error).__name__})"]
    found = []
    if record.value != event.data:
        found.append("the value")
    if record.key != str(event.record_key).encode():
        found.append("the key")
    if record.timestamp != int(event.occurred_at.timestamp() * 1000):
        found.append("the timestamp")
    if list(record.headers) != ours:
        theirs = dict(record.headers)
        names = sorted({name for name, value in ours if theirs.get(name) != value} | theirs.keys() - dict(ours).keys())
        found.append(f"header {', '.join(names) or 'order'}")
    return found


# -- the table: chains without a gap, heads and states that follow from them


async def _store(
    source: Source, past: Operations, seen: Seen, unsent: set[int], findings: Findings, reports: Reports
) -> None:
    chains = Chains(source.deciders, findings)
    total = await past.connection.fetchval("SELECT count(*) FROM event")
    clock = Clock(reports, f"{source.service}: table", total)
    cursor, done = await past.connection.cursor(ROWS, source.topic), 0
    while rows := await cursor.fetch(CHUNK):
        events = [StoredEvent(*row) for row in rows]
        await chains.heads_of(past, {event.stream_id for event in events})
        for event in events:
            chains.take(event)
            _was_sent(event, seen, unsent, findings)
        done += len(rows)
        clock.tell(done)
    chains.finish()
    clock.tell(done, last=True)
    findings.counts["events"] = done
    for row in await past.connection.fetch(EMPTY, SHOWN_MAX):
        findings.add("no_events", row[0], "a stream has a state and no event")


def _was_sent(event: StoredEvent, seen: Seen, unsent: set[int], findings: Findings) -> None:
    if event.global_seq in seen:
        return
    if event.global_seq in unsent:
        findings.counts["waiting_for_relay"] += 1
        return
    what = f"version {event.version} ({event.event_type}) is in the table and not on the topic"
    findings.add("missing_on_topic", event.stream_id, what)


class Chains:
    """Streams one after the other, their events in order of version."""

    def __init__(self, deciders: Sequence[Decider[Any, Any, Any]], findings: Findings) -> None:
        self._findings = findings
        self._deciders = {each.category: each for each in deciders}
        self._events = {each.category: EventCodec(each.events, each.upcasts) for each in deciders}
        self._states = {each.category: StateCodec(each.stages) for each in deciders}
        self._heads: dict[UUID, Any] = {}
        self._stream: UUID | None = None
        self._last: StoredEvent | None = None
        self._version = 0
        self._hash = GENESIS
        self._state: Any = None
        self._folds = True

    async def heads_of(self, past: Operations, streams: set[UUID]) -> None:
        """Have the stored heads of these streams, and of the one in hand."""
        rows = await past.connection.fetch(HEADS, sorted(streams - self._heads.keys()))
        self._heads = {key: head for key, head in self._heads.items() if key in streams or key == self._stream}
        self._heads.update({row[0]: row for row in rows})

    def take(self, event: StoredEvent) -> None:
        """The next event in the order of the table's key."""
        if event.stream_id != self._stream:
            self.finish()
            self._begin(event)
        self._link(event)
        self._fold(event)
        self._version, self._hash, self._last = event.version, event.hash, event

    def _begin(self, event: StoredEvent) -> None:
        self._stream, self._version, self._hash, self._folds = event.stream_id, 0, GENESIS, True
        head = self._heads.get(event.stream_id)
        decider = self._deciders.get(head["category"]) if head is not None else None
        self._state = decider.initial if decider else None

    def _link(self, event: StoredEvent) -> None:
        add, where = self._findings.add, f"{event.stream_id} version {event.version}"
        if event.version != self._version + 1:
            add("version_gap", where, f"comes after version {self._version}")
        if event.prev_hash != self._hash:
            add("broken_link", where, "does not name the hash of the event before it")
        if event.schema_version != _schema_version(event):
            add("wrong_type", where, f"{event.event_type} is stored as schema version {event.schema_version}")
        elif _hash_of(event) != event.hash:
            add("wrong_hash", where, f"{event.event_type}: its hash is not that of its bytes")

    def _fold(self, event: StoredEvent) -> None:
        head = self._heads.get(event.stream_id)
        if head is None or not self._folds:
            return
        try:
            decider = self._deciders[head["category"]]
            decoded = self._events[decider.category].decode(event.event_type, event.data)
            self._state = decider.evolve(self._state, decoded)
        except Exception as error:  # noqa: BLE001 - whatever somebody wrote into the table
            self._folds = False
            what = f"cannot be folded: {type(error).__name__}: {error}"[:200]
            self._findings.add("does_not_fold", f"{event.stream_id} version {event.version}", what)

    def finish(self) -> None:
        """The stream in hand is complete: its head must say so."""
        if self._stream is None:
            return
        head, add = self._heads.get(self._stream), self._findings.add
        self._findings.counts["streams"] += 1
        if head is None:
            add("no_state", self._stream, "a stream has events and no state")
        elif (head["version"], head["hash"]) != (self._version, self._hash):
            add("head_differs", self._stream, f"the head says version {head['version']}, the events {self._version}")
        else:
            self._compare_owner(head)
            if self._folds:
                self._compare_state(head)
        self._stream = None

    def _compare_owner(self, head: Any) -> None:
        """Whose it is and where its events go: what comes next is written by what the head says."""
        assert self._last is not None  # a stream in hand has an event
        if head["record_key"] != self._last.record_key:
            self._findings.add("key_differs", head["stream_id"], "the head has another key than the events")
        if head["tenant"] != _tenant(self._last.meta):
            self._findings.add("tenant_differs", head["stream_id"], "the head is of another tenant than the events")

    def _compare_state(self, head: Any) -> None:
        decider = self._deciders[head["category"]]  # it has folded
        if head["fold"] != decider.fold_version:
            self._findings.counts["older_folds"] += 1  # folded anew when it is used
        elif self._states[decider.category].encode(self._state) != (head["stage"], head["state"]):
            self._findings.add("state_differs", head["stream_id"], "the stored state is not what the events fold to")


def _schema_version(event: StoredEvent) -> int | None:
    """That of its type; None for what is no type of ours."""
    try:
        return schema_version(event.event_type)
    except UnknownEventType:
        return None


def _tenant(meta: bytes) -> str | None:
    """None when it does not say."""
    try:
        return decode_meta(meta).tenant
    except ValueError:
        return None


def _hash_of(event: StoredEvent) -> bytes:
    return chain_hash(
        event.prev_hash, event.stream_id.bytes, event.version, event.event_id.bytes, event.event_type,
        instant(event.occurred_at), event.meta, event.data,
    )  # fmt: skip
