"""The partners' book over HTTP, a page at a time: `GET /book?since=<seq>&limit=<n>`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

import aiohttp
import msgspec

from contracts.deposit.routes import route_id
from services.kernel.strict_json import PLAIN_UUID
from services.reconciliation.ports import BookUnavailable, Collected, Page, Paid

PAGE_ENTRIES = 1_000
PAGE_BYTES_MAX = 8 * 1024 * 1024
PAGES_MAX = 100_000  # of PAGE_ENTRIES each: a book that does not end is none
TIMEOUT_SECONDS = 20  # of a page
TRIES = 3
NO_ANSWER = (aiohttp.ClientError, OSError, TimeoutError)
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, ValueError)


class _Payment(msgspec.Struct):
    seq: int
    end_to_end_id: str
    amount_minor: int
    currency: str
    remittance_information: str
    status: str
    accepted_at: datetime
    settled_at: datetime | None


class _Deposit(msgspec.Struct):
    seq: int
    partner: str
    reference: str
    route: str
    amount_minor: int
    currency: str
    booked_at: datetime


class _Page(msgspec.Struct):
    payouts: list[_Payment]
    collected: list[_Deposit]
    next_since: int
    more: bool


_read = msgspec.json.Decoder(_Page).decode


class HttpBook:
    """The book of the bank at `base_url`."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, api_key: str, tenant: str) -> None:
        self._session = session
        self._url = f"{base_url.rstrip('/')}/book"
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._tenant = tenant

    async def pages(self) -> AsyncIterator[Page]:
        """All of it, in the order of its entries. Raises BookUnavailable."""
        since = 0
        for _ in range(PAGES_MAX):
            page = await self._page(since)
            yield self._translated(page, since)
            if not page.more:
                return
            if page.next_since <= since:
                raise BookUnavailable("the book does not go on")
            since = page.next_since
        raise BookUnavailable("the book does not end")

    async def _page(self, since: int) -> _Page:
        for attempt in range(TRIES):
            try:
                return _read(await self._get(since))
            except UNREADABLE:
                raise BookUnavailable("a page of the book is unreadable") from None
            except NO_ANSWER as trouble:
                if attempt == TRIES - 1:
                    raise BookUnavailable(f"no answer: {type(trouble).__name__}") from None
        raise AssertionError("unreachable")

    async def _get(self, since: int) -> bytes:
        parameters = {"since": str(since), "limit": str(PAGE_ENTRIES)}
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        async with self._session.get(
            self._url, params=parameters, headers=self._headers, timeout=timeout, allow_redirects=False
        ) as response:
            if response.status != 200:
                raise BookUnavailable(f"HTTP {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_chunked(64 * 1024):
                body += chunk
                if len(body) > PAGE_BYTES_MAX:
                    raise BookUnavailable("a page of the book is too large")
            return bytes(body)

    def _translated(self, page: _Page, since: int) -> Page:
        return Page(
            since=since,
            until=page.next_since,
            last=not page.more,
            paid=tuple(_paid(each) for each in page.payouts),
            collected=tuple(self._collected(each) for each in page.collected),
        )

    def _collected(self, each: _Deposit) -> Collected:
        return Collected(
            seq=each.seq, partner=each.partner, reference=each.reference, route_id=route_id(self._tenant, each.route),
            amount_minor=each.amount_minor, currency=each.currency, booked_at=each.booked_at,
        )  # fmt: skip


def _paid(each: _Payment) -> Paid:
    """The remittance information of a payment of ours is the id of its transfer."""
    named = PLAIN_UUID.fullmatch(each.remittance_information)
    return Paid(
        seq=each.seq, payment_id=each.end_to_end_id,
        transfer_id=UUID(each.remittance_information) if named else None,
        amount_minor=each.amount_minor, currency=each.currency, status=each.status,
        accepted_at=each.accepted_at, settled_at=each.settled_at,
    )  # fmt: skip
