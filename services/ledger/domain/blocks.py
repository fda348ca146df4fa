"""Blocks: which entries are settled for ever, and a digest that says so. Pure.

A block is a run of entries by their numbers, and follows the one before it without a gap. Its digest is the SHA-256 of

    prev_digest (32 bytes; of the first block 32 zeros)
    then for each entry, by `entry_seq` ascending, `canonical(entry)`

so the digest of the last block covers the whole book up to there. `canonical` is one line of JSON, in UTF-8, without
blanks, and a line feed behind it:

    [entry_seq,"entry_id","cause_id","kind","transfer_id"|null,"caused_at","posted_at",
     [[line,"account_id","currency","side",amount_minor],...]]

Ids are in lower case with hyphens. Times are UTC with six digits of a second: 2026-03-01T12:00:00.000000+00:00. Lines
are ordered by their number, amounts are minor units.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import ClassVar, Protocol
from uuid import UUID

from contracts.ledger.v1 import BlockClosed, CurrencySums
from services.kernel.ids import derive
from services.kernel.value import value

BLOCKS = derive("blocks")  # the one stream whose events are the blocks: version n closes block n
GENESIS = bytes(32)


class Line(Protocol):
    """A posting as the table has it."""

    @property
    def line(self) -> int: ...
    @property
    def account_id(self) -> str: ...
    @property
    def currency(self) -> str: ...
    @property
    def side(self) -> str: ...
    @property
    def amount_minor(self) -> int: ...


class Booked(Protocol):
    """An entry as the tables have it (kernel.book.BookedEntry is one)."""

    @property
    def entry_seq(self) -> int: ...
    @property
    def entry_id(self) -> UUID: ...
    @property
    def cause_id(self) -> UUID: ...
    @property
    def kind(self) -> str: ...
    @property
    def transfer_id(self) -> UUID | None: ...
    @property
    def caused_at(self) -> datetime: ...
    @property
    def posted_at(self) -> datetime: ...
    @property
    def lines(self) -> Sequence[Line]: ...


_line_of_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def canonical(entry: Booked) -> bytes:
    """The bytes of an entry with its lines, by which it goes into a digest; see the top of this file."""
    transfer = None if entry.transfer_id is None else str(entry.transfer_id)
    lines = [(each.line, each.account_id, each.currency, each.side, each.amount_minor) for each in entry.lines]
    row = (
        entry.entry_seq, str(entry.entry_id), str(entry.cause_id), entry.kind, transfer,
        _instant(entry.caused_at), _instant(entry.posted_at), lines,
    )  # fmt: skip
    return _line_of_json(row).encode() + b"\n"


def _instant(at: datetime) -> str:
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    return utc.isoformat(timespec="microseconds")


class Digest:
    """A block's digest while its entries come."""

    def __init__(self, prev_digest: bytes) -> None:
        """`prev_digest` of the block before, or GENESIS."""
        self._hash = sha256(prev_digest)

    def add(self, entry: Booked) -> None:
        """The next entry."""
        self._hash.update(canonical(entry))

    def value(self) -> bytes:
        """Of all that were added; 32 bytes."""
        return self._hash.digest()


def digest(prev_digest: bytes, entries: Iterable[Booked]) -> bytes:
    """That of a block of these entries, in order."""
    running = Digest(prev_digest)
    for entry in entries:
        running.add(entry)
    return running.value()


@value(kw_only=True)
class CloseBlock:
    """What was read of the entries that follow the last block."""

    number: int
    seq_from: int
    seq_to: int
    entries: int
    postings: int
    sums: tuple[CurrencySums, ...]
    digest: bytes
    prev_digest: bytes
    differences: int


@value(kw_only=True)
class Closed:
    """The last block."""

    state: ClassVar[str] = "CLOSED"

    number: int
    seq_to: int
    digest: str


Blocks = Closed | None  # None: nothing is settled yet
STAGES = (Closed,)
COMMANDS = (CloseBlock,)
TRANSITIONS = (("-", BlockClosed, "CLOSED", ""), ("CLOSED", BlockClosed, "CLOSED", ""))
FIRST = Closed(number=0, seq_to=0, digest=GENESIS.hex())  # what the first block follows


def decide(blocks: Blocks, command: CloseBlock, at: datetime) -> tuple[BlockClosed, ...]:
    """The next block, or nothing when another process has closed one meanwhile."""
    last = blocks or FIRST
    if command.number != last.number + 1:
        return ()
    assert command.seq_from == last.seq_to + 1 <= command.seq_to, "a block begins behind the one before it"
    assert command.prev_digest.hex() == last.digest, "a block is chained to the one before it"
    closed = BlockClosed(
        number=command.number, seq_from=command.seq_from, seq_to=command.seq_to, entries=command.entries,
        postings=command.postings, sums=command.sums, digest=command.digest.hex(), prev_digest=last.digest,
        differences=command.differences, closed_at=at,
    )  # fmt: skip
    return (closed,)


def evolve(_blocks: Blocks, event: BlockClosed) -> Closed:
    """Believes every stored event."""
    return Closed(number=event.number, seq_to=event.seq_to, digest=event.digest)
