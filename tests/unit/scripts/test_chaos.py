"""The verdict holds on a good story and goes red on each fault; nobody is killed who has nothing to lose."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from scripts.chaos.judge import Verdict, judge
from scripts.chaos.killer import in_flight, victims
from scripts.demo.evidence import Evidence
from scripts.system.installation import PROGRAMS
from tests.unit.scripts.story import QUOTE, balances, story, uid

KILLS = 2
NOT_PAID_IN_RIGHT = {4_000, 700}  # the demo's own faults, which chaos has none of


def calm() -> Evidence:
    """Two loops, both complete, and two kills."""
    told = story()
    log: list[dict[str, Any]] = []
    for name in ("one", "two"):
        quote = QUOTE | {"quote_id": uid(f"quote {name}")}
        transfer = {"transfer_id": uid(f"transfer {name}")}
        log += [
            {"kind": "quote", "answer": quote},
            {"kind": "transfer", "answer": transfer, "quote": quote},
            {"kind": "pay_in", "reference": name, **transfer},
            {"kind": "repeated", "same": True},
            {"kind": "kill", "name": "quote"},
        ]
    postings = [line for line in told.postings if line["amount_minor"] not in NOT_PAID_IN_RIGHT]
    return replace(told, log=list(log), postings=postings, balances=balances(postings))


def red(evidence: Evidence, kills: int = KILLS) -> set[str]:
    return {name for name, wrong in judge(evidence, kills).faults.items() if wrong}


def test_all_is_well_when_nothing_is_wrong() -> None:
    verdict = judge(calm(), KILLS)
    assert verdict.ok, verdict.details()
    assert verdict.line().startswith("chaos: ok kills=2 acknowledged=6 transfers=2 paid=2 explained=0 ")
    assert " lost=0 paid_twice=0 " in verdict.line()


def without(kind: str) -> Callable[[Evidence], Evidence]:
    """The topics without the first event of that kind."""

    def plant(evidence: Evidence) -> Evidence:
        first = evidence.of_kind(kind)[0]
        return replace(evidence, records=[record for record in evidence.records if record is not first])

    return plant


def logged(**line: Any) -> Callable[[Evidence], Evidence]:
    return lambda evidence: replace(evidence, log=[*evidence.log, line])


def paid_again(evidence: Evidence) -> Evidence:
    return replace(evidence, payouts=[*evidence.payouts, {**evidence.payouts[0], "end_to_end_id": uid("another")}])


def paid_more(evidence: Evidence) -> Evidence:
    return replace(evidence, payouts=[{**evidence.payouts[0], "amount_minor": 1}, *evidence.payouts[1:]])


def held_back(evidence: Evidence) -> Evidence:
    postings = [line for line in evidence.postings if not (":held:" in line["account_id"] and line["side"] == "debit")]
    return replace(evidence, postings=postings, balances=balances(postings))


def something_waits(evidence: Evidence) -> Evidence:
    waiting = replace(evidence.stores["payout"], waiting={"outbox": 1})
    return replace(evidence, stores={**evidence.stores, "payout": waiting})


@pytest.mark.parametrize(
    ("plant", "check"),
    [
        (without("quote.created"), "lost"),
        (without("transfer.opened"), "lost"),
        (without("deposit.observed"), "lost"),
        (logged(kind="quote", answer={"quote_id": uid("nowhere")}), "lost"),
        (paid_again, "paid_twice"),
        (lambda evidence: replace(evidence, summary={"double_paid": 1}), "paid_twice"),
        (paid_more, "paid_wrongly"),
        (without("transfer.payout_completed"), "incomplete"),
        (without("transfer.payout_completed"), "store_differs"),
        (without("payout.sent"), "broken_chains"),
        (logged(kind="repeated", same=False), "answers_changed"),
        (logged(kind="quote", answer={"quote_id": uid("quote one")}), "answers_changed"),
        (logged(kind="unanswered", what="quotes 503"), "unanswered"),
        (lambda evidence: replace(evidence, payouts=evidence.payouts[1:]), "book_differs"),
        (held_back, "off_balance"),
        (something_waits, "waiting"),
    ],
)
def test_a_planted_fault_is_seen(plant: Callable[[Evidence], Evidence], check: str) -> None:
    assert check in red(plant(calm()))


def test_a_payout_that_nobody_paid_in_is_wrong() -> None:
    assert "paid_wrongly" in red(
        replace(calm(), log=[line for line in calm().log if line.get("reference") != "two"])
    )  # fmt: skip


def test_fewer_kills_than_wanted_are_no_proof() -> None:
    assert red(calm(), KILLS + 1) == {"kills_missed"}


def test_evidence_that_cannot_be_read_proves_nothing() -> None:
    assert "lost" in red(logged(kind="quote", answer={})(calm()))


def test_the_verdict_says_what_is_wrong_and_how_often() -> None:
    verdict = Verdict(faults={"lost": ["quote 1", "quote 2"], "waiting": []}, counts={"kills": 50})
    assert verdict.line() == "chaos: FAILED kills=50 lost=2 waiting=0"
    assert verdict.details() == ["lost: quote 1", "lost: quote 2"]


def test_every_program_is_killed_about_as_often_and_servers_besides() -> None:
    counts = Counter(victims(50, 6, random.Random(1)))
    assert {counts[name] for name in PROGRAMS} == {5, 6}
    assert (counts["broker"], counts["postgres"]) == (3, 3)


def test_the_same_seed_gives_the_same_order() -> None:
    assert victims(50, 6, random.Random(3)) == victims(50, 6, random.Random(3)) != victims(50, 6, random.Random(4))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("core_api", "7 requests, 0 loops, 0 events to publish"),
        ("quote", "4 requests, 0 loops, 0 events to publish"),
        ("transfer", "2 requests, 9 loops, 5 events to publish"),
        ("deposit_watcher", "1 requests, 9 loops, 0 events to publish"),
        ("ledger", "0 requests, 9 loops, 0 events to publish"),
        ("sandbox", "0 requests, 9 loops, 0 events to publish"),
        ("postgres", "0 requests, 9 loops, 0 events to publish"),
    ],
)
def test_in_flight_is_what_the_victim_itself_has_in_hand(name: str, expected: str) -> None:
    requests = {"quotes": 4, "transfers": 2, "webhooks": 1, "profiles": 3}
    assert str(in_flight(name, requests, 9, {"transfer": 5})) == expected


def test_nothing_in_hand_is_nothing_in_flight() -> None:
    assert not in_flight("quote", {"transfers": 5}, 100, {"ledger": 3})
