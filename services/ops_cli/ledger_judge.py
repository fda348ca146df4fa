"""Who judges the books for `ledger verify`: the ledger's own domain and handlers, put beside stored events and rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from contracts import topics
from contracts.ledger.v1 import BOOKED, EVENTS, BlockClosed, EntryPosted
from contracts.transfer.v1 import PayoutInitiated, TransferOpened
from contracts.upcasts import UPCASTS
from services.kernel.book_check import Finding
from services.kernel.book_fold import Judged, Read, hash_of
from services.kernel.codec import GENESIS, EventCodec, decode_meta
from services.kernel.decider import Cause
from services.kernel.envelope import StoredEvent
from services.kernel.ids import derive
from services.kernel.migrations.run import SCHEMAS
from services.ledger import handlers
from services.ledger.domain.entries import PostEntry
from services.ledger.domain.settled import Settled
from services.ledger.domain.verification import (
    ASKED,
    BookedEntry,
    Exchange,
    against_cause,
    against_event,
    booked_entry,
    exchanged,
)

HEARD = (topics.DEPOSIT, topics.TRANSFER, topics.PAYOUT)


class LedgerJudge:
    """See book_fold.Judge. Keeps nothing between two ranges."""

    def __init__(self) -> None:
        self._own = EventCodec(EVENTS, UPCASTS)
        self._codecs = {SCHEMAS[topic.writer]: EventCodec(topic.events, UPCASTS) for topic in HEARD}
        self.own_types = [kind.type for kind in BOOKED]
        self.block_type = BlockClosed.type
        self.sources = {
            SCHEMAS[topic.writer]: [kind.type for kind in topic.events if kind in handlers.CONSUMES]  # type: ignore[attr-defined]
            for topic in HEARD
        }
        self.terms = SCHEMAS[topics.TRANSFER.writer]
        self._said: dict[UUID, Any] = {}  # of the range in hand, by event id

    def read(self, own: Sequence[StoredEvent]) -> tuple[list[UUID], list[UUID]]:
        """See Judge."""
        self._said.clear()
        for event in own:
            try:
                self._said[event.event_id] = self._own.decode(event.event_type, event.data)
            except ValueError:
                continue  # told where it is judged
        said = self._said.values()
        return [each.entry_id for each in said], [each.cause_id for each in said if _is_of_a_fact(each)]

    def streams(self, causes: Iterable[tuple[str, StoredEvent]]) -> list[UUID]:
        """See Judge."""
        return [event.stream_id for _, event in causes if event.event_type == PayoutInitiated.type]

    def judge(self, read: Read, judged: Judged) -> None:
        """See Judge."""
        last: tuple[Any, int] | None = None
        for event in read.own:
            booked = self._own_event(event, read, judged)
            if booked is None:
                continue
            if last is not None and last[0] == event.recorded_at and booked.entry_seq <= last[1]:
                what = f"is event {event.global_seq}, and comes before an entry of the same commit that is older"
                judged.add("L10a", _entry(booked, what))
            last = (event.recorded_at, booked.entry_seq)

    def settling(self, event: StoredEvent) -> Settled:
        """See Judge."""
        return Settled(self._own.decode(event.event_type, event.data))

    def makes(self, schema: str, event: StoredEvent) -> list[UUID]:
        """See Judge."""
        return list(_commands(self._codecs[schema].decode(event.event_type, event.data), event))

    def _own_event(self, event: StoredEvent, read: Read, judged: Judged) -> BookedEntry | None:
        said = self._said.get(event.event_id)
        where = str(event.event_id)
        if not _is_as_hashed(event) or (event.version == 1 and event.prev_hash != GENESIS):
            judged.add("L10a", Finding("event", where, "its hash is not that of its bytes"))
        if said is None:
            judged.add("L10a", Finding("event", where, f"{event.event_type} cannot be read"))
            return None
        if event.stream_id != said.entry_id and said.entry_id != derive("entry", event.stream_id, said.kind):
            judged.add("L10a", Finding("event", where, f"says entry {said.entry_id} in the stream {event.stream_id}"))
        row = read.entries.get(said.entry_id)
        if row is None:
            judged.add("L10a", Finding("event", where, f"says entry {said.entry_id}, which is not in the books"))
            booked = None
        else:
            booked = booked_entry(row, read.lines[row[0]])
            for what in against_event(booked, said):
                judged.add("L10a", _entry(booked, what))
        if _is_of_a_fact(said):
            self._cause(said, booked, read, judged)
        elif isinstance(said, EntryPosted) and said.entry_id != derive("entry", said.cause_id, said.kind):
            judged.add("L10b", Finding("event", where, f"entry {said.entry_id} does not follow from its cause"))
        return booked

    def _cause(self, said: EntryPosted, booked: BookedEntry | None, read: Read, judged: Judged) -> None:
        """The fact behind an entry, put through the handlers again."""
        found = read.causes.get(said.cause_id)
        if found is None:
            what = f"no such fact in {', '.join(self.sources)}: entry {said.entry_id} came from nothing"
            judged.add("L10b", Finding("event", str(said.cause_id), what))
            return
        schema, event = found
        if not _is_as_hashed(event):
            judged.add("L10b", Finding("event", str(event.event_id), "its hash is not that of its bytes"))
        try:
            fact = self._codecs[schema].decode(event.event_type, event.data)
            commands = _commands(fact, event)
        except Exception as error:  # noqa: BLE001 - whatever somebody wrote into the table
            what = f"{event.event_type} cannot be read: {type(error).__name__}: {error}"[:200]
            judged.add("L10b", Finding("event", str(event.event_id), what))
            return
        wanted = commands.pop(said.entry_id, None)
        if wanted is None:
            judged.add("L10b", Finding("event", str(event.event_id), f"makes no entry {said.entry_id}"))
        elif booked is not None:
            for what in against_cause(booked, wanted):
                judged.add("L10b", _entry(booked, what))
        judged.awaited += [(entry_id, event.event_id) for entry_id in commands]
        if isinstance(fact, PayoutInitiated):
            self._exchange(schema, fact, event, read, judged)

    def _exchange(self, schema: str, took: PayoutInitiated, event: StoredEvent, read: Read, judged: Judged) -> None:
        where, first = str(event.event_id), read.firsts.get(event.stream_id)
        judged.exchanges += 1
        if first is None:
            judged.add("L8", Finding("event", where, f"the stream {event.stream_id} has no beginning"))
            return
        terms = self._codecs[schema].decode(first.event_type, first.data)
        if not isinstance(terms, TransferOpened):
            judged.add("L8", Finding("event", where, f"its stream begins with {first.event_type}"))
            return
        for what in exchanged(_exchange(took), _exchange(terms), terms.rate):
            judged.add("L8", Finding("event", where, what))


def judge() -> LedgerJudge:
    """For book_fold.Place."""
    return LedgerJudge()


def _commands(fact: Any, event: StoredEvent) -> dict[UUID, PostEntry]:
    """By entry id: what the ledger makes of this fact."""
    handler = handlers.CONSUMES.get(type(fact))
    if handler is None:
        return {}
    asks = handler(fact, _cause_of(event))
    return {ask.command.entry_id: ask.command for ask in asks if isinstance(ask.command, PostEntry)}


def _is_of_a_fact(said: Any) -> bool:
    """Whether an event of another service makes this entry; else somebody has asked the ledger for it."""
    return isinstance(said, EntryPosted) and said.kind not in ASKED


def _entry(booked: BookedEntry, what: str) -> Finding:
    return Finding("entry", str(booked.entry_seq), what)


def _exchange(fact: PayoutInitiated | TransferOpened) -> Exchange:
    return Exchange(fact.send, fact.fee, fact.spread, fact.converted, fact.receive)


def _is_as_hashed(event: StoredEvent) -> bool:
    try:
        return hash_of(event) == event.hash
    except ValueError:
        return False


def _cause_of(event: StoredEvent) -> Cause:
    meta = decode_meta(event.meta)
    return Cause(
        event_id=event.event_id, event_type=event.event_type, stream_id=event.stream_id, version=event.version,
        tenant=meta.tenant, correlation_id=meta.correlation_id, occurred_at=event.occurred_at,
    )  # fmt: skip
