"""Each check holds on a good story and goes red on the fault that it is for."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from scripts.demo.evidence import Evidence, Record, Store
from scripts.demo.judge import CHECKS, judge, report
from tests.unit.scripts.story import T0, balances, story, uid

Plant = Callable[[Evidence], Evidence]


def red(evidence: Evidence) -> set[str]:
    return {check.name for check in judge(evidence) if not check.ok}


def test_a_good_story_passes_every_check() -> None:
    assert [(check.name, check.detail) for check in judge(story()) if not check.ok] == []


def test_the_report_counts_the_transfers_by_state() -> None:
    made = report(story(), 61)
    assert made["ok"]
    assert made["seconds"] == 61
    assert made["transfers"] == {"PAYOUT_COMPLETED": 2, "AWAITING_FUNDING": 1}


def logged(evidence: Evidence, kind: str, **change: Any) -> Evidence:
    """The first line of that kind, changed."""
    lines = list(evidence.log)
    index = next(i for i, line in enumerate(lines) if line["kind"] == kind)
    lines[index] = {**lines[index], **change}
    return replace(evidence, log=lines)


def without(evidence: Evidence, kind: str) -> Evidence:
    """The topics without the last event of that kind."""
    last = [record for record in evidence.records if record.kind == kind][-1]
    return replace(evidence, records=[record for record in evidence.records if record is not last])


def with_record(evidence: Evidence, kind: str, change: Callable[[Record], Record]) -> Evidence:
    """The last event of that kind, changed."""
    last = [record for record in evidence.records if record.kind == kind][-1]
    return replace(evidence, records=[change(each) if each is last else each for each in evidence.records])


def paid(evidence: Evidence, **change: Any) -> Evidence:
    return replace(evidence, payouts=[{**evidence.payouts[0], **change}, *evidence.payouts[1:]])


def stored(evidence: Evidence, schema: str, store: Store) -> Evidence:
    return replace(evidence, stores={**evidence.stores, schema: store})


def staged(evidence: Evidence, schema: str, stage: str) -> Evidence:
    store = evidence.stores[schema]
    streams = [{**store.streams[0], "stage": stage}, *store.streams[1:]]
    return stored(evidence, schema, replace(store, streams=streams))


def posted(evidence: Evidence, index: int, **change: Any) -> Evidence:
    """A line of the books changed, and the balances with it, so that only its meaning is wrong."""
    lines = list(evidence.postings)
    lines[index] = {**lines[index], **change}
    return replace(evidence, postings=lines, balances=balances(lines))


PLANTED: dict[str, tuple[str, Plant]] = {
    "a transfer is lost": (
        "every acknowledged transfer is accounted for",
        lambda e: logged(e, "transfer", answer={"transfer_id": uid("lost")}),
    ),
    "a transfer is stuck": (
        "every acknowledged transfer is accounted for",
        lambda e: without(e, "transfer.payout_completed"),
    ),
    "a transfer nobody was told of": (
        "every acknowledged transfer is accounted for",
        lambda e: replace(e, log=[x for x in e.log if x.get("answer", {}).get("transfer_id") != uid("transfer two")]),
    ),
    "less than what was quoted": ("receivers got what was quoted", lambda e: paid(e, amount_minor=1_999_999)),
    "to somebody else": ("receivers got what was quoted", lambda e: paid(e, creditor_account="ET9")),
    "a payout the provider does not know": ("provider's book is ours", lambda e: replace(e, payouts=e.payouts[1:])),
    "a payment we never asked for": ("provider's book is ours", lambda e: paid(e, end_to_end_id=uid("theirs"))),
    "a payment with another amount": ("provider's book is ours", lambda e: paid(e, amount_minor=1)),
    "a payment that is not settled": ("provider's book is ours", lambda e: paid(e, status="ACSP")),
    "paid twice under another id": (
        "nothing was paid twice",
        lambda e: replace(e, payouts=[*e.payouts, {**e.payouts[0], "end_to_end_id": uid("again")}]),
    ),
    "the provider says so": ("nothing was paid twice", lambda e: replace(e, summary={"double_paid": 1})),
    "a duplicate that was credited": (
        "each deposit was credited once",
        lambda e: with_record(e, "deposit.observed", lambda r: replace(r, value=_first_observation(e).value)),
    ),
    "money that was dropped": ("each deposit was credited once", lambda e: without(e, "deposit.observed")),
    "money out of nothing": ("each deposit was credited once", lambda e: replace(e, collected=e.collected[1:])),
    "debits are not credits": ("trial balance is zero", lambda e: posted(e, 0, amount_minor=1)),
    "a balance that is not the sum": (
        "trial balance is zero",
        lambda e: replace(e, balances=[{**e.balances[0], "debit_minor": 5}, *e.balances[1:]]),
    ),
    "an entry is missing": (
        "every account stands as expected",
        lambda e: replace(e, postings=e.postings[2:], balances=balances(e.postings[2:])),
    ),
    "a fee on the wrong account": (
        "every account stands as expected",
        lambda e: posted(e, 5, account_id="revenue:fx:GBP"),
    ),
    "the store is ahead of the topic": (
        "state folded from the topic is the store's",
        lambda e: staged(e, "transfer", "PayingOut"),
    ),
    "a route in another state": (
        "state folded from the topic is the store's",
        lambda e: staged(e, "deposit", "Closed"),
    ),
    "an event was never published": ("topic and store are the same events", lambda e: without(e, "quote.created")),
    "an event is published with other bytes": (
        "topic and store are the same events",
        lambda e: with_record(e, "quote.created", lambda r: replace(r, value=b'{"x":1}')),
    ),
    "a head that is not the last event": (
        "topic and store are the same events",
        lambda e: stored(e, "quote", replace(e.stores["quote"], events=e.stores["quote"].events[1:])),
    ),
    "a gap": ("chains of hashes verified", lambda e: without(e, "payout.sent")),
    "bytes that were not hashed": (
        "chains of hashes verified",
        lambda e: with_record(e, "payout.sent", lambda r: replace(r, value=b"{}")),
    ),
    "a chain that was rewritten": (
        "chains of hashes verified",
        lambda e: with_record(e, "payout.sent", lambda r: replace(r, headers={**r.headers, "ce_prevhash": b"00" * 32})),
    ),
    "versions out of order": ("published in order", lambda e: replace(e, records=e.records[::-1])),
    "a stream on two partitions": (
        "published in order",
        lambda e: with_record(e, "payout.sent", lambda r: replace(r, partition=2)),
    ),
    "an outbox that is not empty": ("nothing waits or is parked", lambda e: waiting(e, "outbox")),
    "a parked stream": ("nothing waits or is parked", lambda e: waiting(e, "parked_streams")),
    "the provider never failed": ("the faults happened", lambda e: replace(e, faults=[])),
    "the unknown route was not noticed": ("the faults happened", lambda e: without(e, "deposit.mismatched")),
    "a service that did not come back": ("every kill was survived", lambda e: logged(e, "kill", new_pid=None)),
    "a kill in the quiet": (
        "every kill was survived",
        lambda e: logged(e, "kill", at=T0.replace(hour=23).isoformat()),
    ),
    "a service that was spared": (
        "every kill was survived",
        lambda e: replace(e, log=[line for line in e.log if line.get("name") != "ledger"]),
    ),
    "evidence that cannot be read": ("nothing was paid twice", lambda e: replace(e, summary={})),
}


def _first_observation(evidence: Evidence) -> Record:
    return next(record for record in evidence.records if record.kind == "deposit.observed")


def waiting(evidence: Evidence, where: str) -> Evidence:
    store = evidence.stores["payout"]
    return stored(evidence, "payout", replace(store, waiting={**store.waiting, where: 1}))


@pytest.mark.parametrize("fault", PLANTED)
def test_the_check_goes_red_when(fault: str) -> None:
    name, plant = PLANTED[fault]
    assert name in red(plant(story()))


def test_every_check_has_a_planted_fault() -> None:
    assert {name for name, _ in PLANTED.values()} == set(CHECKS)
