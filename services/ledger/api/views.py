"""How rows of the books look in an answer (replies.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from services.kernel.book import BookedEntry
from services.kernel.book_balances import AccountBalance, on_side
from services.kernel.book_entries import StatementLine
from services.kernel.book_moments import Moment
from services.kernel.book_trial import Trial


def links(entry_id: UUID, transfer_id: UUID | None) -> dict[str, Any]:
    """Paths of this API."""
    return {
        "entry": f"/v1/ledger/entries/{entry_id}",
        "timeline": f"/v1/reviews/transfers/{transfer_id}/timeline" if transfer_id else None,
    }


def entry_view(entry: BookedEntry) -> dict[str, Any]:
    """An entry with its lines; amounts in minor units."""
    return {
        "entry_id": entry.entry_id,
        "entry_seq": entry.entry_seq,
        "kind": entry.kind,
        "cause_id": entry.cause_id,
        "transfer_id": entry.transfer_id,
        "caused_at": entry.caused_at,
        "posted_at": entry.posted_at,
        "lines": [
            {
                "account_id": line.account_id,
                "side": line.side,
                "amount_minor": line.amount_minor,
                "currency": line.currency,
            }
            for line in entry.lines
        ],
        "links": links(entry.entry_id, entry.transfer_id),
    }


def said_view(row: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
    """The event of an entry."""
    return {
        "event_id": row["event_id"],
        "global_seq": row["global_seq"],
        "correlation_id": meta["correlation_id"],
        "actor": meta["actor"],
        "reason": meta.get("reason"),
        "recorded_at": row["recorded_at"],
        "hash": row["hash"],
    }


def account_view(found: AccountBalance) -> dict[str, Any]:
    """An account as a list has it."""
    return {
        "account_id": found.account_id,
        "kind": found.kind,
        "account_class": found.account_class,
        "normal_side": found.normal_side,
        "owner": found.owner,
        "currency": found.currency,
        "protected": found.protected,
        "debit_minor": found.debit_minor,
        "credit_minor": found.credit_minor,
        "balance_minor": found.balance_minor,
        "opened_at": found.opened_at,
    }


def cause_view(line: StatementLine) -> dict[str, Any]:
    """The entry that made a balance what it is."""
    return {
        "entry_id": line.entry_id,
        "entry_seq": line.entry_seq,
        "kind": line.kind,
        "cause_id": line.cause_id,
        "transfer_id": line.transfer_id,
        "posted_at": line.posted_at,
        "links": links(line.entry_id, line.transfer_id),
    }


def line_view(line: StatementLine, balance_minor: int) -> dict[str, Any]:
    """A line of a statement."""
    return cause_view(line) | {
        "line": line.line,
        "side": line.side,
        "amount_minor": line.amount_minor,
        "balance_minor": balance_minor,
        "caused_at": line.caused_at,
    }


def stand_view(at: Moment, normal_side: str, sides: Sequence[int]) -> dict[str, Any]:
    """One end of a statement; `sides` are debits and credits."""
    debit, credit = sides
    return {
        "entry_seq": at.entry_seq,
        "posted_at": at.posted_at,
        "debit_minor": debit,
        "credit_minor": credit,
        "balance_minor": on_side(normal_side, debit, credit),
    }


def trial_view(found: Trial, at: Moment) -> dict[str, Any]:
    """The trial balance with the zero written out."""
    return {
        "as_of": at,
        "currencies": [
            {
                "currency": one.currency,
                "debit_minor": one.debit_minor,
                "credit_minor": one.credit_minor,
                "difference_minor": one.debit_minor - one.credit_minor,
            }
            for one in found.totals
        ],
        "kinds": [
            {
                "kind": one.kind,
                "class": one.account_class,
                "normal_side": one.normal_side,
                "currency": one.currency,
                "accounts": one.accounts,
                "debit_minor": one.debit_minor,
                "credit_minor": one.credit_minor,
                "balance_minor": on_side(one.normal_side, one.debit_minor, one.credit_minor),
            }
            for one in found.kinds
        ],
        "accounts": [
            {
                "account_id": one.account_id,
                "currency": one.currency,
                "class": one.account_class,
                "debit_minor": one.debit_minor,
                "credit_minor": one.credit_minor,
                "balance_minor": on_side(one.normal_side, one.debit_minor, one.credit_minor),
            }
            for one in sorted(found.rows, key=lambda row: row.account_id or "")
            if one.account_id is not None
        ],
    }
