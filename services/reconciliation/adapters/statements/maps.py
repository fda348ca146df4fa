"""deploy/statement-maps.json: whose statements we take, of which accounts, and how their CSV is to be read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from services.reconciliation.domain.statements.checks import Calendar
from services.reconciliation.domain.statements.shape import BadFile

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
Mark = Annotated[str, msgspec.Meta(min_length=1, max_length=1)]


class SideColumn(msgspec.Struct, forbid_unknown_fields=True, frozen=True, tag_field="by", tag="column"):
    """A column says which side; amounts have no sign."""

    column: Word
    credit: tuple[Word, ...]
    debit: tuple[Word, ...]


class TwoColumns(msgspec.Struct, forbid_unknown_fields=True, frozen=True, tag_field="by", tag="two_columns"):
    """Credits stand in one column and debits in another; the other one is empty."""

    credit: Word
    debit: Word


class Sign(msgspec.Struct, forbid_unknown_fields=True, frozen=True, tag_field="by", tag="sign"):
    """A minus before the amount is a debit."""


class Columns(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The names in the head of the file. What is null is not in it."""

    booking_date: Word
    amount: Word | None = None
    entry_reference: Word | None = None
    value_date: Word | None = None
    currency: Word | None = None
    account: Word | None = None
    statement: Word | None = None  # the partner's own id of the statement
    sequence: Word | None = None
    opening_balance: Word | None = None  # signed, the same in each line
    closing_balance: Word | None = None
    balance: Word | None = None  # signed, after the line
    end_to_end_id: Word | None = None
    remittance: Word | None = None  # a reference of ours is looked for in it; nothing else of it is kept
    bank_transaction_code: Word | None = None


class Csv(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How a partner writes CSV. `account` and `currency` where no column says it."""

    columns: Columns
    side: SideColumn | TwoColumns | Sign
    date_format: Word  # as strptime reads it: %d.%m.%Y
    delimiter: Mark = ","
    decimal_mark: Literal[".", ","] = "."
    group_mark: Literal["", ".", ",", " ", "'"] = ""
    encoding: Literal["utf-8-sig", "cp1252", "iso-8859-1"] = "utf-8-sig"
    account: Word | None = None
    currency: Word | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for what cannot be read at all."""
        if isinstance(self.side, TwoColumns) == (self.columns.amount is not None):
            raise ValueError("either columns.amount, or side by two_columns")
        if self.decimal_mark == self.group_mark:
            raise ValueError("decimal_mark and group_mark must differ")
        if self.account is None and self.columns.account is None:
            raise ValueError("account, or columns.account")
        if self.currency is None and self.columns.currency is None:
            raise ValueError("currency, or columns.currency")
        datetime(2026, 3, 2).strftime(self.date_format)  # noqa: DTZ001 - only whether it is a format


class Partner(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One partner. `accounts`: what it calls our accounts -> their path in our chart."""

    accounts: Mapping[str, Word]
    calendar: Calendar = "business"
    csv: Csv | None = None
    book: bool = False  # it has a book that we read over HTTP


class _Maps(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    version: Literal[1]
    partners: Mapping[str, Partner]


class Maps:
    """All partners, by name."""

    def __init__(self, text: bytes) -> None:
        """Raises msgspec.ValidationError with the path of what does not fit."""
        self._partners = msgspec.json.decode(text, type=_Maps).partners

    @classmethod
    def of_file(cls, path: str) -> Maps:
        """Raises OSError, msgspec.ValidationError."""
        return cls(Path(path).read_bytes())

    def partner(self, name: str) -> Partner:
        """Raises BadFile."""
        found = self._partners.get(name)
        if found is None:
            known = ", ".join(sorted(self._partners))
            raise BadFile(f"no partner {name[:40]!r} has a statement map; there are: {known}")
        return found

    def calendar(self, name: str) -> Calendar:
        """On which days it makes a statement."""
        return self.partner(name).calendar

    def ledger_account(self, name: str, account: str) -> str:
        """The path in our chart. Raises BadFile for an account that is not ours: its statement is somebody else's."""
        found = self.partner(name).accounts.get(account)
        if found is None:
            raise BadFile(f"the account …{account[-4:]} is none of ours at {name}; the map of the partner names those")
        return found
