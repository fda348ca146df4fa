"""A poll of records as one batch of the engine: its cursors, its asks, what it parks, and the fence, in one write.

Order of checks for a record: duplicate, parked, gap or fork, decide. What cannot be handled is parked with its stream.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from uuid import UUID

from services.kernel.codec import GENESIS, encode
from services.kernel.decider import Outcome, Unit
from services.kernel.engine import Decide, wanted_by
from services.kernel.envelope import Envelope, Headers
from services.kernel.store import Cursor, Known, Partition, Wanted, Write
from services.kernel.value import value

CURSORS_MAX = 5_000  # remembered by a consumer, 1.5 MiB; a stream that went quiet is read again
Source = tuple[str, UUID]  # topic, stream


@value
class Record:
    """A record as it was polled."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int = 0


@value
class Received:
    """A record after it was read, before anything was asked of the store. `after` is our position before it."""

    record: Record
    after: int
    envelope: Envelope | None = None
    unit: Unit | None = None
    broken: Exception | None = None  # why it must be parked


class Gap(Exception):
    """A version is missing before this one."""


class Fork(Exception):
    """The record contradicts what was taken before it."""


class Behind(Exception):
    """Its stream is parked; it waits in order."""


class Cursors:
    """The cursors that this consumer moved last.

    They are the stored ones for as long as its fence holds: a stream's records come from one partition, and nobody else
    moves what belongs to it. Whoever loses the fence forgets them. A tool that lets a parked stream go on must thus
    move the position too, so that the consumer loses it.
    """

    def __init__(self, most: int = CURSORS_MAX) -> None:
        self._kept: dict[Source, Cursor] = {}
        self._most = most

    def get(self, at: Source) -> Cursor | None:
        """None says nothing about the store."""
        return self._kept.get(at)

    def keep(self, moved: Mapping[Source, Cursor]) -> None:
        """These were committed. The ones that moved longest ago make room."""
        for at, cursor in moved.items():
            self._kept.pop(at, None)
            self._kept[at] = cursor
        for at in list(islice(self._kept, max(0, len(self._kept) - self._most))):
            del self._kept[at]

    def forget(self) -> None:
        """Back to what the store says."""
        self._kept.clear()


class Poll:
    """The intake of one batch of records."""

    def __init__(self, consumer: str, epoch: int, received: Sequence[Received], cursors: Cursors) -> None:
        self._consumer = consumer
        self._epoch = epoch
        self._received = received
        self._cursors = cursors
        self.moved: dict[Source, Cursor] = {}
        self.results: dict[str, int] = {}
        self.parked: Counter[str] = Counter()  # by topic

    def wanted(self) -> Wanted:
        """The streams of the asks, and a cursor for each source stream."""
        wanted = wanted_by(each.unit for each in self._received if each.unit)
        wanted.consumer = self._consumer
        sources = {(each.record.topic, each.envelope.stream_id) for each in self._received if each.envelope}
        wanted.cursors = {at for at in sources if self._cursors.get(at) is None}
        return wanted

    def decide(self, known: Known, decide: Decide, write: Write) -> list[Outcome]:
        """Each record in order: its cursor first, then its unit; the fence of each partition last."""
        self.results = {"applied": 0, "skipped": 0, "duplicate": 0, "parked": 0}
        self.parked.clear()
        self.moved = {}
        outcomes = [self._record(each, known, decide, write) for each in self._received]
        for at in sorted(self.moved, key=lambda at: (at[1].bytes, at[0])):
            (source, stream_id), cursor = at, self.moved[at]
            part = "moved_cursors" if at in known.cursors or self._cursors.get(at) else "cursors"
            write.add(part, (stream_id, self._consumer, source, cursor.version, cursor.hash, cursor.parked))
        self._fence(write)
        return outcomes

    def _record(self, each: Received, known: Known, decide: Decide, write: Write) -> Outcome:
        if each.envelope is None:
            return self._stranger(each, decide, write)
        at = (each.record.topic, each.envelope.stream_id)
        cursor = self.moved.get(at) or self._cursors.get(at) or known.cursors.get(at)
        standing, seen = self._standing(each, cursor)
        if seen:
            return self._count("duplicate", Outcome(replayed=True))
        outcome = Outcome() if standing or each.unit is None else decide(each.unit)
        trouble = standing or outcome.error or outcome.refusal
        if trouble is None:
            self.moved[at] = Cursor(each.envelope.version, each.envelope.hash, parked=False)
            return self._count("applied" if each.unit else "skipped", outcome)
        if cursor is None or not cursor.parked:
            last = (cursor.version, cursor.hash) if cursor else (0, GENESIS)
            self.moved[at] = Cursor(*last, parked=True)
        return self._park(each, trouble, write)

    def _standing(self, each: Received, cursor: Cursor | None) -> tuple[Exception | None, bool]:
        """(why it cannot be taken or None, whether it was taken before)."""
        envelope = each.envelope
        assert envelope is not None
        version, last = (cursor.version, cursor.hash) if cursor else (0, GENESIS)
        if envelope.version < version or (envelope.version == version and envelope.hash == last):
            return None, True
        if cursor and cursor.parked:
            return Behind("its stream is parked"), False
        if envelope.version == version:
            return Fork(f"another version {version} than the one taken"), False
        if envelope.version > version + 1:
            return Gap(f"version {envelope.version} after {version}"), False
        if envelope.prev_hash != last:
            return Fork(f"version {envelope.version} does not follow the one taken"), False
        return each.broken, False

    def _stranger(self, each: Received, decide: Decide, write: Write) -> Outcome:
        """A record without an identity of ours: from outside, or unreadable. It is parked alone."""
        outcome = Outcome() if each.unit is None else decide(each.unit)
        trouble = each.broken or outcome.error or outcome.refusal
        return self._park(each, trouble, write) if trouble else self._count("applied", outcome)

    def _park(self, each: Received, trouble: BaseException, write: Write) -> Outcome:
        record, envelope = each.record, each.envelope
        words = f"{type(trouble).__name__}: {trouble}".encode("utf-8", "backslashreplace").decode()
        error = words.replace("\x00", "\\x00")[:1000]  # whatever a stranger wrote, a text column must hold it
        self.parked[record.topic] += 1
        kind = envelope.event_type if envelope else None
        fingerprint = hashlib.sha256(f"{self._consumer}|{kind}|{type(trouble).__name__}".encode()).hexdigest()[:16]
        identity = (envelope.stream_id, envelope.version) if envelope else (None, None)
        position = (self._consumer, record.topic, record.partition, record.offset)
        headers = encode([[name, (value or b"").decode("latin-1")] for name, value in record.headers])
        write.add("parked", (*position, *identity, kind, error, fingerprint, record.key, headers, record.value))
        return self._count("parked", Outcome(error=trouble))

    def _count(self, result: str, outcome: Outcome) -> Outcome:
        self.results[result] += 1
        return outcome

    def _fence(self, write: Write) -> None:
        spans: dict[Partition, tuple[int, int]] = {}
        for each in self._received:
            at = (each.record.topic, each.record.partition)
            spans[at] = (spans[at][0] if at in spans else each.after, each.record.offset + 1)
        for (topic, partition), (expected, following) in sorted(spans.items()):
            write.add("fence", (self._consumer, topic, self._epoch, partition, expected, following))
