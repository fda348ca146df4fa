"""A small demo as the judge would read it: two transfers paid out, one paid in wrongly, one deposit of nobody's."""

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from scripts.demo.evidence import SCHEMA_OF, Evidence, Record, Store
from scripts.demo.judge import KILLED
from scripts.demo.judge_events import STAGES, chain_hash, states_of

T0 = datetime(2026, 5, 4, 12, tzinfo=UTC)
BANK = "sandbox-bank"
QUOTE = {
    "send_minor": 10_000, "send_currency": "GBP", "fee_minor": 200, "spread_minor": 50, "receive_minor": 2_000_000,
    "receive_currency": "ETB",
}  # fmt: skip
RECEIVER = {"name": "Abebe Bikila", "account": "ET1234"}
CATEGORY_STAGE = {service: {state: stage for stage, state in stages.items()} for service, stages in STAGES.items()}


def uid(name: str) -> str:
    return str(uuid5(NAMESPACE_OID, name))


def money(minor: int, currency: str) -> dict[str, Any]:
    return {"minor": minor, "currency": currency}


@dataclass
class Topics:
    """Writes records as the relay would: versions and chains right."""

    records: list[Record] = field(default_factory=list)
    heads: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, kind: str, stream: str, data: dict[str, Any], second: int = 0) -> None:
        service = kind.partition(".")[0]
        version, before = self.heads.get(stream, (0, bytes(32).hex()))
        at = (T0 + timedelta(seconds=second)).isoformat().encode()
        headers = {
            "ce_id": uid(f"{stream}/{version + 1}").encode(),
            "ce_type": f"corridor.{kind}.v1".encode(),
            "ce_subject": stream.encode(),
            "ce_streamversion": b"%d" % (version + 1),
            "ce_time": at,
            "ce_recordedtime": at,
            "ce_meta": b"{}",
            "ce_prevhash": before.encode(),
        }
        value = json.dumps(data).encode()
        record = Record(topic=f"corridor.{service}.events.v1", partition=1, headers=headers, value=value)
        record = replace(record, headers=headers | {"ce_hash": chain_hash(record).encode()})
        self.records.append(record)
        self.heads[stream] = version + 1, record.text("ce_hash")


def story() -> Evidence:
    """In which every check holds."""
    topics = Topics()
    log: list[dict[str, Any]] = []
    payouts, collected, postings = [], [], []
    for name, plan in (("one", "right"), ("two", "right"), ("three", "wrong_amount")):
        transfer, route = uid(f"transfer {name}"), uid(f"route {name}")
        topics.add("quote.created", uid(f"quote {name}"), {})
        topics.add("transfer.opened", transfer, {"transfer_id": transfer})
        topics.add("deposit.expected", route, {})
        paid_in = 10_000 if plan == "right" else 4_000
        log.append({"kind": "transfer", "answer": {"transfer_id": transfer}, "quote": QUOTE, "receiver": RECEIVER})
        log.append(_pay_in(name, transfer, paid_in, plan, "kafka" if name == "two" else "webhook"))
        collected.append(_collected(name, paid_in))
        _observe(topics, route, name, paid_in)
        postings += _booked(paid_in)
        if plan == "right":
            payout = uid(f"payout {name}")
            _pay_out(topics, transfer, route, payout)
            payouts.append(_payment(payout, transfer))
            postings += _postings_of_a_payout()
        else:
            topics.add("deposit.mismatched", route, {"transfer_id": transfer, "reason": "short"})
    stray = uid("route of nobody")
    log.append(_pay_in("stray", None, 700, "unknown_route", "webhook"))
    collected.append(_collected("stray", 700))
    _observe(topics, stray, "stray", 700)
    postings += _booked(700)
    topics.add("deposit.mismatched", stray, {"transfer_id": None, "reason": "unknown_route"})
    kill_at = (T0 + timedelta(seconds=5)).isoformat()
    log += [{"kind": "kill", "name": name, "pid": 1, "new_pid": 2, "at": kill_at} for name in sorted(KILLED)]
    return Evidence(
        log=list(log), payouts=list(payouts), collected=list(collected), summary={"double_paid": 0},
        faults=[{"fault": "drop_after_accept", "hits": 1}], records=topics.records, stores=_stores(topics),
        postings=list(postings), balances=balances(postings),
    )  # fmt: skip


def _pay_in(name: str, transfer: str | None, minor: int, plan: str, transport: str) -> dict[str, Any]:
    return {
        "kind": "pay_in", "reference": name, "transfer_id": transfer, "amount_minor": minor, "currency": "GBP",
        "plan": plan, "transport": transport, "copies": 2,
    }  # fmt: skip


def _collected(name: str, minor: int) -> dict[str, Any]:
    return {"partner": BANK, "reference": name, "amount_minor": minor, "currency": "GBP"}


def _observe(topics: Topics, route: str, name: str, minor: int) -> None:
    topics.add("deposit.observed", route, {"partner": BANK, "reference": name, "amount": money(minor, "GBP")})


def _pay_out(topics: Topics, transfer: str, route: str, payout: str) -> None:
    topics.add("deposit.confirmed", route, {})
    topics.add("transfer.funding_confirmed", transfer, {})
    data = {"payout_id": payout, "amount": money(2_000_000, "ETB")}
    for kind in ("requested", "approved", "submitting", "sent", "confirmed"):
        topics.add(f"payout.{kind}", payout, data)
    topics.add("transfer.payout_initiated", transfer, {})
    topics.add("transfer.payout_completed", transfer, {}, second=10)


def _payment(payout: str, transfer: str) -> dict[str, Any]:
    return {
        "end_to_end_id": payout, "remittance_information": transfer, "amount_minor": 2_000_000, "currency": "ETB",
        "creditor_name": RECEIVER["name"], "creditor_account": RECEIVER["account"], "status": "ACSC",
    }  # fmt: skip


def _line(account: str, side: str, minor: int) -> dict[str, Any]:
    return {"account_id": account, "currency": account.rpartition(":")[2], "side": side, "amount_minor": minor}


def _booked(minor: int) -> list[dict[str, Any]]:
    return [_line(f"safeguarding:{BANK}:GBP", "debit", minor), _line("suspense:deposits:GBP", "credit", minor)]


def _postings_of_a_payout() -> list[dict[str, Any]]:
    held = "customer:c1:held:GBP"
    return [
        _line("suspense:deposits:GBP", "debit", 10_000), _line(held, "credit", 10_000), _line(held, "debit", 10_000),
        _line("revenue:fees:GBP", "credit", 200), _line("revenue:fx:GBP", "credit", 50),
        _line("fx_position:GBP", "credit", 9_750), _line("fx_position:ETB", "debit", 2_000_000),
        _line("payout_clearing:ETB", "credit", 2_000_000), _line("payout_clearing:ETB", "debit", 2_000_000),
        _line(f"partner_float:{BANK}:ETB", "credit", 2_000_000),
    ]  # fmt: skip


def balances(postings: list[Any]) -> list[Any]:
    """What the ledger keeps beside those postings."""
    kept: dict[str, dict[str, Any]] = {}
    for line in postings:
        account = {"account_id": line["account_id"], "currency": line["currency"], "debit_minor": 0, "credit_minor": 0}
        kept.setdefault(line["account_id"], account)[f"{line['side']}_minor"] += line["amount_minor"]
    return list(kept.values())


def _stores(topics: Topics) -> dict[str, Store]:
    return {schema: _store(topics, topic) for topic, schema in SCHEMA_OF.items()}


def _store(topics: Topics, topic: str) -> Store:
    own = [record for record in topics.records if record.topic == topic]
    service = topic.split(".")[1]
    events = [
        {
            "stream_id": each.stream, "version": each.version, "event_id": each.event_id, "data": each.value,
            "hash": each.text("ce_hash"),
        }
        for each in own
    ]  # fmt: skip
    streams = [
        {"stream_id": stream, "version": topics.heads[stream][0], "hash": topics.heads[stream][1], "stage": stage}
        for stream, state in states_of(own).items()
        for stage in [CATEGORY_STAGE[service][state]]
    ]
    return Store(
        events=list(events), streams=list(streams), waiting={"outbox": 0, "parked_streams": 0, "parked_events": 0}
    )
