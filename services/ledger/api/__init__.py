"""HTTP in front of the books: reads. Every number is from the postings and the balances beside them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from starlette.responses import Response

from services.kernel.book import Reader, entries
from services.kernel.book_balances import AccountBalance, balances
from services.kernel.book_entries import entry, latest_line
from services.kernel.book_trial import trial
from services.kernel.http import json_reply
from services.kernel.internal import OVERSEERS, Callers
from services.kernel.pages import read_query
from services.kernel.rejected import NotFound
from services.kernel.routing import Request, Router
from services.kernel.strict_json import read_uuid
from services.ledger.api.queries import AsOfQuery, EntryNotFound, MomentNotFound, found_moment
from services.ledger.api.replies import AccountAsOfReply, EntriesReply, TrialBalanceReply, WholeEntryReply
from services.ledger.api.views import account_view, cause_view, entry_view, said_view, trial_view
from services.ledger.domain.wallets import wallet


class AccountNotFound(NotFound):
    """Nothing was ever posted to this account."""


async def account_as_of(db: Reader, name: str, wanted: datetime | int | UUID | None) -> dict[str, Any]:
    """The account at a moment, with the entry that made it so; a customer's with all of the wallet. Raises
    AccountNotFound, MomentNotFound."""
    at = None if wanted is None else await found_moment(db, wanted)
    sides = wallet(name)
    found = await balances(db, list({name, *sides.values()}), at)
    if name not in found:
        raise AccountNotFound(name[:80])
    account = found[name]
    last = await latest_line(db, name, account.entry_seq)
    return account_view(account) | {
        "as_of": at or await found_moment(db, account.entry_seq),
        "cause": cause_view(last) if last else None,
        "wallet": {f"{side}_minor": minor(found.get(each)) for side, each in sides.items()} or None,
    }


def minor(account: AccountBalance | None) -> int:
    """Its balance; 0 for an account that there is not yet."""
    return account.balance_minor if account else 0


async def trial_as_of(db: Reader, wanted: datetime | int | UUID | None) -> dict[str, Any]:
    """Raises MomentNotFound."""
    at = None if wanted is None else await found_moment(db, wanted)
    found = await trial(db, at)
    return trial_view(found, at or await found_moment(db, found.entry_seq))


async def whole_entry(db: Reader, entry_id: UUID) -> dict[str, Any]:
    """Raises EntryNotFound."""
    found = await entry(db, entry_id)
    if found is None:
        raise EntryNotFound(entry_id)
    booked, said = found
    return entry_view(booked) | {"event": said_view(said, msgspec.json.decode(said["meta"])) if said else None}


def routes(store: Reader, callers: Callers) -> Router:
    """/v1/ledger, but for the lists."""
    router = Router("/v1/ledger")

    @router.get(
        "/trial-balance", query=AsOfQuery, reply=TrialBalanceReply, roles=OVERSEERS,
        problems=(MomentNotFound, "invalid-query"),
    )  # fmt: skip
    async def get_trial_balance(request: Request) -> Response:
        """Both sides of everything, and the difference per currency written out: it is zero."""
        callers.overseer(request.headers)
        return json_reply(await trial_as_of(store, read_query(request, AsOfQuery).as_of))

    @router.get(
        "/accounts/{account_id}", query=AsOfQuery, reply=AccountAsOfReply, roles=OVERSEERS,
        problems=(AccountNotFound, MomentNotFound, "invalid-query"),
    )  # fmt: skip
    async def get_account(request: Request) -> Response:
        """One account with its balance, now or as of a moment, and the event that made it so."""
        callers.overseer(request.headers)
        name = request.path_params["account_id"].replace("\x00", "?")  # PostgreSQL takes no NUL
        return json_reply(await account_as_of(store, name, read_query(request, AsOfQuery).as_of))

    @router.get("/transfers/{transfer_id}/entries", reply=EntriesReply, roles=OVERSEERS)
    async def get_entries(request: Request) -> Response:
        """The entries of a transfer in the order of their posting; none is an empty list."""
        callers.overseer(request.headers)
        transfer_id: UUID = read_uuid(request.path_params["transfer_id"])
        booked = await entries(store, transfer_id)
        return json_reply({"transfer_id": transfer_id, "entries": [entry_view(each) for each in booked]})

    @router.get("/entries/{entry_id}", reply=WholeEntryReply, roles=OVERSEERS, problems=(EntryNotFound,))
    async def get_entry(request: Request) -> Response:
        """One entry with its lines, and the event that says it."""
        callers.overseer(request.headers)
        return json_reply(await whole_entry(store, read_uuid(request.path_params["entry_id"])))

    return router
