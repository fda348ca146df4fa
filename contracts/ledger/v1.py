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


@value(kw_only=True)
class HoldPlaced:
    """Money of a customer is set aside: nobody else can use it until the hold is resolved, once."""

    type: ClassVar[str] = "corridor.ledger.hold_placed.v1"
    hold_id: UUID
    customer_id: UUID
    amount: Money
    due_at: datetime  # unresolved by then, a person is called
    entry_id: UUID
    kind: str  # "hold.placed"
    cause_id: UUID
    transfer_id: UUID | None
    lines: tuple[Posting, ...]
    caused_at: datetime
    posted_at: datetime


@value(kw_only=True)
class HoldRefused:
    """The customer had less than was asked for. Nothing is posted."""

    type: ClassVar[str] = "corridor.ledger.hold_refused.v1"
    hold_id: UUID
    customer_id: UUID
    amount: Money
    available: Money  # at that moment
    cause_id: UUID
    refused_at: datetime


@value(kw_only=True)
class HoldPosted:
    """The hold is used: `amount` of it leaves, the rest is the customer's again."""

    type: ClassVar[str] = "corridor.ledger.hold_posted.v1"
    hold_id: UUID
    customer_id: UUID
    amount: Money  # more than nothing, no more than was held
    entry_id: UUID
    kind: str  # "hold.posted"
    cause_id: UUID
    transfer_id: UUID | None
    lines: tuple[Posting, ...]
    caused_at: datetime
    posted_at: datetime


@value(kw_only=True)
class HoldVoided:
    """The hold is given up: all of it is the customer's again."""

    type: ClassVar[str] = "corridor.ledger.hold_voided.v1"
    hold_id: UUID
    customer_id: UUID
    entry_id: UUID
    kind: str  # "hold.voided"
    cause_id: UUID
    transfer_id: UUID | None
    lines: tuple[Posting, ...]
    caused_at: datetime
    posted_at: datetime


@value(kw_only=True)
class HoldOverdue:
    """Nobody resolved the hold in time. It stays: a person decides."""

    type: ClassVar[str] = "corridor.ledger.hold_overdue.v1"
    hold_id: UUID
    customer_id: UUID
    amount: Money
    since: datetime
    queue: str


@value(kw_only=True)
class AdjustmentProposed:
    """One person wants these lines in the books. Nothing is posted until another one approves."""

    type: ClassVar[str] = "corridor.ledger.adjustment_proposed.v1"
    adjustment_id: UUID
    lines: tuple[Posting, ...]
    transfer_id: UUID | None
    reason: str
    evidence: str  # where the proof is: a ticket, a document; no personal data
    proposed_by: str
    proposed_at: datetime
    due_at: datetime  # undecided by then, it is over


@value(kw_only=True)
class Adjusted:
    """Another person has approved: the lines are in the books."""

    type: ClassVar[str] = "corridor.ledger.adjusted.v1"
    adjustment_id: UUID
    approved_by: str
    reason: str
    entry_id: UUID
    kind: str  # "ledger.adjusted"
    cause_id: UUID
    transfer_id: UUID | None
    lines: tuple[Posting, ...]
    caused_at: datetime
    posted_at: datetime


@value(kw_only=True)
class AdjustmentRejected:
    """Somebody has said no, or who proposed it has taken it back."""

    type: ClassVar[str] = "corridor.ledger.adjustment_rejected.v1"
    adjustment_id: UUID
    rejected_by: str
    reason: str
    rejected_at: datetime


@value(kw_only=True)
class AdjustmentExpired:
    """Nobody decided in time."""

    type: ClassVar[str] = "corridor.ledger.adjustment_expired.v1"
    adjustment_id: UUID
    expired_at: datetime


@value(kw_only=True)
class CurrencySums:
    """Both sides of all postings of a block in one currency, in minor units. Equal, or the block is broken."""

    currency: str
    debit_minor: int
    credit_minor: int


@value(kw_only=True)
class Difference:
    """Something that is not as it must be in the books. `check` is a name of docs/decisions/0026."""

    check: str
    subject: str  # what it was found at: "entry 57", "block 3", an account
    journal: UUID | None  # the entry, where one can be named
    found: str  # how it differs; part of what tells two differences apart
    difference_minor: int  # by how many minor units, without sign; 0 where no amount can be said


@value(kw_only=True)
class BlockClosed:
    """Entries that are settled for ever, with a digest over them and all before: the anchor outside of the tables."""

    type: ClassVar[str] = "corridor.ledger.block_closed.v1"
    number: int  # from 1, without gaps
    seq_from: int  # entry_seq of its first entry
    seq_to: int
    entries: int
    postings: int
    sums: tuple[CurrencySums, ...]
    digest: str  # SHA-256 in hex; services/ledger/domain/blocks.py says of which bytes
    prev_digest: str  # of the block before; 64 zeros for the first one
    differences: int  # found while it was closed; each is in a currency_halted
    closed_at: datetime


@value(kw_only=True)
class CurrencyHalted:
    """The books are wrong in this currency: no new money moves in it until two people say so."""

    type: ClassVar[str] = "corridor.ledger.currency_halted.v1"
    halt_id: UUID  # uuid5 of "halt" and the currency
    currency: str
    difference_minor: int  # the largest of what was found now, without sign
    journals: tuple[UUID, ...]  # entries concerned; 100 at most
    differences: tuple[Difference, ...]  # found now for the first time; 100 at most
    found_at: datetime


@value(kw_only=True)
class LiftRequested:
    """One person wants money to move again."""

    type: ClassVar[str] = "corridor.ledger.lift_requested.v1"
    halt_id: UUID
    currency: str
    requested_by: UUID
    reason: str
    requested_at: datetime


@value(kw_only=True)
class CurrencyResumed:
    """Another person agrees: money moves again. What was found stays known, and halts nothing again."""

    type: ClassVar[str] = "corridor.ledger.currency_resumed.v1"
    halt_id: UUID
    currency: str
    requested_by: UUID
    approved_by: UUID
    reason: str
    resumed_at: datetime


HoldEvent = HoldPlaced | HoldRefused | HoldPosted | HoldVoided | HoldOverdue
AdjustmentEvent = AdjustmentProposed | Adjusted | AdjustmentRejected | AdjustmentExpired
HOLD_EVENTS = (HoldPlaced, HoldRefused, HoldPosted, HoldVoided, HoldOverdue)
HaltEvent = CurrencyHalted | LiftRequested | CurrencyResumed
HALT_EVENTS = (CurrencyHalted, LiftRequested, CurrencyResumed)
ADJUSTMENT_EVENTS = (AdjustmentProposed, Adjusted, AdjustmentRejected, AdjustmentExpired)
BOOKED = (EntryPosted, HoldPlaced, HoldPosted, HoldVoided, Adjusted)  # those that are an entry
LedgerEvent = EntryPosted
EVENTS = (EntryPosted, *HOLD_EVENTS, *ADJUSTMENT_EVENTS, BlockClosed, *HALT_EVENTS)
