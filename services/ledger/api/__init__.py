"""HTTP in front of the books: reads only. Every number is from the postings and the balances beside them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field
from starlette.responses import Response

from services.kernel.book import BookedEntry, account, entries, trial_balance
from services.kernel.event_store import PostgresStore
from services.kernel.http import json_reply
from services.kernel.internal import OVERSEERS, Callers
from services.kernel.rejected import NotFound
from services.kernel.routing import Request, Router
from services.kernel.strict_json import Body, read_uuid


class LineReply(Body):
    """One posting."""

    account_id: str
    side: Literal["debit", "credit"]
    amount_minor: int
    currency: str


class EntryReply(Body):
    """A balanced journal entry, with the event that caused it."""

    entry_id: UUID
    kind: str
    cause_id: UUID
    transfer_id: UUID | None
    caused_at: datetime
    posted_at: datetime
    lines: list[LineReply]


class EntriesReply(Body):
    """The entries of a transfer in the order of their posting."""

    transfer_id: UUID
    entries: list[EntryReply]


class AccountReply(Body):
    """An account with the sums of its two sides, in minor units."""

    account_id: str
    currency: str
    account_class: str
    protected: bool = Field(description="it may never be overdrawn")
    debit_minor: int
    credit_minor: int
    opened_at: datetime


class CurrencyTotal(Body):
    """Both sides of all accounts of a currency."""

    currency: str
    debit_minor: int
    credit_minor: int
    difference_minor: int = Field(description="0, or the books are broken")


class AccountTotal(Body):
    """Both sides of one account."""

    account_id: str
    currency: str
    class_: str = Field(alias="class")
    debit_minor: int
    credit_minor: int


class TrialBalanceReply(Body):
    """Every account with its sides, and the totals by currency."""

    currencies: list[CurrencyTotal]
    accounts: list[AccountTotal]


class AccountNotFound(NotFound):
    """Nothing was ever posted to this account."""


def entry_view(entry: BookedEntry) -> dict[str, Any]:
    """An entry with its lines; amounts in minor units."""
    return {
        "entry_id": entry.entry_id,
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
    }


def routes(store: PostgresStore, callers: Callers) -> Router:
    """/v1/ledger."""
    router = Router("/v1/ledger")

    @router.get("/trial-balance", reply=TrialBalanceReply, roles=OVERSEERS)
    async def get_trial_balance(request: Request) -> Response:
        """Every account with its sides, and the difference per currency written out: it is zero."""
        callers.overseer(request.headers)
        balance = await trial_balance(store)
        return json_reply(
            {
                "currencies": [
                    {
                        "currency": one.currency,
                        "debit_minor": one.debit_minor,
                        "credit_minor": one.credit_minor,
                        "difference_minor": one.debit_minor - one.credit_minor,
                    }
                    for one in balance.totals
                ],
                "accounts": [
                    {
                        "account_id": one.account_id,
                        "currency": one.currency,
                        "class": one.account_class,
                        "debit_minor": one.debit_minor,
                        "credit_minor": one.credit_minor,
                    }
                    for one in balance.accounts
                ],
            }
        )

    @router.get("/accounts/{account_id:path}", reply=AccountReply, roles=OVERSEERS, problems=(AccountNotFound,))
    async def get_account(request: Request) -> Response:
        """One account with both sides of its balance."""
        callers.overseer(request.headers)
        account_id = request.path_params["account_id"]
        found = None if "\x00" in account_id else await account(store, account_id)  # PostgreSQL takes no NUL
        if found is None:
            raise AccountNotFound(account_id[:80])
        return json_reply(found)

    @router.get("/transfers/{transfer_id}/entries", reply=EntriesReply, roles=OVERSEERS)
    async def get_entries(request: Request) -> Response:
        """The entries of a transfer in the order of their posting; none is an empty list."""
        callers.overseer(request.headers)
        transfer_id: UUID = read_uuid(request.path_params["transfer_id"])
        booked = await entries(store, transfer_id)
        return json_reply({"transfer_id": transfer_id, "entries": [entry_view(each) for each in booked]})

    return router
