"""bookings: what the ledger has of each transfer, by kind of entry and account. Rebuilt from the topic.

Entries of one transfer are records of one key, so one row may sum them up; an entry without a transfer is its own row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from contracts.ledger.v1 import EntryPosted
from contracts.topics import LEDGER
from contracts.upcasts import UPCASTS
from services.kernel.codec import decoder, encode
from services.kernel.projector import Projection

booked_of = decoder(dict[str, dict[str, int]])  # what the column `booked` holds


@dataclass(frozen=True, slots=True)
class BookingRow:
    """The entries of one transfer, or one entry of none."""

    transfer_id: UUID | None
    booked: bytes  # JSON: debits less credits in minor units, by kind and account
    moved_at: datetime


def key(event: EntryPosted) -> UUID:
    """The transfer, or the entry where there is none."""
    return event.transfer_id or event.entry_id


def evolve(row: BookingRow | None, event: EntryPosted) -> BookingRow:
    """The row with one entry more."""
    booked: Mapping[str, dict[str, int]] = booked_of(row.booked) if row else {}
    lines = dict(booked.get(event.kind, {}))
    for line in event.lines:
        signed = line.amount.minor if line.side == "debit" else -line.amount.minor
        lines[line.account] = lines.get(line.account, 0) + signed
    return BookingRow(event.transfer_id, encode({**booked, event.kind: lines}), event.posted_at)


PROJECTION = Projection(
    name="bookings",
    key_column="booking_id",
    row=BookingRow,
    topic=LEDGER.name,
    events=LEDGER.events,
    wanted=(EntryPosted,),
    key=key,
    evolve=evolve,
    upcasts=UPCASTS,
)
