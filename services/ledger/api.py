"""HTTP in front of the books: reads only. Every number is from the postings and the balances beside them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from starlette.responses import Response

from services.kernel.book import BookedEntry, account, entries, trial_balance
from services.kernel.event_store import PostgresStore
from services.kernel.http import json_reply
from services.kernel.rejected import NotFound
from services.kernel.routing import Request, Router
from services.kernel.strict_json import read_uuid
from services.kernel.tokens import Tokens, require

STAFF = ("operator", "admin")


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


def routes(store: PostgresStore, tokens: Tokens) -> Router:
    """/v1/ledger."""
    router = Router("/v1/ledger")

    @router.get("/trial-balance")
    async def get_trial_balance(request: Request) -> Response:
        """Every account with its sides, and the difference per currency written out: it is zero."""
        require(tokens.authenticate(request.headers), *STAFF)
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

    @router.get("/accounts/{account_id:path}")
    async def get_account(request: Request) -> Response:
        """One account with both sides of its balance."""
        require(tokens.authenticate(request.headers), *STAFF)
        account_id = request.path_params["account_id"]
        found = await account(store, account_id)
        if found is None:
            raise AccountNotFound(account_id[:80])
        return json_reply(found)

    @router.get("/transfers/{transfer_id}/entries")
    async def get_entries(request: Request) -> Response:
        """The entries of a transfer in the order of their posting; none is an empty list."""
        require(tokens.authenticate(request.headers), *STAFF)
        transfer_id: UUID = read_uuid(request.path_params["transfer_id"])
        booked = await entries(store, transfer_id)
        return json_reply({"transfer_id": transfer_id, "entries": [entry_view(each) for each in booked]})

    return router
