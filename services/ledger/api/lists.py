"""HTTP: lists of the books, in keyset pages: accounts, the statement of one, entries. Reads only."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from starlette.responses import Response, StreamingResponse

from services.kernel.book import Reader
from services.kernel.book_balances import AccountBalance, accounts, balances
from services.kernel.book_entries import EntryFilter, entries_page
from services.kernel.book_moments import Moment
from services.kernel.codec import encode
from services.kernel.cursors import Cursors
from services.kernel.http import json_reply
from services.kernel.internal import OVERSEERS, Callers
from services.kernel.pages import LIST_PROBLEMS, invalid_query, read_query
from services.kernel.problem import unavailable
from services.kernel.routing import Request, Router
from services.kernel.tokens import Principal
from services.ledger.api import AccountNotFound
from services.ledger.api.queries import (
    AccountsQuery,
    EntriesQuery,
    LedgerPage,
    MomentNotFound,
    PeriodQuery,
    StatementQuery,
    found_moment,
)
from services.ledger.api.replies import AccountsPage, EntriesPage, StatementReply
from services.ledger.api.statement import COLUMNS, At, Statement, beginning, csv_text
from services.ledger.api.views import account_view, entry_view

EXPORTS_MAX = 1  # whole statements at once in a process: they leave sessions to those who look one thing up
_ENTRIES = struct.Struct(">QQ")  # the first number of the list, the last one of the page
_LINES = struct.Struct(">QQQH")  # opening, closing, and where the page begins


class Asked(NamedTuple):
    """A page that somebody wants: what its cursors are bound to, and what the one that was sent says."""

    bound: bytes
    place: bytes | None


class Books:
    """What the lists need: one object, built in __main__."""

    def __init__(self, reads: Reader, cursors: Cursors) -> None:
        """`reads` bounds its statements and only reads."""
        self.reads = reads
        self._cursors = cursors
        self.exports = asyncio.Semaphore(EXPORTS_MAX)

    def asked(self, name: str, principal: Principal, query: LedgerPage) -> Asked:
        """Raises Problem 400 for a cursor of another list, caller or filter."""
        who = (name, principal.tenant, str(principal.subject), *sorted(principal.roles))
        bound = encode(who) + query.filters()
        return Asked(bound, self._cursors.opened(query.cursor, bound) if query.cursor is not None else None)

    def cursor(self, asked: Asked, place: bytes) -> str:
        """Of the page that begins there."""
        return self._cursors.sign(place, asked.bound)

    async def accounts(self, principal: Principal, query: AccountsQuery) -> Response:
        """A page of accounts."""
        asked = self.asked("ledger-accounts", principal, query)
        after = (asked.place or b"").decode()
        found = await accounts(
            self.reads, query.limit + 1, after, kind=query.kind, owner=query.owner, currency=query.currency
        )
        page = found[: query.limit]
        following = self.cursor(asked, page[-1].account_id.encode()) if len(found) > query.limit else None
        return json_reply({"items": [account_view(each) for each in page], "next_cursor": following})

    async def entries(self, principal: Principal, query: EntriesQuery) -> Response:
        """A page of entries, newest first; new ones do not move the pages behind the first."""
        asked = self.asked("ledger-entries", principal, query)
        if asked.place is None:
            opening, closing = await period(self.reads, query)
            first, last = opening.entry_seq + 1, closing.entry_seq
        else:
            first, last = _ENTRIES.unpack(asked.place)
        wanted = EntryFilter(
            first=first, last=last, transfer_id=query.transfer_id, cause_id=query.cause_id, kind=query.kind,
            account_id=query.account_id,
        )  # fmt: skip
        found, following = await entries_page(self.reads, wanted, query.limit)
        cursor = self.cursor(asked, _ENTRIES.pack(first, following)) if following is not None else None
        return json_reply({"items": [entry_view(each) for each in found], "next_cursor": cursor})

    async def statement(
        self, name: str, principal: Principal, query: StatementQuery
    ) -> tuple[Statement, At, Callable[[At], str]]:
        """(the statement, where the page begins, the cursor of another place in it). Raises AccountNotFound."""
        account = await self.account(name)
        asked = self.asked(f"ledger-statement {name}", principal, query)
        if asked.place is None:
            opening, closing = await period(self.reads, query)
            after = beginning(opening)
        else:
            first, last, *place = _LINES.unpack(asked.place)
            opening, closing = await found_moment(self.reads, first), await found_moment(self.reads, last)
            after = (place[0], place[1])
        statement = Statement(db=self.reads, account=account, opening=opening, closing=closing)

        def cursor(at: At) -> str:
            return self.cursor(asked, _LINES.pack(opening.entry_seq, closing.entry_seq, *at))

        return statement, after, cursor

    async def account(self, name: str) -> AccountBalance:
        """As it is now. Raises AccountNotFound."""
        found = await balances(self.reads, [name])
        if name not in found:
            raise AccountNotFound(name[:80])
        return found[name]


async def period(db: Reader, query: PeriodQuery) -> tuple[Moment, Moment]:
    """(behind which, up to which). Raises Problem 400, MomentNotFound."""
    opening = await found_moment(db, 0 if query.since is None else query.since)
    closing = await found_moment(db, query.until)
    if opening.entry_seq > closing.entry_seq:
        raise invalid_query("since", "after-until", "`since` is behind `until`.")
    return opening, closing


async def exported(statement: Statement, after: At, cursor: Callable[[At], str], turn: asyncio.Semaphore) -> Response:
    """All of it as CSV, read and sent in parts. Raises Problem 503 when another one is being sent."""
    if turn.locked():
        raise unavailable("another statement is being sent")

    async def parts() -> AsyncIterator[bytes]:
        async with turn:
            yield csv_text([COLUMNS])
            async for rows in statement.rows(after, cursor):
                yield csv_text(rows)

    name = statement.account.account_id.replace(":", "-")
    headers = {"cache-control": "no-store", "content-disposition": f'attachment; filename="{name}.csv"'}
    return StreamingResponse(parts(), media_type="text/csv; charset=utf-8", headers=headers)


def list_routes(books: Books, callers: Callers) -> Router:
    """/v1/ledger: accounts, statements, entries."""
    router = Router("/v1/ledger")

    @router.get("/accounts", query=AccountsQuery, reply=AccountsPage, roles=OVERSEERS, problems=LIST_PROBLEMS)
    async def get_accounts(request: Request) -> Response:
        """Accounts with their balances, in the order of their ids."""
        principal = callers.overseer(request.headers)
        return await books.accounts(principal, read_query(request, AccountsQuery))

    @router.get(
        "/accounts/{account_id}/statement", query=StatementQuery, reply=StatementReply, roles=OVERSEERS,
        problems=(AccountNotFound, MomentNotFound, *LIST_PROBLEMS),
    )  # fmt: skip
    async def get_statement(request: Request) -> Response:
        """What moved an account, oldest first, with the balance behind each line; all of it for `Accept: text/csv`."""
        principal = callers.overseer(request.headers)
        query, name = read_query(request, StatementQuery), request.path_params["account_id"]
        statement, after, cursor = await books.statement(name.replace("\x00", "?"), principal, query)
        if "text/csv" in request.headers.get("accept", ""):
            return await exported(statement, after, cursor, books.exports)
        page, following = await statement.page(after, query.limit)
        return json_reply(page | {"next_cursor": cursor(following) if following else None})

    @router.get(
        "/entries", query=EntriesQuery, reply=EntriesPage, roles=OVERSEERS, problems=(MomentNotFound, *LIST_PROBLEMS)
    )
    async def get_entries(request: Request) -> Response:
        """Entries with their lines, newest first."""
        principal = callers.overseer(request.headers)
        return await books.entries(principal, read_query(request, EntriesQuery))

    return router
