"""The bank that collects: books money received, and reports it by webhook or by Kafka, as often as it is told to."""

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from sqlite3 import Connection
from typing import Any, NamedTuple

from services.sandbox import book, deliveries
from services.sandbox.bank import AMOUNT_MAX, CONTRADICTION_MS, CURRENCY, bulk, flawed
from services.sandbox.book import BookedDeposit, Deposit, rfc3339
from services.sandbox.control import Control
from services.sandbox.deliveries import Delivery
from services.sandbox.faults import Rule
from services.sandbox.web import Reply, Request, answer, encode, problem

ONE_PATH = "/v1/webhooks/deposit"
BULK_PATH = "/v1/webhooks/deposit/batch"
TOPIC = "partner.deposits.v1"
LINE = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,140}")  # a remittance text: one line that UTF-8 can carry
COPIES_MAX = 100


class Order(NamedTuple):
    """One line of `POST /collect`."""

    deposit: Deposit
    copies: int


class Collector:
    """`POST /collect`: the money is booked when the answer comes; the reports follow by themselves."""

    def __init__(self, control: Control) -> None:
        self._control = control

    async def post_collect(self, request: Request) -> Reply:
        body = request.json()
        orders = [self._order(item) for item in bulk(body, "deposits")]
        in_bulk = bool(body.get("bulk", len(orders) > 1))
        rules = [self._control.faults.for_item("deposit", order.deposit._asdict()) for order in orders]
        try:
            job = partial(_collect, orders=orders, rules=rules, in_bulk=in_bulk, now_ms=self._control.now_ms())
            booked = await self._control.write(job, hit=any(rules))
        except book.OtherContent as error:
            return problem(409, str(error))
        self._control.changed.set()
        return answer(
            {"references": [one.deposit.reference for one in booked], "booked": sum(one.fresh for one in booked)}
        )

    def _order(self, item: Any) -> Order:
        if not isinstance(item, dict):
            raise ValueError("a deposit is an object")  # noqa: TRY004 - the answer is 400
        order = parse_order(item, self._control.config.collector())
        if self._control.config.signing_keys and self._control.config.key(order.deposit.partner) is None:
            raise ValueError(f"no signing key of partner {order.deposit.partner!r}")
        return order


def parse_order(item: Mapping[str, Any], partner: str) -> Order:
    """Raises ValueError with the field's name."""
    amount, copies = item.get("amount_minor"), item.get("copies", 1)
    if type(amount) is not int or not 0 < amount <= AMOUNT_MAX:
        raise ValueError("amount_minor is a positive integer")
    if type(copies) is not int or not 1 <= copies <= COPIES_MAX:
        raise ValueError(f"copies is 1 to {COPIES_MAX}")
    transport = item.get("transport", "webhook")
    if transport not in {"webhook", "kafka"}:
        raise ValueError("transport is webhook or kafka")
    reference = _line(item, "reference", f"DEP{uuid.uuid4().hex.upper()}")
    route, currency = _line(item, "route", ""), _line(item, "currency", "")
    if not CURRENCY.fullmatch(currency):
        raise ValueError("currency is three capitals")
    return Order(Deposit(_line(item, "partner", partner), reference, route, amount, currency, transport), copies)


def _collect(
    db: Connection, *, orders: Sequence[Order], rules: Sequence[tuple[Rule, ...]], in_bulk: bool, now_ms: int
) -> list[BookedDeposit]:
    """One transaction: the money and its reports. Booked in report order, so that a report is a range of the book."""
    plain = [index for index, rule in enumerate(rules) if not rule]
    plain.sort(key=lambda index: (orders[index].deposit.partner, orders[index].deposit.transport))
    sequence = plain + [index for index, rule in enumerate(rules) if rule]
    booked = dict(zip(sequence, book.receive(db, [orders[i].deposit for i in sequence], now_ms), strict=True))
    deliveries.add(db, list(_plain([(booked[i], orders[i].copies) for i in plain], in_bulk=in_bulk, now_ms=now_ms)))
    for index in sequence[len(plain) :]:
        deliveries.add(db, _faulty(booked[index], orders[index].copies, rules[index], now_ms))
    return [booked[index] for index in range(len(orders))]


def _plain(booked: Sequence[tuple[BookedDeposit, int]], *, in_bulk: bool, now_ms: int) -> Iterator[Delivery]:
    """Reports by partner and transport; every further copy is a report of its own."""
    for _, group in groupby(booked, key=lambda one: (one[0].deposit.partner, one[0].deposit.transport)):
        left = list(group)
        for copy in range(max(map(itemgetter(1), left))):
            yield from _reports(
                [one for one, copies in left if copies > copy], in_bulk=in_bulk, copy=copy, now_ms=now_ms
            )


def _reports(booked: Sequence[BookedDeposit], *, in_bulk: bool, copy: int, now_ms: int) -> Iterator[Delivery]:
    """Whole chunks where they are a range of the book; what was booked long ago is reported alone."""
    fresh = [one for one in booked if one.fresh]
    alone = [one for one in booked if not one.fresh]
    together = in_bulk or (bool(fresh) and fresh[0].deposit.transport == "kafka")
    if fresh and together:
        yield report(fresh, copy, now_ms)
    else:
        alone += fresh
    for one in alone:
        yield report([one], copy, now_ms)


def report(booked: Sequence[BookedDeposit], copy: int, now_ms: int, due_ms: int | None = None) -> Delivery:
    """One webhook call, or one batch of records. Only the original says how the deposits have fared."""
    deposit, kafka = booked[0].deposit, booked[0].deposit.transport == "kafka"
    path = ONE_PATH if len(booked) == 1 else BULK_PATH
    return Delivery(
        lane="kafka" if kafka else "http", about="deposit", target=TOPIC if kafka else path, partner=deposit.partner,
        body=_lines(booked) if kafka else _body(booked), items=len(booked),
        first_seq=None if copy else booked[0].seq, last_seq=None if copy else booked[-1].seq,
        flaw="", copy=copy, created_ms=now_ms, due_ms=now_ms if due_ms is None else due_ms,
    )  # fmt: skip


def _faulty(one: BookedDeposit, copies: int, rules: Sequence[Rule], now_ms: int) -> list[Delivery]:
    faults = {rule.fault: rule for rule in rules}
    if "no_callback" in faults:
        return []
    if "duplicate_callback" in faults:
        copies += faults["duplicate_callback"].n
    due_ms = now_ms + int(1000 * sum(rule.seconds for rule in rules if rule.fault in {"delay", "late_callback"}))
    calls = [report([one], copy, now_ms, due_ms) for copy in range(copies)]
    broken = [flawed(calls[0], flaw) for flaw in ("malformed", "bad_signature") if flaw in faults]
    if "contradict" in faults:
        other = one._replace(deposit=one.deposit._replace(amount_minor=one.deposit.amount_minor + 1))
        calls.append(report([other], COPIES_MAX, now_ms, due_ms + CONTRADICTION_MS))
    return broken + calls


def _body(booked: Sequence[BookedDeposit]) -> bytes:
    told = [_told(one) for one in booked]
    return encode(told[0] if len(told) == 1 else {"deposits": told})


def _lines(booked: Sequence[BookedDeposit]) -> bytes:
    """Key TAB value for each record; neither can hold a control character."""
    return b"\n".join(one.deposit.route.encode() + b"\t" + encode(_told(one)) for one in booked)


def _told(one: BookedDeposit) -> dict[str, Any]:
    deposit = one.deposit
    return {
        "reference": deposit.reference,
        "route": deposit.route,
        "amount_minor": deposit.amount_minor,
        "currency": deposit.currency,
        "booked_at": rfc3339(one.booked_ms),
    }


def _line(item: Mapping[str, Any], name: str, default: str) -> str:
    value = item.get(name)
    text = default if value is None else value
    if not isinstance(text, str) or not (LINE.fullmatch(text) or (value is None and text and name != "route")):
        raise ValueError(f"{name} is one line of 1 to 140 characters")
    return text
