"""The bank that pays out: takes payments, settles them after a while, tells Corridor later, never in its answer."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from sqlite3 import Connection
from typing import Any, NamedTuple

from services.sandbox import book, deliveries
from services.sandbox.book import Ask, Due, Payment, Settlement, bank_reference, rfc3339
from services.sandbox.control import Control
from services.sandbox.deliveries import Delivery
from services.sandbox.faults import Rule, Strike
from services.sandbox.web import Reply, Request, answer, encode, problem

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
AMOUNT_MAX = 2**63 - 1  # SQLite's integer
BAD_FORMAT = "FF01"  # ISO 20022: invalid file format; the item is answered and not booked
CALLBACK_PATH = "/v1/webhooks/payout"
CONTRADICTION_MS = 300  # between "rejected" and "settled" of a bank that changes its mind
LINGER_SECONDS = 0.025  # at most 40 settlements a second, whatever arrives
TEXTS = ("creditor_name", "creditor_account", "remittance_information")


class Bank:
    """HTTP in front of the paying bank's book."""

    def __init__(self, control: Control) -> None:
        self._control = control

    async def post_payment(self, request: Request) -> Reply:
        refused = self._stranger(request)
        return refused or await self._submit([request.json()])

    async def post_payments(self, request: Request) -> Reply:
        refused = self._stranger(request)
        return refused or await self._submit(bulk(request.json(), "payments"))

    async def get_payment(self, request: Request) -> Reply:
        if refused := self._stranger(request):
            return refused
        wanted = request.path.rpartition("/")[2]
        (found,), strike = await self._statuses([wanted])
        good = answer(found) if found["status"] != "NOT_FOUND" else problem(404, "no such payment")
        return spoiled(good, strike)

    async def post_status(self, request: Request) -> Reply:
        if refused := self._stranger(request):
            return refused
        wanted = bulk(request.json(), "end_to_end_ids")
        if not all(isinstance(one, str) for one in wanted):
            raise ValueError("end_to_end_ids are texts")
        found, strike = await self._statuses(wanted)
        return spoiled(answer({"results": found}), strike)

    def _stranger(self, request: Request) -> Reply | None:
        api_key = self._control.config.api_key
        return problem(401, "unknown api key") if api_key is not None and request.bearer != api_key else None

    async def _submit(self, items: Sequence[Any]) -> Reply:
        """Durable before the answer, unless a fault says that the bank never took it."""
        asked = [item if isinstance(item, dict) else {} for item in items]
        strike = self._control.faults.strike("submit", asked)
        results: list[Mapping[str, Any]] = []
        if all(rule.books() for rule in strike.whole):
            results = await self._book(asked, strike)
        else:
            await self._control.remember(hit=strike.hit)
        return spoiled(answer({"results": results}), strike)

    async def _book(self, items: Sequence[dict[str, Any]], strike: Strike) -> list[Mapping[str, Any]]:
        payments = [parse_payment(item) for item in items]
        asks = [ruled(one, strike.items.get(index)) for index, one in enumerate(payments) if one is not None]
        now_ms, delay_ms = self._control.now_ms(), int(self._control.config.settle_delay_seconds * 1000)
        job = partial(book.accept, asks=asks, at_ms=now_ms, settle_ms=now_ms + delay_ms)
        answers = iter(await self._control.write(job, hit=strike.hit))
        self._control.settle_wake.set()
        return [misshapen(item) if one is None else next(answers) for item, one in zip(items, payments, strict=True)]

    async def _statuses(self, wanted: Sequence[str]) -> tuple[list[dict[str, Any]], Strike]:
        held = await self._control.store.read(partial(book.statuses, ids=wanted))
        found = [held.get(one) or {"end_to_end_id": one, "status": "NOT_FOUND"} for one in wanted]
        strike = self._control.faults.strike("status", found)
        await self._control.remember(hit=strike.hit)
        return [lied(one, strike.items.get(index)) for index, one in enumerate(found)], strike


class Settler:
    """Ends payments when they are due, and books the callbacks in the same transaction."""

    def __init__(self, control: Control, told: Callable[[], None]) -> None:
        self._control = control
        self._told = told

    async def run(self) -> None:
        while True:
            payments = await self._control.store.read(partial(book.due, now_ms=self._control.now_ms()))
            if payments:
                await self._settle(payments)
            if len(payments) < book.BULK_MAX:
                await self._wait()

    async def _wait(self) -> None:
        """Single payments that end within the linger are told in one call."""
        self._control.settle_wake.clear()
        at_ms = await self._control.store.read(book.next_due_ms)
        await self._control.wait(self._control.settle_wake, at_ms)
        await asyncio.sleep(LINGER_SECONDS)

    async def _settle(self, payments: Sequence[Due]) -> None:
        """The outcome and who has to hear of it are one transaction: no payment settles in silence by a crash."""
        now_ms = self._control.now_ms()
        ends = [
            settled(one, self._control.faults.for_item("callback", one.payment._asdict()), now_ms) for one in payments
        ]
        calls = callbacks(ends, self._control.config.bank(), now_ms) if self._control.config.callbacks else []

        def job(db: Connection) -> None:
            book.settle(db, [end.settlement for end in ends])
            deliveries.add(db, calls)

        await self._control.write(job, hit=any(end.rules for end in ends))
        self._told()


class End(NamedTuple):
    """A payment's end, with the faults of its callback."""

    due: Due
    settlement: Settlement
    rules: tuple[Rule, ...]


def parse_payment(item: Mapping[str, Any]) -> Payment | None:
    """None when a field is missing, of a wrong type or outside its range."""
    end_to_end_id, amount, currency = item.get("end_to_end_id"), item.get("amount_minor"), item.get("currency")
    name, account, remittance = (item.get(text) for text in TEXTS)
    if type(amount) is not int or not 0 < amount <= AMOUNT_MAX:
        return None
    if not isinstance(end_to_end_id, str) or not UUID.fullmatch(end_to_end_id):
        return None
    if not isinstance(currency, str) or not CURRENCY.fullmatch(currency):
        return None
    if not isinstance(name, str) or not isinstance(account, str) or not isinstance(remittance, str):
        return None
    return Payment(end_to_end_id, amount, currency, name, account, remittance)


def bulk(body: Any, name: str) -> list[Any]:
    """The list called `name`, 1 to 500 items. Raises ValueError."""
    items = body.get(name) if isinstance(body, dict) else None
    if not isinstance(items, list) or not 0 < len(items) <= book.BULK_MAX:
        raise ValueError(f"{name} is a list of 1 to {book.BULK_MAX}")
    return items


def ruled(payment: Payment, rule: Rule | None) -> Ask:
    if rule is None:
        return Ask(payment)
    return Ask(payment, rule.reason_code, paid_anyway=rule.fault == "contradict")


def misshapen(item: Mapping[str, Any]) -> dict[str, Any]:
    asked = item.get("end_to_end_id")
    return {"end_to_end_id": asked, "status": book.REJECTED, "reason_code": BAD_FORMAT, "reference": None}


def lied(status: dict[str, Any], rule: Rule | None) -> dict[str, Any]:
    """`not_found`: the bank denies what it has. `contradict`: it calls a good payment rejected."""
    if rule is None or status["status"] == "NOT_FOUND":
        return status
    if rule.fault == "not_found":
        return {"end_to_end_id": status["end_to_end_id"], "status": "NOT_FOUND"}
    return status | {"status": book.REJECTED, "reason_code": rule.reason_code}


def spoiled(good: Reply, strike: Strike) -> Reply:
    """The answer after the faults that hit it as a whole; delays add up, then the first other fault counts."""
    delay = sum(rule.seconds for rule in strike.whole)
    worst = next((rule.fault for rule in strike.whole if rule.fault != "delay"), None)
    match worst:
        case "drop_after_accept" | "drop_before_accept":
            return replace(good, delay_seconds=delay, cut=True)
        case "error_500" | "error_503":
            return replace(problem(int(worst[-3:]), "out of order"), delay_seconds=delay)
        case "malformed":
            return replace(good, body=good.body[: len(good.body) // 2], delay_seconds=delay)
        case _:
            return replace(good, delay_seconds=delay) if delay else good


def settled(due: Due, rules: tuple[Rule, ...], now_ms: int) -> End:
    refusal = next((rule.reason_code for rule in rules if rule.fault == "refuse"), None)
    status = book.SETTLED if refusal is None else book.REJECTED
    return End(due, Settlement(status, refusal, now_ms, due.seq), rules)


def callbacks(ends: Sequence[End], partner: str, now_ms: int) -> list[Delivery]:
    """One call for all that end well, and calls of their own for those that a fault has hit."""
    plain = [told(end) for end in ends if not end.rules]
    calls = [_call(plain, partner, now_ms)] if plain else []
    for end in ends:
        calls += _faulty(end, partner, now_ms) if end.rules else []
    return calls


def told(end: End) -> dict[str, Any]:
    payment = end.due.payment
    return {
        "end_to_end_id": payment.end_to_end_id,
        "status": end.settlement.status,
        "reason_code": end.settlement.reason_code,
        "reference": bank_reference(end.due.seq),
        "amount_minor": payment.amount_minor,
        "currency": payment.currency,
        "settled_at": rfc3339(end.settlement.settled_ms),
    }


def _faulty(end: End, partner: str, now_ms: int) -> list[Delivery]:
    faults = {rule.fault: rule for rule in end.rules}
    if "no_callback" in faults:
        return []
    due_ms = now_ms + int(1000 * sum(rule.seconds for rule in end.rules if rule.fault in {"delay", "late_callback"}))
    good = _call([told(end)], partner, now_ms, due_ms)
    calls = [
        good._replace(copy=copy)
        for copy in range(1 + (faults["duplicate_callback"].n if "duplicate_callback" in faults else 0))
    ]
    if "contradict" in faults:
        denied = told(end) | {"status": book.REJECTED, "reason_code": faults["contradict"].reason_code}
        later = [call._replace(due_ms=due_ms + CONTRADICTION_MS) for call in calls]
        calls = [_call([denied], partner, now_ms, due_ms), *later]
    return [flawed(good, flaw) for flaw in ("malformed", "bad_signature") if flaw in faults] + calls


def flawed(good: Delivery, flaw: str) -> Delivery:
    """A broken twin that goes ahead of the good one, once."""
    body = good.body[: len(good.body) // 2] if flaw == "malformed" else good.body
    return good._replace(flaw=flaw, body=body, first_seq=None, last_seq=None)


def _call(items: Sequence[Mapping[str, Any]], partner: str, now_ms: int, due_ms: int | None = None) -> Delivery:
    return Delivery(
        lane="http", about="callback", target=CALLBACK_PATH, partner=partner, body=encode({"payouts": items}),
        items=len(items), first_seq=None, last_seq=None, flaw="", copy=0,
        created_ms=now_ms, due_ms=now_ms if due_ms is None else due_ms,
    )  # fmt: skip
