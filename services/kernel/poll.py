"""A poll of records as one batch of the engine: its asks, what it parks, its cursors, and the fence, in one write.

Order of checks for a record: duplicate, parked, gap or fork, decide. What cannot be handled is parked with its stream.
Cursors are kept in memory and saved at checkpoints; who starts anew learns from there (docs/decisions/0016, 0023).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from uuid import UUID

from services.kernel.codec import GENESIS, encode
from services.kernel.decider import Outcome, Unit
from services.kernel.engine import Decide, wanted_by
from services.kernel.envelope import Envelope, Headers
from services.kernel.store import Cursor, Known, Partition, Row, Wanted, Write
from services.kernel.value import value

CURSORS_MAX = 4_000  # remembered by a consumer, 1.2 MiB; a stream that went quiet is read again
UNSAVED_MAX = 1_500  # moved since the last checkpoint; beyond it the next write saves them
UNSAVED_BY_READERS_MAX = 8_000  # of who keeps a read table, and saves none but at checkpoints
Source = tuple[str, UUID]  # topic, stream


@value
class Record:
    """A record as it was polled: what is read of aiokafka's own, which comes in its place."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int = 0  # ms since 1970


@value
class Received:
    """A record after it was read, before anything was asked of the store."""

    record: Record
    envelope: Envelope | None = None
    unit: Unit | None = None
    broken: Exception | None = None  # why it must be parked
    taken: bool = False  # before the last checkpoint was read: it only teaches its cursor
    passed: bool = False  # of a stream that is nobody's business here


class Taken(Exception):
    """It was taken before."""


class Gap(Exception):
    """A version is missing before this one."""


class Fork(Exception):
    """The record contradicts what was taken before it."""


class Behind(Exception):
    """Its stream is parked; it waits in order."""


class Cursors:
    """The cursors that this consumer moved last, saved (as they stand in the store) and not yet.

    They hold for as long as its fence does: a stream's records come from one partition, and nobody else moves what
    belongs to it. Whoever loses the fence forgets them, and learns them again from the checkpoint on. A tool that lets
    a parked stream go on must thus move the position, too, so that a running consumer loses it.
    """

    def __init__(self, most: int = CURSORS_MAX, unsaved_most: int = UNSAVED_MAX) -> None:
        self._saved: dict[Source, Cursor] = {}
        self._unsaved: dict[Source, Cursor] = {}
        self._most = most
        self._unsaved_most = unsaved_most

    def get(self, at: Source) -> Cursor | None:
        """None says nothing about the store."""
        return self._unsaved.get(at) or self._saved.get(at)

    def missing(self, sources: set[Source]) -> set[Source]:
        """Those of which nothing is remembered."""
        return sources.difference(self._unsaved).difference(self._saved)

    def is_stored(self, at: Source) -> bool:
        """The store has a cursor of it, this one or an older one."""
        return at in self._saved

    @property
    def unsaved(self) -> Mapping[Source, Cursor]:
        """Those that the store does not know yet."""
        return self._unsaved

    @property
    def full(self) -> bool:
        """So many are unsaved that they must be saved."""
        return len(self._unsaved) >= self._unsaved_most

    def moved(self, cursors: Mapping[Source, Cursor]) -> None:
        """These moved, and the store does not know."""
        self._unsaved.update(cursors)

    def saved(self, cursors: Mapping[Source, Cursor]) -> None:
        """These are stored. The ones that were saved longest ago make room."""
        for at, cursor in cursors.items():
            self._unsaved.pop(at, None)
            self._saved.pop(at, None)
            self._saved[at] = cursor
        for at in list(islice(self._saved, max(0, len(self._saved) - self._most))):
            del self._saved[at]

    def forget(self) -> None:
        """Back to what the store says."""
        self._saved.clear()
        self._unsaved.clear()


@dataclass(slots=True)
class Places:
    """Where a consumer stands in its partitions. Behind the stored position it learns: what was taken before only moves
    cursors that were not saved.
    """

    reading: dict[Partition, int] = field(default_factory=dict)  # the next offset that it reads
    stored: dict[Partition, int] = field(default_factory=dict)  # the position as the store has it
    saved: dict[Partition, int] = field(default_factory=dict)  # the checkpoint as the store has it
    taken: dict[Partition, int] = field(default_factory=dict)  # how far we came ourselves: behind `stored` after a jump
    all_later: bool = False  # also cursors of what was applied are saved at checkpoints only

    def was_taken(self, at: Partition, offset: int) -> bool:
        """Whether this record must not be decided again. Where cursors were saved with what was applied they know it,
        and a position that a person moved back counts. Of a read table they know it below the checkpoint; from there on
        only how far we came does.
        """
        return offset < self.stored[at] or (self.all_later and self.saved[at] <= offset < self.taken[at])

    def waits(self, at: Partition, offset: int, *, applied: bool) -> bool:
        """Whether the cursor of this record can wait for a checkpoint: who starts anew learns it from there. Not below
        the one that there is, where only who was moved back takes anything.
        """
        return offset >= self.saved[at] and (self.all_later or not applied)

    @property
    def jumped(self) -> bool:
        """A person has moved a position forward. What was jumped over was not taken, so its streams have a gap."""
        return any(self.taken[at] < stored for at, stored in self.stored.items())


class Poll:
    """The intake of one batch of records. With `settle` it stores the positions also of what only passed; with
    `checkpoint` it saves all cursors, and says so beside the positions.
    """

    def __init__(
        self,
        consumer: str,
        epoch: int,
        received: Sequence[Received],
        cursors: Cursors,
        places: Places,
        *,
        settle: bool = False,
        checkpoint: bool = False,
    ) -> None:
        self._consumer = consumer
        self._epoch = epoch
        self._received = received
        self._cursors = cursors
        self._places = places
        self._settle = settle
        self._checkpoint = checkpoint
        self._done: set[Source] = set()  # whose cursors must not wait for a checkpoint
        self.moved: dict[Source, Cursor] = {}
        self.saved: dict[Source, Cursor] = {}
        self.stored: dict[Partition, int] = {}
        self.taken: dict[Partition, int] = {}
        self.checkpoints: dict[Partition, int] = {}
        self.results: dict[str, int] = {}
        self.parked: Counter[str] = Counter()  # by topic

    @cached_property
    def ends(self) -> dict[Partition, int]:
        """The offset behind its last record, for each partition in it."""
        return {(each.record.topic, each.record.partition): each.record.offset + 1 for each in self._received}

    def wanted(self) -> Wanted:
        """The streams of the asks, and a cursor for each source stream that is not remembered."""
        wanted = wanted_by(each.unit for each in self._received if each.unit)
        wanted.consumer = self._consumer
        sources = {(each.record.topic, each.envelope.stream_id) for each in self._received if each.envelope}
        wanted.cursors = self._cursors.missing(sources)
        return wanted

    def only_passes(self) -> bool:
        """Whether nothing must be read or written for these records: then they have moved their cursors, in memory."""
        if (
            self._checkpoint
            or self._settle
            or any(each.unit or each.broken for each in self._received)
            or self.wanted().cursors
        ):
            return False
        write = Write(topic="")
        self.decide(_NOTHING, _nobody, write)
        return not write.rows

    def decide(self, known: Known, decide: Decide, write: Write) -> list[Outcome]:
        """Each record in order: its cursor first, then its unit; the fence of each partition last."""
        self.results = {"applied": 0, "skipped": 0, "duplicate": 0, "parked": 0}
        self.parked.clear()
        self.moved, self.saved, self.stored, self.taken, self.checkpoints = {}, {}, {}, {}, {}
        self._done.clear()
        outcomes = [self._record(each, known, decide, write) for each in self._received]
        self._save(known, write)
        if self._checkpoint or self._settle or self.saved or self.results["applied"] or self.results["parked"]:
            self._fence(write)
        return outcomes

    def _save(self, known: Known, write: Write) -> None:
        """What is done is seen to be so at once; a cursor that only moved can wait for a checkpoint."""
        self.saved = {at: self.moved[at] for at in self._done}
        if self._checkpoint:
            self.saved = {**self._cursors.unsaved, **self.moved}
        for at, cursor in sorted(self.saved.items(), key=_by_stream):
            part = "moved_cursors" if at in known.cursors or self._cursors.is_stored(at) else "cursors"
            write.add(part, (at[1], self._consumer, at[0], cursor.version, cursor.hash, cursor.parked))

    def _record(self, each: Received, known: Known, decide: Decide, write: Write) -> Outcome:
        if each.passed:
            return self._count("skipped", _PASSED)
        envelope = each.envelope
        if envelope is None:
            return self._stranger(each, decide, write)
        at = (each.record.topic, envelope.stream_id)
        cursor = self.moved.get(at) or self._cursors.get(at) or known.cursors.get(at) or BEGINNING
        trouble: BaseException | None = misfit(envelope, cursor)
        if each.taken:
            return self._learnt(at, envelope, trouble)
        if trouble is TAKEN:
            return self._count("duplicate", _REPLAYED)
        trouble, outcome = trouble or each.broken, _PASSED
        if trouble is None and each.unit is not None:
            outcome = decide(each.unit)
            trouble = outcome.error or outcome.refusal
        if trouble is not None:
            return self._park_stream(at, cursor, each, trouble, write)
        self.moved[at] = Cursor(envelope.version, envelope.hash, parked=False)
        place = (each.record.topic, each.record.partition)
        if not self._places.waits(place, each.record.offset, applied=each.unit is not None):
            self._done.add(at)
        if each.unit is None:
            return self._count("skipped", outcome)
        return self._count("applied", outcome)

    def _learnt(self, at: Source, envelope: Envelope, trouble: BaseException | None) -> Outcome:
        """It was taken or parked before; what its cursor does not say yet, it says."""
        if trouble is None:
            self.moved[at] = Cursor(envelope.version, envelope.hash, parked=False)
        return _REPLAYED

    def _park_stream(self, at: Source, cursor: Cursor, each: Received, trouble: BaseException, write: Write) -> Outcome:
        if not cursor.parked:
            self.moved[at] = Cursor(cursor.version, cursor.hash, parked=True)
            self._done.add(at)
        return self._park(each, trouble, write)

    def _stranger(self, each: Received, decide: Decide, write: Write) -> Outcome:
        """A record without an identity of ours: from outside, or unreadable. It is parked alone."""
        if each.taken:
            return _REPLAYED
        outcome = _PASSED if each.unit is None else decide(each.unit)
        trouble = each.broken or outcome.error or outcome.refusal
        return self._park(each, trouble, write) if trouble else self._count("applied", outcome)

    def _park(self, each: Received, trouble: BaseException, write: Write) -> Outcome:
        self.parked[each.record.topic] += 1
        write.add("parked", parked_row(self._consumer, each.record, each.envelope, trouble))
        return self._count("parked", Outcome(error=trouble))

    def _count(self, result: str, outcome: Outcome) -> Outcome:
        self.results[result] += 1
        return outcome

    def _fence(self, write: Write) -> None:
        """A row for each partition that came further, at a checkpoint for all; neither of the two goes back."""
        for at, end in sorted({**self._places.reading, **self.ends}.items()):
            expected = self._places.stored[at]
            following = max(expected, end)
            if following > expected:
                self.taken[at] = max(self._places.taken[at], following)
            if self._checkpoint:
                self.checkpoints[at] = max(end, self._places.saved[at])
            if self._checkpoint or following > expected:
                position = (self._consumer, at[0], self._epoch, at[1], expected, following)
                stands = (self._places.saved[at], self._places.taken[at])
                write.add("fence", (*position, self.checkpoints.get(at), *stands))
                self.stored[at] = following


def parked_row(consumer: str, record: Record, envelope: Envelope | None, trouble: BaseException) -> Row:
    """The columns of the part `parked`: the record, byte for byte, and why it waits."""
    words = f"{type(trouble).__name__}: {trouble}".encode("utf-8", "backslashreplace").decode()
    error = words.replace("\x00", "\\x00")[:1000]  # whatever a stranger wrote, a text column must hold it
    kind = envelope.event_type if envelope else None
    fingerprint = hashlib.sha256(f"{consumer}|{kind}|{type(trouble).__name__}".encode()).hexdigest()[:16]
    identity = (envelope.stream_id, envelope.version) if envelope else (None, None)
    position = (consumer, record.topic, record.partition, record.offset)
    headers = encode([[name, (value or b"").decode("latin-1")] for name, value in record.headers])
    return (*position, *identity, kind, error, fingerprint, record.key, headers, record.value)


def _by_stream(item: tuple[Source, Cursor]) -> tuple[bytes, str]:
    (source, stream_id), _ = item
    return stream_id.bytes, source


def misfit(envelope: Envelope, cursor: Cursor) -> Exception | None:
    """Why it cannot be the next of its stream; TAKEN when it was taken before."""
    version = envelope.version
    if version < cursor.version or (version == cursor.version and envelope.hash == cursor.hash):
        return TAKEN
    if cursor.parked:
        return Behind("its stream is parked")
    if version == cursor.version:
        return Fork(f"another version {version} than the one taken")
    if version > cursor.version + 1:
        return Gap(f"version {version} after {cursor.version}")
    if envelope.prev_hash != cursor.hash:
        return Fork(f"version {version} does not follow the one taken")
    return None


BEGINNING = Cursor(0, GENESIS, parked=False)
_PASSED, _REPLAYED = Outcome(), Outcome(replayed=True)
TAKEN = Taken()
_NOTHING = Known(at=datetime.min.replace(tzinfo=UTC))


def _nobody(unit: Unit) -> Outcome:
    raise AssertionError("records that only pass ask nothing")
