"""The proof: what must hold at the end of the demo, by evidence that is not the services' own opinion. Pure."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from scripts.demo import judge_events as events
from scripts.demo import judge_money as money
from scripts.demo.evidence import Evidence, Record
from scripts.demo.judge_events import Finding, states_of

SHOWN_MAX = 3  # examples in a detail
KILLED = {
    "core_api", "quote", "transfer", "deposit_watcher", "payout_orchestrator", "ledger", "reconciliation", "review",
    "sandbox",
}  # fmt: skip


@dataclass(frozen=True)
class Check:
    """One line of the proof."""

    name: str
    ok: bool
    detail: str


def judge(evidence: Evidence) -> list[Check]:
    """Every check, each on its own: one that cannot even be computed has failed."""
    return [_run(name, check, evidence) for name, check in CHECKS.items()]


def report(evidence: Evidence, seconds: int) -> dict[str, Any]:
    """What goes to report.json."""
    checks = judge(evidence)
    states = Counter(states_of(evidence.events("transfer")).values())
    return {
        "ok": all(check.ok for check in checks),
        "checks": [asdict(check) for check in checks],
        "transfers": dict(states.most_common()),
        "seconds": seconds,
    }


def _run(name: str, check: Callable[[Evidence], Finding], evidence: Evidence) -> Check:
    try:
        wrong, good = check(evidence)
    except Exception as error:  # noqa: BLE001 - evidence that cannot be read proves nothing
        return Check(name, ok=False, detail=f"cannot be judged: {error!r}")
    if not wrong:
        return Check(name, ok=True, detail=good)
    more = f" and {len(wrong) - SHOWN_MAX} more" if len(wrong) > SHOWN_MAX else ""
    return Check(name, ok=False, detail="; ".join(wrong[:SHOWN_MAX]) + more)


# -- what was done to it


def faults_happened(evidence: Evidence) -> Finding:
    """The wrong amount and the unknown route are recorded as such; the provider did drop an answer after accepting."""
    said = {(each.data["reason"]) for each in evidence.of_kind("deposit.mismatched")}
    plans = Counter(line["plan"] for line in evidence.logged("pay_in"))
    transports = Counter(line["transport"] for line in evidence.logged("pay_in"))
    wrong = [f"nothing was paid in as {plan}" for plan in ("wrong_amount", "unknown_route") if not plans[plan]]
    wrong += [f"nothing was paid in by {transport}" for transport in ("webhook", "kafka") if not transports[transport]]
    wrong += [f"no mismatch says {reason}" for reason in ("short", "unknown_route") if reason not in said]
    dropped = sum(rule["hits"] for rule in evidence.faults if rule["fault"] == "drop_after_accept")
    if not dropped:
        wrong.append("the provider answered every submission")
    unknown = len(evidence.of_kind("payout.unknown"))
    return (
        wrong,
        f"one wrong amount, one unknown route, {dropped} dropped answer: {unknown} payouts unknown for a while",
    )


def kills_survived(evidence: Evidence) -> Finding:
    """Each service was killed once with transfers in flight, was another process after it, and the work was finished.

    In flight, by the events' own times: acknowledged before the kill, completed after it.
    """
    opened = {each.stream: _at(each) for each in evidence.of_kind("transfer.opened")}
    ended = {each.stream: _at(each) for each in evidence.of_kind("transfer.payout_completed")}
    wrong, told = [], []
    for kill in evidence.logged("kill"):
        at = datetime.fromisoformat(kill["at"])
        flying = sum(1 for one, began in opened.items() if began < at and one in ended and at < ended[one])
        told.append(f"{kill['name']} with {flying}")
        if not flying:
            wrong.append(f"{kill['name']}: nothing was in flight")
        if kill["new_pid"] in (None, kill["pid"]):
            wrong.append(f"{kill['name']} did not come back")
    killed = {kill["name"] for kill in evidence.logged("kill")}
    wrong += [f"{name} was not killed" for name in sorted(KILLED - killed)]
    return wrong, "transfers in flight then: " + ", ".join(told)


def _at(record: Record) -> datetime:
    """When it was written, by the database's clock; here that is the machine's."""
    return datetime.fromisoformat(record.text("ce_recordedtime"))


CHECKS: Mapping[str, Callable[[Evidence], Finding]] = {
    "every acknowledged transfer is accounted for": money.all_accounted_for,
    "receivers got what was quoted": money.promises_kept,
    "provider's book is ours": money.book_is_ours,
    "nothing was paid twice": money.paid_once,
    "each deposit was credited once": money.credited_once,
    "trial balance is zero": money.trial_balance,
    "every account stands as expected": money.accounts_as_expected,
    "state folded from the topic is the store's": events.fold_is_store,
    "topic and store are the same events": events.topic_is_store,
    "chains of hashes verified": events.chains_hold,
    "published in order": events.published_in_order,
    "nothing waits or is parked": events.nothing_waits,
    "the faults happened": faults_happened,
    "every kill was survived": kills_survived,
}
