"""A customer and a partner bank as the outside sees Corridor: HTTP through the one door, until it is answered."""

import asyncio
import hmac
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import uuid4

import msgspec

from scripts.bench.http import Door, Lost, Reply

PATIENCE_SECONDS = 120.0
PAUSES_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
AGAIN = frozenset({408, 425, 429})  # and everything from 500 on
CORRIDOR, SEND_MINOR, SEND_CURRENCY = "GB-ET", 10_000, "GBP"

Headers = Callable[[], str]


class NotAnswered(Exception):
    """Corridor gave no final answer in the client's whole patience."""


class Refused(Exception):
    """Corridor's final answer is no."""

    def __init__(self, status: int, code: str, detail: str = "") -> None:
        super().__init__(f"{status} {code} {detail}")
        self.status, self.code = status, code


class Body(msgspec.Struct):
    """What we read of any answer; amounts in minor units."""

    quote_id: str = ""
    send_minor: int = 0
    send_currency: str = ""
    receive_minor: int = 0
    receive_currency: str = ""
    transfer_id: str = ""
    state: str = ""
    route: str = ""
    reference: str = ""
    profile_id: str = ""
    code: str = ""
    detail: str = ""


class Result(msgspec.Struct):
    """Of one item of a bulk request."""

    index: int
    status: int
    body: Body


class Results(msgspec.Struct):
    """A bulk answer."""

    results: list[Result]


_encode = msgspec.json.Encoder().encode
_body = msgspec.json.Decoder(Body).decode
_results = msgspec.json.Decoder(Results).decode


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Where the system is; what `var/run/system.json` says."""

    base_url: str
    sandbox_url: str
    kafka_bootstrap: str
    oncall_database_url: str = field(repr=False)
    tokens: Mapping[str, str] = field(repr=False)
    webhooks: Sequence[Mapping[str, str]] = field(repr=False)

    @classmethod
    def of(cls, system: Mapping[str, Any]) -> Self:
        """From the parsed file."""
        return cls(**{name: system[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class Pair:
    """A sender and a receiver who passed KYC."""

    sender_id: str
    receiver_id: str


class Client:
    """Asks again with the same key until there is a final answer, and knows what is under way."""

    def __init__(self, facts: Facts, *, patience_seconds: float = PATIENCE_SECONDS, seconds: float = 30.0) -> None:
        self._door = Door(facts.base_url, seconds)
        self._tokens = {name: f"Authorization: Bearer {token}\r\n" for name, token in facts.tokens.items()}
        self._webhook = facts.webhooks[0]
        self._patience = patience_seconds
        self.in_flight: Counter[str] = Counter()  # by the first part of the path: quotes, transfers, webhooks
        self.retries = 0
        self.retried: Counter[str] = Counter()  # why

    # -- the mechanics

    async def insist(self, method: str, path: str, body: bytes, headers: Headers) -> Reply:
        """The final answer: below 500 and not "later". Raises NotAnswered."""
        what, until = path.split("/")[2], time.monotonic() + self._patience
        self.in_flight[what] += 1
        try:
            for number in range(1_000_000):
                try:
                    reply = await self._door.ask(method, path, body, headers())
                    if _final(reply.status):
                        return reply
                    why = f"{what} {reply.status}"
                except Lost as lost:
                    why = f"{what} {lost}"
                self._count(why)
                if time.monotonic() > until:
                    raise NotAnswered(why)
                pause = PAUSES_SECONDS[min(number, len(PAUSES_SECONDS) - 1)]
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret
        finally:
            self.in_flight[what] -= 1
        raise AssertionError("unreachable")

    def _count(self, why: str) -> None:
        self.retries += 1
        self.retried[why[:80]] += 1

    async def _post(self, path: str, content: Any, key: str, user: str = "customer") -> bytes:
        """The body of a 2xx. Raises Refused, NotAnswered."""
        headers = f"{self._tokens[user]}Idempotency-Key: {key}\r\n"
        return _good(await self.insist("POST", path, _encode(content), lambda: headers))

    async def _report(self, path: str, content: Any) -> bytes:
        """The same bytes at each attempt, signed anew."""
        body = _encode(content)
        return _good(await self.insist("POST", path, body, lambda: self._signature(body)))

    async def _all(self, ask: Callable[[], Awaitable[bytes]]) -> list[Result]:
        """A bulk request until none of its items says "later". Raises Refused, NotAnswered."""
        until = time.monotonic() + self._patience
        while True:
            results = _results(await ask()).results
            later = Counter(each.status for each in results if not _final(each.status))
            if not later:
                return results
            self._count(f"items {dict(later)}")
            if time.monotonic() > until:
                raise NotAnswered(f"items {dict(later)}")
            await asyncio.sleep(PAUSES_SECONDS[-1])

    def _signature(self, body: bytes) -> str:
        at = str(int(time.time()))
        mac = hmac.digest(self._webhook["secret"].encode(), at.encode() + b"." + body, "sha256").hex()
        return f"X-Webhook-Signature: t={at},kid={self._webhook['key_id']},v1={mac}\r\n"

    # -- what a customer does

    async def make_pair(self) -> Pair:
        """Two profiles, approved by an operator."""
        sender = await self._profile({"kind": "sender", "country": "GB", "name": "Ada Sender"})
        receiver = {"kind": "receiver", "country": "ET", "name": "Abebe Receiver", "account": "ET0001112223334"}
        return Pair(sender, await self._profile(receiver))

    async def _profile(self, content: Mapping[str, str]) -> str:
        made = _body(await self._post("/v1/profiles", content, str(uuid4())))
        verdict = {"verdict": "approved", "reason": "documents seen"}
        await self._post(f"/v1/profiles/{made.profile_id}/kyc", verdict, str(uuid4()), "operator")
        return made.profile_id

    async def quote(self, key: str) -> Body:
        return _body(await self._post("/v1/quotes", _wish(), key))

    async def quotes(self, count: int, key: str) -> list[Result]:
        content = {"quotes": [_wish() for _ in range(count)]}
        return await self._all(lambda: self._post("/v1/quotes/batch", content, key))

    async def transfer(self, quote_id: str, pair: Pair, key: str) -> Body:
        return _body(await self._post("/v1/transfers", _order(quote_id, pair), key))

    async def transfers(self, quote_ids: Sequence[str], pair: Pair, key: str) -> list[Result]:
        content = {"transfers": [_order(quote_id, pair) for quote_id in quote_ids]}
        return await self._all(lambda: self._post("/v1/transfers/batch", content, key))

    # -- what a partner bank does

    async def deposit(self, reference: str, transfer: Body) -> Body:
        return _body(await self._report("/v1/webhooks/deposit", report(reference, transfer)))

    async def deposits(self, reports: Sequence[Mapping[str, Any]]) -> list[Result]:
        content = {"deposits": list(reports)}
        return await self._all(lambda: self._report("/v1/webhooks/deposit/batch", content))

    def close(self) -> None:
        self._door.close()


def report(reference: str, transfer: Body) -> dict[str, Any]:
    """Money that arrived for `transfer`: all of it, on its route."""
    return {
        "reference": reference,
        "route": transfer.route,
        "amount_minor": transfer.send_minor,
        "currency": transfer.send_currency,
        "booked_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _wish() -> dict[str, Any]:
    return {"corridor": CORRIDOR, "send_minor": SEND_MINOR, "send_currency": SEND_CURRENCY}


def _order(quote_id: str, pair: Pair) -> dict[str, str]:
    return {"quote_id": quote_id, "sender_id": pair.sender_id, "receiver_id": pair.receiver_id}


def _final(status: int) -> bool:
    """Whether asking again would bring the same."""
    return status < 500 and status not in AGAIN


def _good(reply: Reply) -> bytes:
    if 200 <= reply.status < 300:
        return reply.body
    try:
        said = _body(reply.body)
    except msgspec.DecodeError:
        said = Body(detail=repr(reply.body[:100]))
    raise Refused(reply.status, said.code, said.detail)
