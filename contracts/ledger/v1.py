"""What the ledger says: journal entries, each with its cause. Stored, published and read in this form."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from services.kernel.money import Money
from services.kernel.value import value

Side = Literal["debit", "credit"]


@value(kw_only=True)
class Posting:
    """One line of an entry: `amount` on one side of `account`."""

    account: str  # a readable path: customer:<id>:held:GBP
    side: Side
    amount: Money


@value(kw_only=True)
class EntryPosted:
    """A journal entry: its lines balance in each currency. One cause, one entry."""

    type: ClassVar[str] = "corridor.ledger.entry_posted.v1"
    entry_id: UUID  # uuid5 of the cause and the kind
    kind: str  # "deposit.observed", "transfer.funding_confirmed", ...
    cause_id: UUID  # the event that caused it
    transfer_id: UUID | None
    lines: tuple[Posting, ...]
    caused_at: datetime
    posted_at: datetime


LedgerEvent = EntryPosted
EVENTS = (EntryPosted,)
