"""A bank that pays out in bulk over HTTP. Every answer, and every lack of one, becomes a verdict here."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

import aiohttp
import msgspec

from services.kernel import tracing
from services.kernel.money import Money, iso4217
from services.kernel.rejected import Invalid, Rejected
from services.payout_orchestrator.domain.commands import (
    ConfirmPayout,
    PayoutCommand,
    RecordPending,
    RecordRefused,
    RecordUnknown,
)
from services.payout_orchestrator.ports import (
    Accepted,
    Deferred,
    Instruction,
    NotKnown,
    Pending,
    Refused,
    Settled,
    StatusVerdict,
    SubmitVerdict,
    Unknown,
)

BULK_MAX = 500  # the partner's limit for one request
ANSWER_BYTES_MAX = 1024 * 1024  # 500 results are about 100 KiB
RETRY_AFTER_MAX_SECONDS = 3600
CONNECT_SECONDS = 5
REQUESTS_MAX = 40  # for one bulk: a culprit among 500 costs 18 more, two of them at most 36
REASON_MISSING = "none given"

# The error map. Deferred: provably not accepted, so it may be sent again. Everything that is not named is Unknown.
NOT_ACCEPTED_STATUSES = frozenset({400, 401, 403, 404, 405, 413, 415, 422, 429})  # refused before anything was booked
NOT_ACCEPTED_WITH_RETRY_AFTER = frozenset({503})  # a bare 503 may come from a gateway behind which the bank went on
CONTENT_REFUSED = frozenset(Deferred(f"HTTP {status}") for status in (400, 413, 422))  # and no time to come back
NOT_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)  # no byte of the request was sent
NO_ANSWER = (aiohttp.ClientError, TimeoutError, OSError)  # timeout, reset, cut body
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
IN_PROGRESS = frozenset({"ACCP", "ACSP", "PDNG"})  # ISO 20022: accepted, in progress, pending; none is settled
SETTLED = frozenset({"ACSC", "ACCC"})  # settled at the debtor's side; credited to the creditor
DUPLICATE = "DUPL"  # the bank has this end_to_end_id already: what became of it must be asked

Text = Annotated[str, msgspec.Meta(max_length=140)]  # ISO 20022 Max140Text
Answer = TypeVar("Answer")


class _Results(msgspec.Struct):
    results: list[msgspec.Raw]


class Item(msgspec.Struct, frozen=True):
    """One payment in an answer or a callback; which fields must be there depends on `status`."""

    end_to_end_id: UUID
    status: Text
    reason_code: Text | None = None
    reference: Text | None = None
    amount_minor: int | None = None
    currency: Text | None = None
    settled_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


_read_results = msgspec.json.Decoder(_Results).decode
_read_item = msgspec.json.Decoder(Item).decode


class CallbackUnreadable(Invalid):
    """An item of a payout callback names no payout and status."""


class BankRail:
    """The Rail of a bank. `timeout_seconds` is for one whole call and must stay below the payouts' lease."""

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, api_key: str, *, timeout_seconds: int = 20
    ) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
        self._timeout_seconds = timeout_seconds

    async def submit(self, instructions: list[Instruction]) -> Sequence[SubmitVerdict]:
        """Send them, at most BULK_MAX in a request."""
        chunks = [instructions[start : start + BULK_MAX] for start in range(0, len(instructions), BULK_MAX)]
        return _flat(await asyncio.gather(*[self._submit(chunk) for chunk in chunks]))

    async def status(self, payout_ids: list[UUID]) -> Sequence[StatusVerdict]:
        """Ask for them by our reference, at most BULK_MAX in a request."""
        chunks = [payout_ids[start : start + BULK_MAX] for start in range(0, len(payout_ids), BULK_MAX)]
        return _flat(await asyncio.gather(*[self._status(chunk) for chunk in chunks]))

    async def _submit(self, instructions: list[Instruction]) -> list[SubmitVerdict]:
        """One bulk, halved down to the culprit while the bank refuses what is in it: its neighbours go through.

        All of it takes the time of one call and at most REQUESTS_MAX; what is left then is deferred with its part. No
        part is sent with less than half of the time, so that no answer is missed for our own haste.
        """
        clock = asyncio.get_running_loop().time
        ends = clock() + self._timeout_seconds
        verdicts: dict[UUID, SubmitVerdict] = {}
        parts = deque([instructions])
        for _ in range(REQUESTS_MAX):
            left = ends - clock()
            if not parts or left < self._timeout_seconds / 2:
                break
            part = parts.popleft()
            payments = [_payment(instruction) for instruction in part]
            answer = await self._post("/bank/payments/bulk", {"payments": payments}, left)
            if verdicts and isinstance(answer, Deferred):
                answer = replace(answer, unsent=False)  # the bulk that it was a part of did leave us
            ids = [instruction.payout_id for instruction in part]
            verdicts.update(zip(ids, _each(ids, answer, submit_verdict), strict=True))
            if len(part) > 1 and isinstance(answer, Deferred) and answer in CONTENT_REFUSED:
                middle = len(part) // 2
                parts += (part[:middle], part[middle:])
        return [verdicts[instruction.payout_id] for instruction in instructions]

    async def _status(self, payout_ids: list[UUID]) -> list[StatusVerdict]:
        answer = await self._post("/bank/payments/status", {"end_to_end_ids": payout_ids}, self._timeout_seconds)
        return _each(payout_ids, answer, status_verdict)

    async def _post(self, path: str, content: Mapping[str, Any], seconds: float) -> list[Item] | Deferred | Unknown:
        """The items of a good answer, or what the whole call means."""
        connect = min(CONNECT_SECONDS, seconds / 2)  # before `total`, which cannot tell a connection from an answer
        timeout = aiohttp.ClientTimeout(total=seconds, connect=connect)
        trace = tracing.traceparent()
        headers = self._headers | {"traceparent": trace} if trace else self._headers
        try:
            async with self._session.post(
                self._base_url + path, data=msgspec.json.encode(content), headers=headers, timeout=timeout,
                allow_redirects=False,
            ) as response:  # fmt: skip
                if not 200 <= response.status < 300:
                    return status_means(response.status, response.headers)
                return _items(await _bounded(response))
        except NOT_CONNECTED as trouble:
            return Deferred(f"not connected: {type(trouble).__name__}", unsent=True)
        except NO_ANSWER as trouble:
            return Unknown(f"no answer: {type(trouble).__name__}")


def status_means(status: int, headers: Mapping[str, str]) -> Deferred | Unknown:
    """What an HTTP status other than 2xx says about all payments of the call."""
    retry_after = headers.get("Retry-After")
    if status in NOT_ACCEPTED_STATUSES or (status in NOT_ACCEPTED_WITH_RETRY_AFTER and retry_after is not None):
        return Deferred(f"HTTP {status}", _seconds(retry_after))
    return Unknown(f"HTTP {status}")


def _seconds(retry_after: str | None) -> int:
    """Whole seconds; 0 for the date form, which our own backoff stands in for."""
    if retry_after is None or not (retry_after.isascii() and retry_after.isdigit()) or len(retry_after) > 9:
        return 0
    return min(int(retry_after), RETRY_AFTER_MAX_SECONDS)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise aiohttp.ClientPayloadError("answer too large")
    return bytes(body)


def _items(body: bytes) -> list[Item] | Unknown:
    """The readable items; one that is not is as good as missing."""
    try:
        raw = _read_results(body).results
    except UNREADABLE:
        return Unknown("answer unreadable")
    return [item for item in map(_readable, raw) if item is not None]


def _readable(raw: msgspec.Raw) -> Item | None:
    try:
        return _read_item(raw)
    except UNREADABLE:
        return None


def _each(
    payout_ids: Sequence[UUID], answer: list[Item] | Deferred | Unknown, verdict: Callable[[Item], Answer]
) -> list[Answer | Deferred | Unknown]:
    """A verdict for each id: its own item's, or the whole call's. Two different words about one payment are none."""
    if isinstance(answer, Deferred | Unknown):
        return [answer] * len(payout_ids)
    said: dict[UUID, Answer | Unknown] = {}
    for item in answer:
        own = verdict(item)
        said[item.end_to_end_id] = own if said.get(item.end_to_end_id, own) == own else Unknown("two answers")
    return [said.get(payout_id, Unknown("missing in the answer")) for payout_id in payout_ids]


def submit_verdict(item: Item) -> SubmitVerdict:
    """What one item of the answer to a bulk submission means."""
    match item:
        case Item(status="RJCT"):
            return _refused(item.reason_code)
        case Item(status=status, reference=str(reference)) if status in IN_PROGRESS:
            return Accepted(status, reference)
        case _:
            return Unknown(f"status {item.status}")


def status_verdict(item: Item) -> StatusVerdict:
    """What one item of a status answer or of a callback means."""
    match item:
        case Item(status="NOT_FOUND"):
            return NotKnown()
        case Item(status="RJCT"):
            return _refused(item.reason_code)
        case Item(status=status, reference=str(reference)) if status in IN_PROGRESS:
            return Pending(status, reference)
        case Item(status=status, reference=str(reference), amount_minor=int(minor), currency=str(currency)) if (
            status in SETTLED
        ):
            return _settled(minor, currency, reference, item.settled_at)
        case _:
            return Unknown(f"status {item.status}")


def _refused(code: str | None) -> Refused | Unknown:
    return Unknown("duplicate") if code == DUPLICATE else Refused(code or REASON_MISSING)


def _settled(minor: int, currency: str, reference: str, settled_at: datetime | None) -> Settled | Unknown:
    try:
        return Settled(Money(minor, iso4217(currency)), reference, settled_at)
    except Rejected:
        return Unknown("amount unreadable")


def callback_command(item: object) -> PayoutCommand:
    """What one decoded item of a callback asks of the payout `command.payout_id`. Raises CallbackUnreadable.

    "Not found" in a callback is no answer to a question of ours, so it is as unknown as any other status.
    """
    try:
        read = msgspec.convert(item, Item)
    except UNREADABLE as trouble:
        raise CallbackUnreadable(str(trouble)[:200]) from None
    payout_id = read.end_to_end_id
    match status_verdict(read):
        case Settled(amount, reference, settled_at):
            return ConfirmPayout(payout_id=payout_id, amount=amount, partner_reference=reference, settled_at=settled_at)
        case Refused(code):
            return RecordRefused(payout_id=payout_id, reason_code=code)
        case Pending(status, reference):
            return RecordPending(payout_id=payout_id, partner_status=status, partner_reference=reference)
        case _:
            return RecordUnknown(payout_id=payout_id, reason=f"callback with status {read.status}")


def _payment(instruction: Instruction) -> Mapping[str, Any]:
    return {
        "end_to_end_id": instruction.payout_id,
        "amount_minor": instruction.amount.minor,
        "currency": instruction.amount.currency,
        "creditor_name": instruction.creditor_name,
        "creditor_account": instruction.creditor_account,
        "remittance_information": instruction.remittance_information,
    }


def _flat(chunks: Sequence[list[Answer]]) -> list[Answer]:
    return [one for chunk in chunks for one in chunk]
