"""The projector: the consumer's loop with a read table as its sink. One read and one upsert for a batch.

A projection lives in versioned tables (`<name>_v<n>`) behind a view of its name. A rebuild is the same loop from the
beginning into the next version, then a swap of the view; whoever reads the view sees one or the other, never both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, get_type_hints
from uuid import UUID

from services.kernel.codec import EventCodec, Upcasts
from services.kernel.consumer import Inbox
from services.kernel.decider import Ask, Cause, Outcome, Unit
from services.kernel.engine import RETRY_SECONDS, Intake
from services.kernel.event_store import PostgresStore
from services.kernel.parts import Part
from services.kernel.store import Conflict, Known, Partition, Position, Unavailable, Write

KEYS_MAX = 100_000  # of rows that stand, remembered; some 15 MiB
_TYPES: Mapping[Any, str] = {
    UUID: "uuid",
    str: "text",
    int: "bigint",
    bool: "boolean",
    bytes: "bytea",
    datetime: "timestamptz",
}


@dataclass(frozen=True)
class Projection:
    """One read table: `key(event)` names the row, `evolve(row, event)` is the row after it (None: no row).

    Where rows are rare (only what is in trouble has one), `opens` names the events that can make one, and `stands` the
    rows that others can change: those others then cost nothing where no row stands.
    """

    name: str
    key_column: str
    row: type
    topic: str
    events: tuple[type, ...]  # all of the topic
    wanted: tuple[type, ...]  # those that change a row
    key: Callable[[Any], UUID]  # all events of a row come from one partition
    evolve: Callable[[Any, Any], Any]
    upcasts: Upcasts = field(default_factory=dict)
    opens: tuple[type, ...] = ()  # of `wanted`; none: every event is asked of its row
    stands: str = "true"  # condition in SQL
    passes: tuple[type, ...] = ()  # events of streams that can never change a row: not even a cursor is kept of them

    def table(self, version: int) -> str:
        """The physical table of a version."""
        return f"{self.name}_v{version}"

    def columns(self) -> tuple[tuple[str, str], ...]:
        """(column, PostgreSQL type), the key first."""
        hints = get_type_hints(self.row)
        return (
            (self.key_column, "uuid"),
            *((each.name, _column_type(hints[each.name])) for each in fields(self.row)),
        )

    def ddl(self, version: int) -> str:
        """What makes the table of a version."""
        return f"CREATE TABLE {self.table(version)} ({self.form()}) WITH (fillfactor = 85)"

    def form(self) -> str:
        """The columns and the key, as CREATE TABLE has them."""
        columns = ", ".join(f"{name} {kind}" for name, kind in self.columns())
        return f"{columns}, PRIMARY KEY ({self.key_column})"

    def consumer(self, service: str, version: int) -> str:
        """The name under which the positions of a version are kept."""
        return f"{service}.{self.name}.v{version}"

    def inbox(self, service: str, version: int, standing: Standing | None = None) -> Inbox:
        """Its own consumer group, per version."""

        def on_event(event: Any, cause: Cause) -> tuple[Ask, ...]:
            key = self.key(event)
            if standing is not None and not standing.concerns(key, opens=isinstance(event, self.opens)):
                return ()
            return (Ask(key, event),)

        codec = EventCodec(self.events, self.upcasts)
        passes = frozenset(each.type for each in self.passes)  # type: ignore[attr-defined]
        wanted = dict.fromkeys(self.wanted, on_event)
        return Inbox(self.consumer(service, version), wanted, {self.topic: codec}, passes=passes)

    def parts(self, version: int) -> tuple[Part, ...]:
        """The upsert and the delete of its rows in the table of a version."""
        return self.parts_of(self.table(version))

    def parts_of(self, table: str) -> tuple[Part, ...]:
        """The same in any table of this form."""
        columns = self.columns()
        names = ", ".join(name for name, _ in columns)
        changes = ", ".join(f"{name} = excluded.{name}" for name, _ in columns[1:])
        key = self.key_column
        upsert = f"""INSERT INTO {table} ({names}) SELECT {names} FROM {{rows}} ORDER BY {key}
                     ON CONFLICT ({key}) DO UPDATE SET {changes} RETURNING 1"""  # noqa: S608 - our own names
        delete = f"DELETE FROM {table} t USING {{rows}} WHERE t.{key} = r.{key} RETURNING 1"  # noqa: S608 - our own names
        return (Part("rows", columns, upsert), Part("gone", columns[:1], delete, None))


def _column_type(hint: Any) -> str:
    for kind, name in _TYPES.items():
        if hint is kind or hint == kind | None:
            return name
    raise TypeError(f"no column type for {hint}")


class Standing:
    """The keys of the rows that stand, and perhaps of more: to ask in vain costs a look, not to ask loses an event.

    Loaded whenever positions are, since another member may have made rows; then it grows by what is read.
    """

    def __init__(self) -> None:
        self._keys: set[UUID] | None = None  # None: not known, or too many: everything is asked

    def load(self, keys: Iterable[UUID]) -> None:
        """These stand in the store."""
        self._keys = set(keys)
        self._bound()

    def concerns(self, key: UUID, *, opens: bool) -> bool:
        """Whether an event with this key must be asked of its row."""
        if self._keys is None or key in self._keys:
            return True
        if opens:
            self._keys.add(key)
            self._bound()
        return opens

    def _bound(self) -> None:
        if self._keys is not None and len(self._keys) > KEYS_MAX:
            self._keys = None


class Projector:
    """Runs a Consumer's batches into a projection's table; it stands where the engine stands for other consumers."""

    def __init__(
        self, store: PostgresStore, projection: Projection, version: int, standing: Standing | None = None
    ) -> None:
        self._store = store
        self._projection = projection
        self._standing = standing
        names = ", ".join(name for name, _ in projection.columns())
        table, key = projection.table(version), projection.key_column
        self._read = f"SELECT {names} FROM {table} WHERE {key} = ANY($1)"  # noqa: S608 - our own names
        self._stands = f"SELECT {key} FROM {table} WHERE {projection.stands} LIMIT {KEYS_MAX + 1}"  # noqa: S608 - ours

    async def assign(self, consumer: str, epoch: int, partitions: Sequence[Partition]) -> dict[Partition, Position]:
        """See consumer.Positions. What stands is read after the positions: what is written in between is in it."""
        found = await self._store.assign(consumer, epoch, partitions)
        if self._standing is not None:
            self._standing.load(row[0] for row in await self._store.fetch(self._stands))
        return found

    async def suspect(self, consumer: str, epoch: int, at: Partition, offset: int) -> int:
        """See consumer.Positions."""
        return await self._store.suspect(consumer, epoch, at, offset)

    async def run(self, intake: Intake) -> list[Outcome]:
        """Apply a batch; Fenced and ContentRefused go to the consumer, conflicts run again.

        Nothing is locked: a row belongs to one partition, and whoever lost that loses the whole write by its fence.
        """
        started = time.monotonic()
        while True:
            try:
                return await self._attempt(intake)
            except Conflict as conflict:
                if time.monotonic() - started > RETRY_SECONDS:
                    raise Unavailable(f"gave up after {RETRY_SECONDS} s: {conflict}") from conflict

    async def _attempt(self, intake: Intake) -> list[Outcome]:
        wanted = intake.wanted()
        keys, wanted.streams = list(wanted.streams), set()
        async with self._store.transaction(locking=False) as transaction:
            known: Known = await transaction.read(wanted)
            found = await transaction.fetch(self._read, keys) if keys else []
            rows = _Rows(self._projection, {row[0]: self._projection.row(*row[1:]) for row in found})
            write = Write(topic="")
            outcomes = intake.decide(known, rows.apply, write)
            rows.finish(write)
            await transaction.write(write)
        return outcomes


class _Rows:
    """The rows of a batch in memory."""

    def __init__(self, projection: Projection, rows: dict[UUID, Any]) -> None:
        self._evolve = projection.evolve
        self._columns = [each.name for each in fields(projection.row)]
        self._rows = rows
        self._stored = set(rows)
        self._moved: set[UUID] = set()

    def apply(self, unit: Unit) -> Outcome:
        """Evolve the rows of one event; an exception parks its stream."""
        try:
            for ask in unit.asks:
                before = self._rows.get(ask.stream_id)
                after = self._evolve(before, ask.command)
                if after is not before:
                    self._rows[ask.stream_id] = after
                    self._moved.add(ask.stream_id)
        except Exception as error:  # noqa: BLE001 - a bug of evolve is its stream's alone
            return Outcome(error=error)
        return _APPLIED

    def finish(self, write: Write) -> None:
        """The rows that moved, in no order: they are nobody else's."""
        for key in self._moved:
            row = self._rows[key]
            if row is not None:
                write.add("rows", (key, *[getattr(row, column) for column in self._columns]))
            elif key in self._stored:
                write.add("gone", (key,))


_APPLIED = Outcome()


async def live_version(store: PostgresStore, name: str) -> int:
    """The version behind the view; LookupError when the projection was never made."""
    rows = await store.fetch("SELECT version FROM projection_registry WHERE name = $1 AND status = 'live'", name)
    if not rows:
        raise LookupError(f"projection {name} has no live version")
    return int(rows[0][0])


def hash_of(projection: Projection) -> str:
    """64 bits over a whole row, as an expression of SQL: what differs by accident is seen, nothing more is asked.

    Of a number PostgreSQL hashes the xor of its halves: 1 and 2^32, -1 and 2^32 - 1 would be the same; so its bytes.
    """
    return f"hash_record_extended(row({', '.join(_hashable(*each) for each in projection.columns())}), 0)"


_BYTES = {"bigint": "int8send", "timestamptz": "timestamptz_send"}


def _hashable(name: str, kind: str) -> str:
    return f"{_BYTES[kind]}({name})" if kind in _BYTES else name


def digest_of(hashed: str) -> str:
    """The query for a digest over `hash` of all rows: the same rows give the same one, in whatever order they lie."""
    return f"SELECT md5(concat_ws(' ', count(*), coalesce(sum(hash), 0))) FROM {hashed}"  # noqa: S608 - our own names


async def digest(store: PostgresStore, projection: Projection, version: int) -> str:
    """That of a version."""
    hashed = f"(SELECT {hash_of(projection)} AS hash FROM {projection.table(version)}) r"  # noqa: S608 - our own names
    return str((await store.fetch(digest_of(hashed)))[0][0])
