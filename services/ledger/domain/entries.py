"""Journal entries: a fact is posted, never refused. Pure: no clock, no randomness, no I/O."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from contracts.ledger.v1 import EntryPosted, LedgerEvent, Posting
from services.kernel.value import value
from services.ledger.domain.chart import account_kind, currency_of


@value(kw_only=True)
class PostEntry:
    """A fact to be booked. `lines` come from `templates.lines()`."""

    entry_id: UUID
    kind: str
    cause_id: UUID
    transfer_id: UUID | None
    lines: tuple[Posting, ...]
    caused_at: datetime


@value(kw_only=True)
class Posted:
    """The entry stands for ever; what it says is in the books."""

    state: ClassVar[str] = "POSTED"

    kind: str
    cause_id: UUID


Entry = Posted | None  # None: no such entry
STAGES = (Posted,)
TRANSITIONS = (("-", EntryPosted, "POSTED", ""),)  # (state, event, next state, deadline); POSTED is terminal


def decide(entry: Entry, command: PostEntry, at: datetime) -> tuple[LedgerEvent, ...]:
    """One entry for each cause and kind; the same cause again posts nothing."""
    if entry is not None:
        return ()
    check(command.lines)
    posted = EntryPosted(
        entry_id=command.entry_id, kind=command.kind, cause_id=command.cause_id, transfer_id=command.transfer_id,
        lines=command.lines, caused_at=command.caused_at, posted_at=at,
    )  # fmt: skip
    return (posted,)


def check(postings: tuple[Posting, ...]) -> None:
    """What must hold before SQL sees an entry. Lines come from our own table, so a failure is our bug."""
    assert len(postings) >= 2, "an entry has two lines or more"
    for line in postings:
        assert line.amount, f"nothing posted to {line.account}"
        assert currency_of(line.account) == line.amount.currency, f"{line.amount} in {line.account}"
        account_kind(line.account)
    assert not any(imbalance(postings).values()), f"debits differ from credits: {imbalance(postings)}"


def imbalance(postings: tuple[Posting, ...]) -> dict[str, int]:
    """Debits less credits in minor units, by currency. All zero, or the entry is none."""
    difference: Counter[str] = Counter()
    for line in postings:
        difference[line.amount.currency] += line.amount.minor if line.side == "debit" else -line.amount.minor
    return dict(difference)


def evolve(entry: Entry, event: LedgerEvent) -> Entry:
    """Believes every stored event."""
    assert entry is None, "an entry is posted once"
    return Posted(kind=event.kind, cause_id=event.cause_id)
