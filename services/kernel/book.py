"""All SQL of account, entry, posting and balance. Only the ledger registers it.

The write is four parts of the engine's one statement (parts.Part). An entry and its lines are in the same
statement as the event that says so, and a balance is touched once for each account and batch, in account order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from services.kernel.account import Line, Standing
from services.kernel.parts import Part
from services.kernel.store import Row, Write


class Entry(Protocol):
    """A journal entry, as the ledger's event has it."""

    @property
    def entry_id(self) -> UUID: ...
    @property
    def kind(self) -> str: ...
    @property
    def cause_id(self) -> UUID: ...
    @property
    def transfer_id(self) -> UUID | None: ...
    @property
    def lines(self) -> Sequence[Line]: ...
    @property
    def caused_at(self) -> datetime: ...
    @property
    def posted_at(self) -> datetime: ...


class Kind(Protocol):
    """What the chart of accounts says of an account."""

    @property
    def kind(self) -> str: ...
    @property
    def account_class(self) -> str: ...
    @property
    def protected(self) -> bool: ...


Chart = Callable[[str], Kind]  # the account's path -> its kind


def opened(rows: Sequence[Row]) -> list[Row]:
    """The accounts of a batch, each as its first line names it."""
    found: dict[str, Row] = {}
    for row in rows:
        found.setdefault(row[0], row)
    return list(found.values())


def moved(rows: Sequence[Row]) -> list[Row]:
    """The sums of a batch, one row for each account: so many accounts are few, and each is written once."""
    sums: dict[str, Row] = {}
    for account, currency, debit, credit, protected in rows:
        _, _, debited, credited, _ = sums.get(account, _NOTHING)
        sums[account] = (account, currency, debited + debit, credited + credit, protected)
    return list(sums.values())


_NOTHING: Row = ("", "", 0, 0, False)


def counted(rows: Sequence[Row]) -> list[Row]:
    """How many entries a batch has."""
    return [(len(rows),)]


# A row of account, posting and balance for each line, a row of head and entry for each entry. Heads, accounts and
# balances are folded, so they touch fewer rows than they are given; an upsert cannot miss one. All others wait for the
# head's row, so that two lanes never wait for each other, and entries are numbered in the order of their commits.
PARTS: tuple[Part, ...] = (
    Part(
        "head",
        (("entries", "bigint"),),
        """UPDATE book_head b SET entry_seq = b.entry_seq + r.entries FROM {rows}
           RETURNING b.entry_seq - r.entries AS before""",
        None,
        counted,
    ),
    Part(
        "account",
        (
            ("account_id", "text"), ("currency", "text"), ("kind", "text"), ("class", "text"), ("protected", "boolean"),
            ("opened_at", "timestamptz"),
        ),
        """INSERT INTO account (account_id, currency, kind, class, protected, opened_at)
           SELECT account_id, currency, kind, class, protected, opened_at
           FROM head, {rows} ORDER BY account_id ON CONFLICT (account_id) DO NOTHING""",
        None,
        opened,
    ),
    Part(
        "entry",
        (
            ("entry_id", "uuid"), ("cause_id", "uuid"), ("kind", "text"), ("transfer_id", "uuid"),
            ("caused_at", "timestamptz"), ("posted_at", "timestamptz"),
        ),
        """INSERT INTO entry (entry_seq, entry_id, cause_id, kind, transfer_id, caused_at, posted_at)
           SELECT before + row_number() OVER (), entry_id, cause_id, kind, transfer_id, caused_at, posted_at
           FROM head, {rows}
           RETURNING entry_id, entry_seq""",
        None,
    ),
    Part(
        "posting",
        (
            ("entry_id", "uuid"), ("line", "smallint"), ("account_id", "text"), ("currency", "text"), ("side", "text"),
            ("amount_minor", "bigint"),
        ),
        """INSERT INTO posting (entry_seq, line, account_id, currency, side, amount_minor)
           SELECT entry_seq, line, account_id, currency, side, amount_minor
           FROM {rows} JOIN entry USING (entry_id)""",
        None,
    ),
    Part(
        "balance",
        (
            ("account_id", "text"), ("currency", "text"), ("debit_minor", "bigint"), ("credit_minor", "bigint"),
            ("protected", "boolean"),
        ),
        """INSERT INTO balance (account_id, currency, debit_minor, credit_minor, protected)
           SELECT account_id, currency, debit_minor, credit_minor, protected
           FROM head, {rows} ORDER BY account_id
           ON CONFLICT (account_id) DO UPDATE
             SET debit_minor = balance.debit_minor + excluded.debit_minor,
                 credit_minor = balance.credit_minor + excluded.credit_minor""",
        None,
        moved,
    ),
)  # fmt: skip


class Beside(Protocol):
    """Adds the rows of an entry to the write of its event."""

    def __call__(self, entry: Entry, write: Write, before: Any = None, /) -> None:
        """`before` is the stream's state before the event: an entry has none."""


def writer(chart: Chart) -> Beside:
    """What the engine does beside an entry's event: `also_of={EntryPosted: writer(chart)}`."""

    def beside(entry: Entry, write: Write, _before: Any = None) -> None:
        write.add("head", (entry.entry_id,))
        write.add(
            "entry",
            (entry.entry_id, entry.cause_id, entry.kind, entry.transfer_id, entry.caused_at, entry.posted_at),
        )
        for number, line in enumerate(entry.lines, start=1):
            kind, currency, minor = chart(line.account), line.amount.currency, line.amount.minor
            debit, credit = (minor, 0) if line.side == "debit" else (0, minor)
            charted = (kind.kind, kind.account_class, kind.protected)
            write.add("account", (line.account, currency, *charted, entry.posted_at))
            write.add("posting", (entry.entry_id, number, line.account, currency, line.side, minor))
            write.add("balance", (line.account, currency, debit, credit, kind.protected))

    return beside


STANDINGS = "SELECT account_id, debit_minor, credit_minor FROM balance WHERE account_id = ANY($1)"


async def read_standings(connection: Any, accounts: list[str]) -> dict[str, Standing]:
    """All of them; the engine has locked them, and the head of the book before them."""
    found = {row[0]: Standing(row[1], row[2]) for row in await connection.fetch(STANDINGS, accounts)}
    return {account: found.get(account, _NEW) for account in accounts}


_NEW = Standing()


class Reader(Protocol):
    """A connection, a pool or a store: whatever fetches."""

    async def fetch(self, sql: str, /, *values: Any) -> Sequence[Any]:
        """The rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Balance:
    """An account with the sums of its two sides, in minor units."""

    account_id: str
    currency: str
    account_class: str
    protected: bool
    debit_minor: int
    credit_minor: int
    opened_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Total:
    """Both sides of all accounts of a currency. Equal, or the books are broken."""

    currency: str
    debit_minor: int
    credit_minor: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialBalance:
    """All accounts by name, and the totals by currency."""

    accounts: tuple[Balance, ...]
    totals: tuple[Total, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class BookedLine:
    """A posting as it stands in the books."""

    line: int
    account_id: str
    currency: str
    side: str
    amount_minor: int


@dataclass(frozen=True, kw_only=True, slots=True)
class BookedEntry:
    """An entry as it stands in the books, with its lines in order."""

    entry_id: UUID
    cause_id: UUID
    kind: str
    transfer_id: UUID | None
    caused_at: datetime
    posted_at: datetime
    entry_seq: int
    lines: tuple[BookedLine, ...]


_BALANCE = """SELECT a.account_id, a.currency, a.class, a.protected, b.debit_minor, b.credit_minor, a.opened_at
              FROM account a JOIN balance b USING (account_id)"""
BALANCES = f"{_BALANCE} ORDER BY a.account_id"
BALANCE = f"{_BALANCE} WHERE a.account_id = $1"
ENTRIES = """SELECT entry_id, cause_id, kind, transfer_id, caused_at, posted_at, entry_seq,
                    line, account_id, currency, side, amount_minor
             FROM entry JOIN posting USING (entry_seq) WHERE transfer_id = $1
             ORDER BY entry_seq, line"""
DRIFT = """SELECT account_id FROM balance b FULL JOIN (
               SELECT account_id, sum(amount_minor) FILTER (WHERE side = 'debit') AS debit,
                      sum(amount_minor) FILTER (WHERE side = 'credit') AS credit FROM posting GROUP BY account_id
           ) p USING (account_id)
           WHERE (b.debit_minor, b.credit_minor) IS DISTINCT FROM (coalesce(p.debit, 0), coalesce(p.credit, 0))
           ORDER BY account_id"""


async def trial_balance(db: Reader) -> TrialBalance:
    """Every account at one moment: one statement, so totals and accounts belong together."""
    accounts = tuple(map(_balance, await db.fetch(BALANCES)))
    return TrialBalance(accounts=accounts, totals=totals(accounts))


def totals(accounts: Sequence[Balance]) -> tuple[Total, ...]:
    """The sums by currency, in the currencies' order."""
    return tuple(
        Total(
            currency=currency,
            debit_minor=sum(one.debit_minor for one in accounts if one.currency == currency),
            credit_minor=sum(one.credit_minor for one in accounts if one.currency == currency),
        )
        for currency in sorted({one.currency for one in accounts})
    )


async def account(db: Reader, account_id: str) -> Balance | None:
    """The account with its balance; None when nothing was ever posted to it."""
    rows = await db.fetch(BALANCE, account_id)
    return _balance(rows[0]) if rows else None


async def entries(db: Reader, transfer_id: UUID) -> tuple[BookedEntry, ...]:
    """All entries of a transfer in the order of their posting."""
    booked: dict[UUID, BookedEntry] = {}
    lines: dict[UUID, list[BookedLine]] = {}
    for row in await db.fetch(ENTRIES, transfer_id):
        entry_id, cause_id, kind, transfer, caused_at, posted_at, entry_seq, *line = row
        number, account_id, currency, side, minor = line
        lines.setdefault(entry_id, []).append(
            BookedLine(line=number, account_id=account_id, currency=currency, side=side, amount_minor=minor)
        )
        booked[entry_id] = BookedEntry(
            entry_id=entry_id, cause_id=cause_id, kind=kind, transfer_id=transfer, caused_at=caused_at,
            posted_at=posted_at, entry_seq=entry_seq, lines=tuple(lines[entry_id]),
        )  # fmt: skip
    return tuple(booked.values())


async def drift(db: Reader) -> tuple[str, ...]:
    """Accounts whose balance is not the sum of their postings. Empty, or the books are broken."""
    return tuple(row[0] for row in await db.fetch(DRIFT))


def _balance(row: Any) -> Balance:
    account_id, currency, account_class, protected, debit_minor, credit_minor, opened_at = row
    return Balance(
        account_id=account_id, currency=currency, account_class=account_class, protected=protected,
        debit_minor=debit_minor, credit_minor=credit_minor, opened_at=opened_at,
    )  # fmt: skip
