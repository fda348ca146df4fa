"""A file, or a day of a partner's book, as statements of accounts of ours: the adapter of ports.Statements."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date
from hashlib import sha256

from services.kernel.codec import encode
from services.reconciliation.adapters.statements import book, camt, delimited
from services.reconciliation.adapters.statements.maps import Maps
from services.reconciliation.domain.statements.checks import Calendar
from services.reconciliation.domain.statements.shape import LINES_MAX, BadFile, Statement
from services.reconciliation.ports import Book, Format, Read

NET_MINOR_MAX = 10**18  # the sums of a statement stay numbers that a database has


class Files:
    """Reads what partners send."""

    def __init__(self, maps: Maps, book: Book) -> None:
        self._maps = maps
        self._book = book

    async def of_file(self, body: bytes, partner: str, kind: Format) -> Read:
        """In a thread: a large file takes seconds. Raises BadFile."""
        return await asyncio.to_thread(self._read, body, partner, kind)

    async def of_book(self, partner: str, day: date) -> Read:
        """Raises BadFile, BookUnavailable."""
        if not self._maps.partner(partner).book:
            raise BadFile(f"{partner} has no book that we read; send its statement as a file")
        found = await book.read(self._book, partner, day)
        told = [(each.account, each.reference, [line.content for line in each.lines]) for each in found]
        return Read(sha256(encode(told)).hexdigest(), self._ours(found))

    def calendar(self, partner: str) -> Calendar:
        """On which days it makes a statement."""
        return self._maps.calendar(partner)

    def _read(self, body: bytes, partner: str, kind: Format) -> Read:
        form = self._maps.partner(partner).csv
        if kind == "csv":
            if form is None:
                raise BadFile(f"the map of {partner} does not say how its CSV is to be read")
            found = tuple(delimited.read(body, partner, form))
        else:
            found = tuple(camt.read(body, partner))
            if any(each.source != kind for each in found):
                raise BadFile(f"the file is no {kind}")
        if sum(len(each.lines) + len(each.parked) for each in found) > LINES_MAX:
            raise BadFile(f"more than {LINES_MAX} entries")
        return Read(sha256(body).hexdigest(), self._ours(found))

    def _ours(self, found: tuple[Statement, ...]) -> tuple[Statement, ...]:
        """With their place in our chart. Raises BadFile for one of an account that is not ours, or told twice."""
        named = {(each.kind, each.account, each.reference) for each in found}
        if len(named) != len(found):
            raise BadFile("two statements of the file have one account and one id")
        for each in found:
            if sum(line.amount.minor for line in each.lines) > NET_MINOR_MAX:
                raise BadFile("the amounts of a statement are more than any account has")
        return tuple(
            replace(each, ledger_account=self._maps.ledger_account(each.partner, each.account)) for each in found
        )
