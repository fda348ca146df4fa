"""L6: what blocks have settled, against what stands in the books now. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from contracts.ledger.v1 import BlockClosed
from services.ledger.domain.blocks import GENESIS, Digest
from services.ledger.domain.verification import booked_entry


class Settled:
    """A block against the entries that stand in the books now."""

    def __init__(self, said: BlockClosed) -> None:
        self.seq_from, self.seq_to = said.seq_from, said.seq_to
        self._said = said
        self._digest = Digest(bytes.fromhex(said.prev_digest))
        self._entries = self._postings = 0
        self._sums: Counter[tuple[str, str]] = Counter()

    def add(self, entry: Sequence[Any], lines: Sequence[Sequence[Any]]) -> None:
        """The next one, as the columns of its tables."""
        booked = booked_entry(entry, lines)
        self._digest.add(booked)
        self._entries += 1
        self._postings += len(lines)
        for line in booked.lines:
            self._sums[line.currency, line.side] += line.amount_minor

    def differences(self) -> Iterator[str]:
        """What the books say otherwise than the event that closed it."""
        said, block = self._said, f"block {self._said.number} (entries {self.seq_from} to {self.seq_to})"
        if (self._entries, self._postings) != (said.entries, said.postings):
            then = f"{said.entries} entries with {said.postings} postings"
            yield f"{block} had {then}, and has {self._entries} with {self._postings}"
        if _sums(said) != {key: minor for key, minor in self._sums.items() if minor}:
            yield f"{block} has other sums now"
        if self._digest.value().hex() != said.digest:
            yield f"{block} has another digest now: something in it was altered"


def _sums(said: BlockClosed) -> dict[tuple[str, str], int]:
    sums = {(each.currency, "debit"): each.debit_minor for each in said.sums}
    sums |= {(each.currency, "credit"): each.credit_minor for each in said.sums}
    return {key: minor for key, minor in sums.items() if minor}


class BlockRow(NamedTuple):
    """A row of `block`."""

    number: int
    seq_from: int
    seq_to: int
    entries: int
    postings: int
    sums: Mapping[str, Sequence[int]]
    digest: bytes
    prev_digest: bytes


class Blocks:
    """Blocks one after the other, each by its event and its row."""

    def __init__(self) -> None:
        self._number, self._seq_to, self._digest = 0, 0, GENESIS.hex()

    def take(self, said: BlockClosed | None, row: BlockRow | None) -> Iterator[str]:
        """The next one. What of it does not follow, or is not the same in both."""
        number = said.number if said else row.number if row else 0
        if said is None or row is None:
            yield f"block {number} has no {'event' if said is None else 'row'}"
        elif row != _row_of(said):
            yield f"the row of block {number} is not what its event says"
        if said is None:
            return
        if (said.number, said.seq_from, said.prev_digest) != (self._number + 1, self._seq_to + 1, self._digest):
            yield f"block {number} does not follow block {self._number}"
        self._number, self._seq_to, self._digest = said.number, said.seq_to, said.digest


def _row_of(said: BlockClosed) -> BlockRow:
    sums = {each.currency: [each.debit_minor, each.credit_minor] for each in said.sums}
    return BlockRow(
        said.number, said.seq_from, said.seq_to, said.entries, said.postings, sums, bytes.fromhex(said.digest),
        bytes.fromhex(said.prev_digest),
    )  # fmt: skip
