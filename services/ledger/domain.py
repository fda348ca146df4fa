"""Which lines a fact makes in the books. Facts are posted, never refused. Pure: no clock, no randomness, no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Literal, NamedTuple
from uuid import UUID

from contracts.ledger.v1 import EntryPosted, LedgerEvent, Posting, Side
from services.kernel.money import Money
from services.kernel.value import value


class AccountKind(NamedTuple):
    """A line of the chart of accounts. `protected`: its credits never fall below its debits."""

    account_class: Literal["asset", "liability", "position", "revenue", "expense"]
    normal: Side
    protected: bool = False


CHART: Mapping[str, AccountKind] = {  # by the beginning of the account's path; the last part is always the currency
    "safeguarding": AccountKind("asset", "debit"),  # customers' money at <partner>
    "partner_float": AccountKind("asset", "debit"),  # our money at <partner>, from which it pays out
    "suspense:deposits": AccountKind("liability", "credit"),  # arrived, not explained yet
    "customer": AccountKind("liability", "credit", protected=True),  # <customer>:held: theirs until it is paid out
    "payout_clearing": AccountKind("liability", "credit"),  # initiated, not confirmed yet
    "fx_position": AccountKind("position", "debit"),
    "revenue": AccountKind("revenue", "credit"),
    "loss": AccountKind("expense", "debit"),
}


class Leg(NamedTuple):
    """A line of an entry to be: `amount` names one of the fact's amounts, whose currency ends the account's path."""

    side: Side
    account: str
    amount: str


POSTINGS: Mapping[str, tuple[Leg, ...]] = {  # cause -> lines; states.md, last section. Lines of nothing are left out
    "deposit.observed": (
        Leg("debit", "safeguarding:{partner}", "amount"),
        Leg("credit", "suspense:deposits", "amount"),
    ),
    "transfer.funding_confirmed": (
        Leg("debit", "suspense:deposits", "received"),
        Leg("debit", "loss:tolerance", "short"),
        Leg("credit", "customer:{customer}:held", "send"),
        Leg("credit", "revenue:tolerance", "over"),
    ),
    "transfer.payout_initiated": (
        Leg("debit", "customer:{customer}:held", "send"),
        Leg("credit", "revenue:fees", "fee"),
        Leg("credit", "revenue:fx", "spread"),
        Leg("credit", "fx_position", "converted"),
        Leg("debit", "fx_position", "receive"),
        Leg("credit", "payout_clearing", "receive"),
    ),
    "payout.confirmed": (
        Leg("debit", "payout_clearing", "receive"),
        Leg("credit", "partner_float:{partner}", "receive"),
    ),
}


@value(kw_only=True)
class PostEntry:
    """A fact to be booked. `lines` come from `lines()`."""

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


def lines(kind: str, names: Mapping[str, str], amounts: Mapping[str, Money]) -> tuple[Posting, ...]:
    """The lines that POSTINGS has for `kind`, without those of nothing."""
    return tuple(
        Posting(
            account=f"{leg.account.format_map(names)}:{amounts[leg.amount].currency}",
            side=leg.side,
            amount=amounts[leg.amount],
        )
        for leg in POSTINGS[kind]
        if amounts[leg.amount]
    )


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
        assert line.account.rpartition(":")[2] == line.amount.currency, f"{line.amount} in {line.account}"
        account_kind(line.account)
    assert not any(imbalance(postings).values()), f"debits differ from credits: {imbalance(postings)}"


def imbalance(postings: tuple[Posting, ...]) -> dict[str, int]:
    """Debits less credits in minor units, by currency. All zero, or the entry is none."""
    difference: Counter[str] = Counter()
    for line in postings:
        difference[line.amount.currency] += line.amount.minor if line.side == "debit" else -line.amount.minor
    return dict(difference)


def account_kind(account: str) -> AccountKind:
    """The chart's line for an account's path. KeyError for a path outside the chart, which is our bug."""
    first, second, *_ = [*account.split(":"), ""]
    return CHART[first] if first in CHART else CHART[f"{first}:{second}"]


def evolve(entry: Entry, event: LedgerEvent) -> Entry:
    """Believes every stored event."""
    assert entry is None, "an entry is posted once"
    return Posted(kind=event.kind, cause_id=event.cause_id)
