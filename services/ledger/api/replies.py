"""What the books answer. Amounts are minor units with their currency."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from services.kernel.pages import PageReply
from services.kernel.strict_json import Body

Side = Literal["debit", "credit"]
NORMAL = "the side on which the account grows: debit for assets and expenses, credit for what is owed and for revenue"
BALANCE = "on its normal side, so usually above 0; below 0 it stands on the other side"


class LinksReply(Body):
    """Where it is explained."""

    entry: str = Field(description="the whole entry, with the event that says it")
    timeline: str | None = Field(description="the story of the transfer with the event `cause_id`; null without one")


class LineReply(Body):
    """One posting."""

    account_id: str
    side: Side
    amount_minor: int
    currency: str


class EntryReply(Body):
    """A balanced journal entry, with the event that caused it."""

    entry_id: UUID
    entry_seq: int = Field(description="its number: without gaps, in the order of commits")
    kind: str
    cause_id: UUID = Field(description="the event that caused it")
    transfer_id: UUID | None
    caused_at: datetime
    posted_at: datetime
    lines: list[LineReply]
    links: LinksReply


class EntriesReply(Body):
    """The entries of a transfer in the order of their posting."""

    transfer_id: UUID
    entries: list[EntryReply]


class EntriesPage(PageReply):
    """Entries, newest first."""

    items: list[EntryReply]


class SaidReply(Body):
    """The event by which the entry was posted, as it is stored."""

    event_id: UUID
    global_seq: int = Field(description="its place in the ledger's store")
    correlation_id: UUID = Field(description="what it belongs to: mostly the transfer")
    actor: str
    reason: str | None
    recorded_at: datetime
    hash: str = Field(description="of its stream's chain; 64 hex digits")


class WholeEntryReply(EntryReply):
    """An entry with the event that says it."""

    event: SaidReply | None = Field(description="null: the books are broken")


class MomentReply(Body):
    """The books behind an entry: all entries up to this number. 0 and null: before the first one."""

    entry_seq: int
    posted_at: datetime | None


class CauseReply(Body):
    """What made a number what it is: the last entry with a line on the account."""

    entry_id: UUID
    entry_seq: int
    kind: str
    cause_id: UUID = Field(description="the event that caused it")
    transfer_id: UUID | None
    posted_at: datetime
    links: LinksReply


class AccountReply(Body):
    """An account with both sides and its balance."""

    account_id: str
    kind: str = Field(description="its line in the chart of accounts")
    account_class: str
    normal_side: Side = Field(description=NORMAL)
    owner: Literal["customer", "partner", "corridor"] = Field(description="who is asked about it")
    currency: str
    protected: bool = Field(description="it may never be overdrawn")
    debit_minor: int
    credit_minor: int
    balance_minor: int = Field(description=BALANCE)
    opened_at: datetime


class AccountsPage(PageReply):
    """Accounts in the order of their ids."""

    items: list[AccountReply]


class WalletReply(Body):
    """A customer's money in one currency, of the same moment: what can be used, and what a transfer or a hold has."""

    available_minor: int
    held_minor: int


class AccountAsOfReply(AccountReply):
    """An account at a moment of the books."""

    as_of: MomentReply
    cause: CauseReply | None = Field(description="the last entry on it; null when there was none yet")
    wallet: WalletReply | None = Field(description="null for accounts that are no customer's")


class StandReply(Body):
    """The account at one end of a statement."""

    entry_seq: int
    posted_at: datetime | None
    debit_minor: int
    credit_minor: int
    balance_minor: int = Field(description=BALANCE)


class StatementLineReply(Body):
    """A posting with the balance behind it."""

    entry_seq: int
    line: int
    entry_id: UUID
    kind: str
    side: Side
    amount_minor: int
    balance_minor: int = Field(description=BALANCE)
    cause_id: UUID = Field(description="the event that caused it")
    transfer_id: UUID | None
    caused_at: datetime
    posted_at: datetime
    links: LinksReply


class StatementReply(PageReply):
    """What moved an account behind `opening`, up to `closing`; both are the same on every page."""

    account_id: str
    currency: str
    normal_side: Side = Field(description=NORMAL)
    opening: StandReply
    closing: StandReply
    items: list[StatementLineReply]


class CurrencyTotal(Body):
    """Both sides of all accounts of a currency."""

    currency: str
    debit_minor: int
    credit_minor: int
    difference_minor: int = Field(description="0, or the books are broken")


class KindTotal(Body):
    """Both sides of all accounts of a kind in a currency."""

    kind: str
    class_: str = Field(alias="class")
    normal_side: Side
    currency: str
    accounts: int
    debit_minor: int
    credit_minor: int
    balance_minor: int = Field(description=BALANCE)


class AccountTotal(Body):
    """Both sides of one account."""

    account_id: str
    currency: str
    class_: str = Field(alias="class")
    debit_minor: int
    credit_minor: int
    balance_minor: int = Field(description=BALANCE)


class TrialBalanceReply(Body):
    """Both sides of everything at one moment of the books."""

    as_of: MomentReply
    currencies: list[CurrencyTotal]
    kinds: list[KindTotal]
    accounts: list[AccountTotal] = Field(
        description="those of partners and of ours; customers' are summed up in `kinds`, and listed by "
        "`GET /v1/ledger/accounts?owner=customer`"
    )
